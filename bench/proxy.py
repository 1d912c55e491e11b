"""What a request costs in the proxy, beside other proxies: `python bench/proxy.py [--quick] [--only tailgate,nginx]`.

Tailgate, with observation, metrics and trace on, as pure Python and from its compiled wheel (where there is a C
compiler), nginx and HAProxy (where Debian's packages are installed), Envoy (fetched from its package on PyPI) and the
shortest proxy that grpc.aio allows, each with one worker on one core. Their client and their upstream share another
core. Requests carry a timeout, an id and a label that differ from call to call, and every answer is checked. Rounds go
through all peers in turn, so that a machine that drifts drifts for all; a ratio is the median of the ratios round by
round. Claims are about the compiled form, where it was measured.
"""

from __future__ import annotations

import argparse
import json
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench._answer import canned_answer, framed
from bench._common import finish, machine
from bench._cpu import cpu_of, on_core, two_cores
from bench._driver import Driver
from bench._frames import DEFAULT_WINDOW
from bench._peers import PEERS, Running, Setting, missing
from bench._processes import started_command
from bench._proxy_results import DIRECT, FORMS, MANY, Case, Measured, Rounds, claims, remarks, table
from bench._requests import Requests

SIZES = {"1KB": 800, "150KB": 150_528, "602KB": 602_112}
CONNECTIONS, ROUNDS, SECONDS, QUICK_SECONDS, WARM_S = 4, 5, 0.6, 0.3, 0.1
LARGE_WINDOW = 1 << 22
TIMEOUT_US, SPREAD_US = 20_000_000, 999_999


@dataclass(frozen=True)
class Variant:
    """Surroundings in which all peers are measured."""

    name: str
    window: int = LARGE_WINDOW
    tls: bool = False
    in_flight: Sequence[int] = (MANY,)
    naive: bool = False


VARIANTS = {
    "plain": Variant("plain", in_flight=(1, MANY), naive=True),
    "small-windows": Variant("small-windows", window=DEFAULT_WINDOW),
    "tls": Variant("tls", tls=True),
}


def measure(
    running: Running, case: Case, answer: bytes, *, name: str, tls: ssl.SSLContext | None, seconds: float
) -> Measured:
    """New connections, a moment to get warm, and then what counts."""
    requests = Requests(SIZES[case.size], running.address, TIMEOUT_US, spread_us=SPREAD_US, tls=tls is not None)
    driver = Driver(running.address, requests, answer, connections=min(CONNECTIONS, case.in_flight), tls=tls)
    try:
        warm = driver.closed_loop(case.in_flight, WARM_S)
        before = cpu_of(running.pid)
        driven = driver.closed_loop(case.in_flight, seconds)
        used = cpu_of(running.pid) - before
    finally:
        driver.close()
    if wrong := [*warm.wrong, *driven.wrong]:
        raise SystemExit(f"{name} at {case}: {len(wrong)} requests were not answered right, such as {wrong[0]}")
    count = len(driven.ended)
    return Measured(
        requests=count,
        cpu_us=1e6 * used.ran_s / count,
        busy=used.ran_s / driven.wall_s,
        waited=used.waited_s / driven.wall_s,
        rate=count / driven.wall_s,
        p50_us=1e6 * driven.latency_s(0.5),
    )


