"""A long run in which everything goes wrong all the time: `python bench/soak.py [--minutes 20] [--quick]`.

Steady load of all sizes on a real proxy while, by a seeded plan, calls are cancelled, have deadlines too short, are
answered to clients that do not read, or belong to clients that vanish, and the upstream is restarted, killed or asked
to end. Client's log and proxy's trace are joined by request id at the end. Memory and file descriptors are those of
the proxy's process; how many asyncio tasks it has cannot be seen from outside. Of every answer that is late by the
client's clock it is said where its time went: on a machine without a free core the client itself is.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench._common import Claim, finish, machine, markdown_table
from bench._cpu import cpu_of
from bench._late import Stalls, despite_running, parts
from bench._nemesis import RATE, Soak, Upstream, open_files, status_of
from bench._processes import started
from bench._raw_client import records
from tailgate.books import reconcile
from tailgate.errors import Status
from tailgate.outcome import Outcome
from tailgate.trace.files import read_folder
from tailgate.trace.format import Records, request_key

SEED = 20261122
TOLERANCE_S = 0.1
"""What may lie between the two clocks: until the headers are read there, and until the answer is read here. On a
machine that others use too, some few answers take longer than that.
"""


async def rest(admin: str, pid: int, files: int) -> int:
    """Wait until nothing is in flight and as many files are open as before, or for 20 s; returns how many are."""
    for _ in range(100):
        status = await asyncio.to_thread(status_of, admin)
        if not status["in_flight"] and open_files(pid) <= files:
            break
        await asyncio.sleep(0.2)
    return open_files(pid)


async def drive(soak: Soak, stalls: Stalls, seconds: float, pid: int, admin: str) -> tuple[int, int, dict[str, Any]]:
    """The whole run; open files before and after it, with one connection to the upstream each time, and the status."""
    while not (await asyncio.to_thread(status_of, admin))["upstream"]["ready"]:
        await asyncio.sleep(0.1)
    before = open_files(pid)
    watching = asyncio.create_task(stalls.watch())
    await soak.run(seconds, pid, admin)
    watching.cancel()
    # However many connections to the upstream there are, a restart leaves one.
    await soak.upstream.end(signal.SIGKILL)
    await soak.upstream.start()
    after = await rest(admin, pid, before)
    return before, after, await asyncio.to_thread(status_of, admin)


def judge(
    soak: Soak, stalls: Stalls, rows: Records, executed: Path, status: dict[str, Any]
) -> tuple[list[Claim], dict[str, Any]]:
    """Everything that is counted by joining the client's log, the proxy's trace and the upstream's list."""
    books = reconcile(records(soak.log), rows)
    ids = Counter(rows["request_id"].tolist())
    witnessed = [a for a in soak.log if a.reached and a.request_id not in soak.unwitnessed]
    lost = [a.request_id for a in witnessed if not ids[request_key(a.request_id)]]
    unseen = len(soak.log) - len(ids) - len(lost)
    status_at_proxy = dict(zip(rows["request_id"].tolist(), rows["status"].tolist(), strict=True))
    differ = Counter(
        f"{a.status.name} here, {Status(there).name} there"
        for a in soak.log
        if a.status is not None and (there := status_at_proxy.get(request_key(a.request_id), a.status)) != a.status
    )
    executions = Counter(executed.read_text().split())
    answered = rows[rows["outcome"] == Outcome.OK]
    late_there = int((answered["latency_s"] > answered["budget_s"]).sum() + (rows["outcome"] == Outcome.OK_LATE).sum())
    row_of = dict(zip(rows["request_id"].tolist(), rows, strict=True))
    all_late = [
        parts(a, row, stalls)
        for a in soak.log
        if a.status is Status.OK and a.late and (row := row_of.get(request_key(a.request_id))) is not None
    ]
    late = [one for one in all_late if one.late_s > TOLERANCE_S]
    delivered = sum(a.status is Status.OK for a in soak.log)
    late_here = 100 * len(late) / max(delivered, 1)
    ended = sum(status["outcomes"].values())
    claims = [
        Claim("calls lost: their headers reached the proxy's kernel, and the proxy has no row of them", len(lost), 0),
        Claim("calls booked twice", sum(count - 1 for count in ids.values() if count > 1), 0),
        Claim("calls executed twice by the upstream", sum(count - 1 for count in executions.values()), 0),
        Claim("answers crossed or changed", sum(a.right is False for a in soak.log), 0),
        Claim("answers delivered that the proxy saw come late", late_there, 0),
        Claim(f"answers over {TOLERANCE_S * 1e3:g} ms late by the client's own clock, % of all", late_here, 0.1),
        Claim("breaches of the books", len(books.breaches), 0),
        Claim("received less the sum of outcomes, and what is in flight", status["received"] - ended, 0),
        Claim("difference between the sum of outcomes and the trace", abs(ended - len(rows)), 0),
    ]
    slowest_ms = 1e3 * max((one.late_s for one in all_late), default=0.0)
    details = {
        "calls": len(soak.log), "rows": len(rows), "unseen_of_clients_that_reset": unseen, "breaches": books.breaches,
        "latest_answer_ms": slowest_ms, "late_answers": len(late), "client_stood_still_s": stalls.total_s,
        "late_though_the_client_ran": despite_running(late, TOLERANCE_S), "late": [asdict(one) for one in late[:100]],
        "differ": dict(differ), "lost": lost[:20],
        "outcomes": {name: count for name, count in status["outcomes"].items() if count}, "nemesis": dict(soak.done),
        "connection_ends": {reason: count for reason, count in status["connection_ends"].items() if count},
    }  # fmt: skip
    return claims, details


