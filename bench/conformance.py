"""Deadline conformance of real V2 servers: `python bench/conformance.py [--quick] [--only NAME …]`.

Starts Triton (twice: with and without a queue policy), MLServer, KServe's SDK and ours, each with a model whose time is
known, has `tailgate probe` measure it, and writes the reports and their table into docs/conformance/. Then the case in
which a client that leaves takes its batch mates' answers with it: MLServer behind our proxy, fifty groups of calls from
which one leaves, with the profile that is made for it and with the one that is not. The first run installs the peers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench._common import RESULTS, Claim, finish, machine, markdown_table
from bench._processes import started
from bench._v2_servers import PEERS, mlserver
from tailgate_loadgen.probe.caller import Caller
from tailgate_loadgen.probe.groups import make_groups
from tailgate_loadgen.probe.inputs import message, tensors_of
from tailgate_loadgen.probe.judge_mates import harmed
from tailgate_loadgen.probe.seen import Groups
from tailgate_loadgen.probe.trials import Trials
from tailgate_loadgen.target import describe, open_channel

DOCS = Path(__file__).resolve().parents[1] / "docs" / "conformance"
ROUNDS, GROUPS, BURST = 9, 50, 256
PROBE_S = 1500
PATIENCE_S, PLAIN = 20.0, 8
EXPECTED = {"triton": "triton", "triton-queue-policy": "triton", "mlserver": "mlserver", "kserve": "kserve",
            "tailgate": "tailgate"}  # fmt: skip
COLUMNS = {
    "queued_deadline": "expired in the queue",
    "answer_at_deadline": "its own answer at the deadline",
    "queued_cancel": "cancelled in the queue",
    "running_cancel": "cancel stops the model",
    "timeout_parameter": "`timeout`",
    "mates": "batch mates",
    "overload": "overload",
    "malformed": "malformed",
    "survival": "answers to the end",
    "profile": "profile",
}


def probe(name: str, out: Path, *, quick: bool) -> dict[str, Any]:
    """Start one peer, probe it, and put its report into `out`; what the report says."""
    peer = PEERS[name]
    with TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "server").mkdir()
        with peer.start(work / "server") as address:
            rounds, groups, burst = (6, 8, 32) if quick else (ROUNDS, GROUPS, BURST)
            command = (
                sys.executable, "-m", "tailgate", "probe", address, "--model", peer.model, *peer.options, "--quiet",
                "--rounds", str(rounds), "--groups", str(groups), "--burst", str(burst), "--out", str(work / "out"),
            )  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S, check=False)
        if done.returncode != 0:
            raise SystemExit(f"the probe of {name} ended with {done.returncode}: {done.stderr[-800:]}")
        out.mkdir(parents=True, exist_ok=True)
        shutil.copy(work / "out" / "probe.html", out / f"{name}.html")
        shutil.copy(work / "out" / "probe.json", out / f"{name}.json")
        said: dict[str, Any] = json.loads((work / "out" / "probe.json").read_text())
    return said


def through_proxy(profile: str, groups: int) -> Groups:
    """Groups of calls from which one leaves, through our proxy to MLServer."""
    with TemporaryDirectory() as folder:
        server, proxy = Path(folder) / "server", Path(folder) / "proxy"
        server.mkdir()
        proxy.mkdir()
        with mlserver(server) as upstream:
            options = ("--upstream", upstream, "--upstream-profile", profile, "--listen", "127.0.0.1:0")
            more = ("--admin", "127.0.0.1:0", "--deadline", "60s")
            pattern = r"proxy listening on (\S+), admin on (\S+)"
            with started(proxy, "proxy", *options, *more, ready=pattern) as ((address, _), _):
                return asyncio.run(_groups(address, groups))


async def _groups(address: str, groups: int) -> Groups:
    async with open_channel(address) as channel:
        described = await describe(channel, address, "sleeps")
        body = message("sleeps", "", tensors_of(described.metadata, {}, None)).SerializeToString()
        caller = Caller(channel, "sleeps")
        plain = [await caller.ask(body, PATIENCE_S) for _ in range(PLAIN)]
        trials = Trials(caller, body, [call.took_s for call in plain[1:]], rows=0)
        return await make_groups(trials, groups, lambda: None)


def write_table(out: Path, reports: dict[str, dict[str, Any]], versions: dict[str, str]) -> None:
    """`README.md`: servers, versions, answers."""
    rows = []
    for name, report in reports.items():
        answers = {verdict["key"]: verdict["answer"] for verdict in report["verdicts"]}
        cells = [answers[key] for key in COLUMNS]
        rows.append((f"[{name}]({name}.html) {versions[name]}", *cells))
    settings = "\n".join(f"- {name}: {PEERS[name].setting}" for name in reports)
    service = "\n".join(
        f"- {name}: a call alone took {1e3 * statistics.median(report['observations']['alone_s']):.0f} ms"
        for name, report in reports.items()
    )
    text = f"""# Deadline conformance of V2 servers

