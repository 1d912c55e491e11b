"""How late a client learns that its deadline has passed: `python bench/lateness.py [--quick]`.

The upstream sleeps ten times as long as the shortest deadline, so no request can be answered in time. The client sends
`grpc-timeout` and has no timer of its own: lateness is when it sees the end of the stream, less the deadline, both by
its own clock and counted from its sending. Directly, through Tailgate, and through Envoy, in turns; the proxy on one
core, client and upstream on another. 64 in flight with bodies of 602 KB and 50 ms is an overload.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench._answer import canned_answer, framed
from bench._common import Claim, finish, machine, markdown_table
from bench._cpu import cpu_of, on_core, two_cores
from bench._driver import Driver
from bench._peers import PEERS, Running, Setting
from bench._processes import started_command
from bench._requests import Requests

SIZE, SLEEP_S, CONNECTIONS, ROUNDS, SECONDS, QUICK_SECONDS = 602_112, 0.5, 4, 5, 2.0, 1.0
DIRECT, PROXIES = "direct", ("tailgate", "envoy")
ALLOWED_MS = 2.0
UNDISTURBED = 0.1


@dataclass(frozen=True)
class Load:
    """How requests are sent: so many at once, or so many a second."""

    name: str
    deadline_s: float
    in_flight: int = 0
    rate: float = 0.0


LOADS = (
    Load("64 in flight, 50 ms", 0.05, in_flight=64),
    Load("64 in flight, 200 ms", 0.2, in_flight=64),
    Load("100/s, 50 ms", 0.05, rate=100.0),
)


@dataclass(frozen=True)
class Measured:
    """One round of a load on one way.

    Attributes:
        requests: How many ended.
        p50_ms, p99_ms, max_ms: Their lateness.
        late_ok: Answers that came with OK after the deadline.
        endings: How many ended with which status; "reset" for a stream that ended without one.
        cpu_us: CPU of the proxy for a request.
        waited: Share of the time in which the proxy could have run, but something else used its core.
    """

    requests: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    late_ok: int
    endings: dict[str, int]
    cpu_us: float
    waited: float


def measure(way: Running, load: Load, answer: bytes, seconds: float) -> Measured:
    """Send the load over new connections."""
    driver = Driver(
        way.address, Requests(SIZE, way.address, round(1e6 * load.deadline_s)), answer, connections=CONNECTIONS
    )
    before = cpu_of(way.pid)
    try:
        driven = driver.closed_loop(load.in_flight, seconds) if load.in_flight else driver.open_loop(load.rate, seconds)
    finally:
        driver.close()
    used = cpu_of(way.pid) - before
    late_ms = sorted(1e3 * (one.ended_s - one.started_s - load.deadline_s) for one in driven.ended)
    late_ok = [one for one in driven.ended if one.status == 0 and one.ended_s > one.started_s + load.deadline_s]
    return Measured(
        requests=len(late_ms),
        p50_ms=late_ms[len(late_ms) // 2],
        p99_ms=late_ms[int(0.99 * len(late_ms))],
        max_ms=late_ms[-1],
        late_ok=len(late_ok),
        endings=dict(Counter("reset" if one.status is None else str(one.status) for one in driven.ended)),
        cpu_us=1e6 * used.ran_s / len(late_ms),
        waited=used.waited_s / driven.wall_s,
    )


def run(rounds: int, seconds: float) -> dict[str, dict[str, list[Measured]]]:
    """All loads on all ways, in turns: by load and way, a list of rounds."""
    found: dict[str, dict[str, list[Measured]]] = {load.name: {} for load in LOADS}
    proxy_core, our_core = two_cores()
    answer = framed(canned_answer())
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        with on_core(our_core):
            command = (sys.executable, str(Path(__file__).parent / "_sleeping_upstream.py"), str(SLEEP_S))
            ready = r"upstream listening on (\S+)"
            (upstream,), pid = stack.enter_context(started_command(folder, "upstream", command, ready))
        ways = {DIRECT: Running(upstream, pid)}
        for proxy in PROXIES:
            own = folder / proxy
            own.mkdir()
            with on_core(proxy_core):
                ways[proxy] = stack.enter_context(PEERS[proxy](Setting(own, upstream)))
        stack.enter_context(on_core(our_core))
        for _ in range(rounds):
            for load in LOADS:
                for way, running in ways.items():
                    found[load.name].setdefault(way, []).append(measure(running, load, answer, seconds))
    return found


def table(found: dict[str, dict[str, list[Measured]]]) -> str:
    """A row for each load and way; medians of the rounds, and the sum of the endings."""
    header = ("load", "way", "requests", "late p50, ms", "p99, ms", "max, ms", "OK but late", "statuses", "CPU, µs")
    rows = []
    for load, ways in found.items():
        for way, measured in ways.items():
            endings: Counter[str] = sum((Counter(one.endings) for one in measured), Counter())
            rows.append(
                (
                    load,
                    way,
                    sum(one.requests for one in measured),
                    f"{statistics.median(one.p50_ms for one in measured):.1f}",
                    f"{statistics.median(one.p99_ms for one in measured):.1f}",
                    f"{max(one.max_ms for one in measured):.1f}",
                    sum(one.late_ok for one in measured),
                    ", ".join(f"{count} × {status}" for status, count in endings.most_common()),
                    "" if way == DIRECT else f"{statistics.median(one.cpu_us for one in measured):.0f}",
                )
            )
    return markdown_table(header, rows)


def claims(found: dict[str, dict[str, list[Measured]]]) -> list[Claim]:
    """What the project says of itself."""
    made = []
    for load, ways in found.items():
        ours, theirs = ways["tailgate"], ways["envoy"]
        over_ms = statistics.median(one.p99_ms - other.p99_ms for one, other in zip(ours, theirs, strict=True))
        made.append(Claim(f"{load}: p99 of lateness, ms above Envoy's", over_ms, ALLOWED_MS))
        made.append(Claim(f"{load}: answers delivered late as OK", sum(one.late_ok for one in ours), 0))
        made.append(Claim(f"{load}: share that ended with DEADLINE_EXCEEDED", share(ours, "4"), 1.0, at_least=True))
    return made


def share(rounds: Sequence[Measured], status: str) -> float:
    """How many of all requests ended with this status."""
    return sum(one.endings.get(status, 0) for one in rounds) / sum(one.requests for one in rounds)


def main() -> int:
    """Measure, print, write; 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round")
    quick: bool = parser.parse_args().quick
    rounds, seconds = (1, QUICK_SECONDS) if quick else (ROUNDS, SECONDS)
    found = run(rounds, seconds)
    print(f"bodies of 602 KB over {CONNECTIONS} connections; {rounds} rounds of {seconds:g} s\n")
    print(table(found))
    waited = max(one.waited for ways in found.values() for way in PROXIES for one in ways[way])
    if waited > UNDISTURBED:
        print(f"\nSomething else used the proxies' core: they waited for it up to {waited:.0%} of the time.")
    details = [
        {"load": load, "way": way, "rounds": [asdict(one) for one in measured]}
        for load, ways in found.items()
        for way, measured in ways.items()
    ]
    return finish("lateness", claims(found), quick=quick, machine=machine("grpcio"), measured=details)


if __name__ == "__main__":
    sys.exit(main())