def slope_mib_per_minute(samples: list[dict[str, float]]) -> float:
    """Of the memory in the second half of the run."""
    half = samples[len(samples) // 2 :]
    return float(np.polyfit([s["at_s"] / 60 for s in half], [s["rss_mib"] for s in half], 1)[0])


def timeline(samples: list[dict[str, float]], lines: int = 12) -> str:
    """A few evenly spaced moments of the run."""
    chosen = samples[:: max(len(samples) // lines, 1)]
    rows = []
    for before, now in pairwise(chosen):
        passed_s, ended = now["at_s"] - before["at_s"], now["received"] - before["received"]
        share = (now["ok"] - before["ok"]) / ended if ended else 0.0
        rows.append(
            (f"{now['at_s']:.0f} s", ended / passed_s, f"{share:.0%}", now["in_flight"], now["rss_mib"], now["fds"])
        )
    return markdown_table(("at", "calls/s", "ok", "in flight", "RSS MiB", "files"), rows)


def main() -> int:
    """Run, print, write; 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0, help="how long (20)")
    parser.add_argument("--seed", type=int, default=SEED, help="of everything that happens")
    parser.add_argument("--quick", action="store_true", help="half a minute; says nothing of memory")
    options = parser.parse_args()
    quick: bool = options.quick
    seconds = 30.0 if quick else options.minutes * 60
    print(f"seed {options.seed}, {seconds / 60:g} minutes, {RATE:g} calls a second\n")
    with TemporaryDirectory() as name, asyncio.Runner() as runner, ExitStack() as stack:
        folder = Path(name)
        upstream = Upstream(folder / "executed")
        address = runner.run(upstream.start())
        stack.callback(lambda: runner.run(upstream.end(signal.SIGKILL)))
        command = ("proxy", "--upstream", address, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
        pattern = r"proxy listening on (\S+), admin on (\S+)"
        trace = ("--deadline", "5s", "--trace", str(folder / "trace"))
        with started(folder, *command, *trace, ready=pattern) as ((listen, admin), pid):
            soak = Soak(listen, upstream, random.Random(options.seed))  # noqa: S311 — a plan that can be repeated, no secret
            stalls, unused = Stalls(), cpu_of(pid)
            before, after, status = runner.run(drive(soak, stalls, seconds, pid, admin))
            used = cpu_of(pid) - unused
        (contents,) = read_folder(folder / "trace")
        claims, details = judge(soak, stalls, contents.records, folder / "executed", status)
    print(timeline(soak.samples))
    print(
        "\n"
        + markdown_table(
            ("what", "times"), [*sorted(soak.done.items()), *details["outcomes"].items(), *details["differ"].items()]
        )
    )
    claims += [
        Claim("records missing from the trace or damaged", contents.missing + contents.damaged, 0),
        Claim("calls in flight at the end", status["in_flight"], 0),
        Claim("files open at the end, more than before", after - before, 0),
    ]
    slope = slope_mib_per_minute(soak.samples)
    if seconds >= 600:  # in less, caches that fill look like a leak
        claims.append(Claim("memory in the second half, MiB a minute", slope, 1.0))
    print(
        f"\nmemory in the second half: {slope:+.2f} MiB a minute; {details['unseen_of_clients_that_reset']} calls of "
        f"clients that left with a TCP reset were never seen; latest answer {details['latest_answer_ms']:.1f} ms late"
    )
    print(
        f"late by more than {TOLERANCE_S * 1e3:g} ms: {details['late_answers']} answers, "
        f"{details['late_though_the_client_ran']} of them also without the time in which their client stood still, "
        f"which is {stalls.total_s:.1f} s of the run; the proxy ran for {used.ran_s:.1f} s and waited for a core for "
        f"{used.waited_s:.1f} s"
    )
    for breach in details["breaches"]:
        print(f"breach: {breach}")
    details |= {"proxy_ran_s": used.ran_s, "proxy_waited_for_a_core_s": used.waited_s}
    details |= {"seed": options.seed, "minutes": seconds / 60, "slope_mib_per_minute": slope, "samples": soak.samples}
    return finish("soak", claims, quick=quick or seconds < 1200, machine=machine("h2", "grpcio"), **details)


if __name__ == "__main__":
    sys.exit(main())