def run_variant(variant: Variant, peers: Sequence[str], sizes: Sequence[str], rounds: int, seconds: float) -> Rounds:
    """Start all peers, measure them in turns, and end them."""
    found: Rounds = {}
    proxy_core, our_core = two_cores()
    answer = framed(canned_answer())
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder, tls = Path(name), None
        certificate = key = None
        if variant.tls:
            certificate, key = make_certificate(folder)
            tls = ssl.create_default_context(cafile=str(certificate))
            tls.set_alpn_protocols(["h2"])
        with on_core(our_core):
            command = (sys.executable, str(Path(__file__).parent / "_upstream.py"), str(variant.window))
            ready = r"upstream listening on (\S+)"
            (upstream,), pid = stack.enter_context(started_command(folder, "upstream", command, ready))
        running = {} if variant.tls else {DIRECT: Running(upstream, pid)}
        for peer in peers:
            own = folder / peer
            own.mkdir()
            with on_core(proxy_core):
                running[peer] = stack.enter_context(PEERS[peer](Setting(own, upstream, certificate, key)))
        stack.enter_context(on_core(our_core))
        for turn in range(rounds):
            names = list(running)[turn % len(running) :] + list(running)[: turn % len(running)]
            for size in sizes:
                for in_flight in variant.in_flight:
                    case = Case(variant.name, size, in_flight)
                    for peer in names:
                        measured = measure(running[peer], case, answer, name=peer, tls=tls, seconds=seconds)
                        found.setdefault(case, {}).setdefault(peer, []).append(measured)
        for form in [form for form in FORMS if form in running]:
            answered = sum(one.requests for by in found.values() for one in by[form])
            check_observed(running[form].admin, answered)
    return found


def check_observed(admin: str, answered: int) -> None:
    """Tailgate must have booked as OK what was answered right, and nothing as anything else."""
    with urllib.request.urlopen(f"http://{admin}/status.json", timeout=10) as response:
        outcomes: dict[str, int] = json.load(response)["outcomes"]
    if outcomes["ok"] < answered or sum(outcomes.values()) != outcomes["ok"]:
        raise SystemExit(f"{answered} requests were answered right, and tailgate observed {outcomes}")


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key: P-256, as is common."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    command = ("openssl", "req", "-x509", *kind, *subject, "-out", str(certificate), "-keyout", str(key))
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def main() -> int:
    """Measure, print, write; 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--only", default=",".join(PEERS), metavar="NAMES", help="these proxies (%(default)s)")
    parser.add_argument("--sizes", default=",".join(SIZES), metavar="NAMES", help="these bodies (%(default)s)")
    parser.add_argument(
        "--variants", default=",".join(VARIANTS), metavar="NAMES", help="these surroundings (%(default)s)"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help=f"how many ({ROUNDS}; 1 if quick)")
    arguments = parser.parse_args()
    quick: bool = arguments.quick
    wanted, sizes = some_of(PEERS, arguments.only), some_of(SIZES, arguments.sizes)
    variants = some_of(VARIANTS, arguments.variants)
    rounds: int = arguments.rounds or (1 if quick else ROUNDS)
    seconds = QUICK_SECONDS if quick else SECONDS
    peers = [peer for peer in wanted if not report(missing(peer))]
    whole = not quick and (peers, sizes, variants) == (list(PEERS), list(SIZES), list(VARIANTS)) and rounds >= ROUNDS
    found: Rounds = {}
    for name in variants:
        variant = VARIANTS[name]
        here = [peer for peer in peers if peer != "grpc.aio" or variant.naive]
        found |= run_variant(variant, here, sizes, rounds, seconds)
    print(f"median of {rounds} rounds of {seconds:g} s; at {MANY} in flight over {CONNECTIONS} connections\n")
    print(table(found))
    for remark in remarks(found):
        print(f"\n{remark}")
    details = [
        {**asdict(case), "peer": peer, "rounds": [asdict(one) for one in measured]}
        for case, by in found.items()
        for peer, measured in by.items()
    ]
    return finish("proxy", claims(found), quick=not whole, machine=machine("grpcio"), measured=details)


def report(message: str | None) -> bool:
    if message:
        print(message, file=sys.stderr)
    return bool(message)


def some_of(known: Iterable[str], names: str) -> list[str]:
    """Names from a list with commas; each must be known."""
    wanted = [name.strip() for name in names.split(",")]
    if unknown := [name for name in wanted if name not in known]:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    return wanted


if __name__ == "__main__":
    sys.exit(main())