What real servers do with deadlines, cancels, overload and malformed requests, measured from outside by
[`tailgate probe`](../probe.md). Written by `python bench/conformance.py`; each name leads to its report, beside which
lie its observations in JSON. Answers are of these versions, so configured, on one small machine; the reports say what
each answer rests on and what it cannot tell.

{markdown_table(("server", *COLUMNS.values()), rows)}

Configured as follows:

{settings}

And so fast:

{service}
"""
    (out / "README.md").write_text(text, encoding="utf-8")


def main() -> int:
    """Probe all, write their reports, print, keep; 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer trials; reports go to bench/results/conformance")
    parser.add_argument(
        "--only", nargs="+", choices=sorted(PEERS), default=list(PEERS), help="probe these servers anew"
    )
    options = parser.parse_args()
    quick: bool = options.quick
    out = RESULTS / "conformance" if quick else DOCS
    reports: dict[str, dict[str, Any]] = {}
    versions: dict[str, str] = {}
    for name in options.only:
        reports[name], versions[name] = probe(name, out, quick=quick), PEERS[name].version()
        print(f"{name} {versions[name]}: profile {reports[name]['profile']}", flush=True)
        for verdict in reports[name]["verdicts"]:
            print(f"  {verdict['key']}: {verdict['answer']}. {verdict['sentence']}", flush=True)
    for name in PEERS.keys() - reports.keys():  # of an earlier run
        if (out / f"{name}.json").exists():
            reports[name], versions[name] = json.loads((out / f"{name}.json").read_text()), PEERS[name].version()
    reports = {name: reports[name] for name in PEERS if name in reports}
    write_table(out, reports, versions)
    if set(options.only) != set(PEERS):
        print("only some servers were probed anew: their reports and the table are written, claims and results are not")
        return 0
    claims = [
        Claim(
            f"{name}: the profile that fits is {EXPECTED[name]}",
            float(report["profile"] == EXPECTED[name]), 1, at_least=True,
        )
        for name, report in reports.items()
    ]  # fmt: skip
    details: dict[str, Any] = {"versions": versions}
    groups = 8 if quick else GROUPS
    safe, unsafe = through_proxy("mlserver", groups), through_proxy("generic", groups)
    counts = {
        profile: {
            "groups": len(made.left),
            "harmed": sum(map(harmed, made.left)),
            "without_leaver": len(made.stayed),
            "of_these_harmed": sum(map(harmed, made.stayed)),
        }
        for profile, made in (("mlserver", safe), ("generic", unsafe))
    }
    print(json.dumps(counts, indent=1))
    details["batch_mates_through_the_proxy"] = counts
    with_profile = counts["mlserver"]
    claims += [
        Claim("MLServer behind the proxy, profile mlserver: groups with a leaver", with_profile["groups"], groups,
              at_least=True),
        Claim("of these with a batch mate that was not answered", with_profile["harmed"], 0),
        Claim("profile generic: groups with a batch mate that was not answered", counts["generic"]["harmed"], 1,
              at_least=True),
    ]  # fmt: skip
    return finish("conformance", claims, quick=quick, machine=machine("grpcio"), **details)


if __name__ == "__main__":
    sys.exit(main())
