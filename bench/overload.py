"""What is left of an upstream under overload: `python bench/overload.py [--quick] [--only tailgate,...] [--variation
V]`.

The upstream works on four calls at once, 20 ms each: its capacity is measured first, directly. Requests come in an
open loop at 1, 2, 5 and 10 times that, by chance and in bursts, each with 100 ms to be answered: through Tailgate's
compiled wheel and its pure Python, through Tailgate without admission, and through nginx and Envoy with the best
settings that we know (`WAYS`), one after another on the same schedules. Only answers within 100 ms of the scheduled
instant count, by the client's clock. The proxy runs on one core, client and upstream on another.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import urllib.request
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
from bench._overload_plan import (
    AFTER_S,
    BEFORE_S,
    DEADLINE_S,
    FILLED,
    LOADS,
    TAKE_S,
    WAYS,
    WORKERS,
    Load,
    attainable,
    schedule,
)
from bench._peers import PEERS, Running, Setting, missing
from bench._processes import started_command
from bench._requests import Requests
from tailgate.errors import Status

SIZE, CONNECTIONS = 800, 4
SECONDS, QUICK_SECONDS, ROUNDS = 8.0, 4.0, 2
UNDISTURBED = 0.1
LEAST, BIN_S, BACK_S, REFUSAL_S = 0.95, 0.25, 2.0, 0.005


@dataclass(frozen=True)
class Measured:
    """One load on one way.

    Attributes:
        good: Answered in time each second of the overload.
        of_attainable: That, divided by what a perfect scheduler would have answered.
        worst: The same of the worst second but the first.
        p99_ms: Of the delivered answers' latency.
        late: Answers that were delivered late.
        back_s: How long after the overload until all but a twentieth of the requests are in time again.
        refused_ms: p99 of the time to a refusal.
        refused_at_once: Share of the refusals that came within 5 ms; who had to wait first may give way only later.
        statuses: How all requests ended.
        cpu: Of the proxy, in cores.
        waited: Share of the time in which the proxy could have run, but something else used its core.
    """

    good: float
    of_attainable: float
    worst: float
    p99_ms: float
    late: int
    back_s: float
    refused_ms: float
    refused_at_once: float
    statuses: dict[str, int]
    cpu: float
    waited: float


def capacity_of(address: str, answer: bytes) -> float:
    """Answers a second, of an upstream that always has something to do."""
    driver = Driver(address, Requests(SIZE, address, 10_000_000), answer, connections=CONNECTIONS)
    try:
        driver.closed_loop(4 * WORKERS, 1.0)
        driven = driver.closed_loop(4 * WORKERS, 3.0)
    finally:
        driver.close()
    return len(driven.ended) / driven.wall_s


def measure(way: Running, load: Load, capacity: float, answer: bytes, *, seconds: float, seed: int) -> Measured:
    """Send the load over new connections."""
    instants_s = schedule(load, capacity, seconds, seed)
    requests = Requests(SIZE, way.address, round(1e6 * DEADLINE_S))
    driver = Driver(way.address, requests, answer, connections=CONNECTIONS)
    before = cpu_of(way.pid)
    try:
        driven = driver.scheduled(instants_s)
    finally:
        driver.close()
    used = cpu_of(way.pid) - before
    start_s = driven.start_s
    latency_s = {one.number: one.ended_s - start_s - instants_s[one.number] for one in driven.ended}
    good = [False] * len(instants_s)
    for one in driven.ended:
        good[one.number] = one.right and latency_s[one.number] <= DEADLINE_S
    perfect = attainable(instants_s, WORKERS, capacity, DEADLINE_S)
    delivered = sorted(latency_s[one.number] for one in driven.ended if one.right)
    refused = sorted(
        latency_s[one.number]
        for one in driven.ended
        if not one.right and one.status not in (None, Status.DEADLINE_EXCEEDED)
    )

    def within(values: Sequence[bool], begin_s: float, end_s: float) -> list[bool]:
        return [value for value, instant_s in zip(values, instants_s, strict=True) if begin_s <= instant_s < end_s]

    end_s = BEFORE_S + seconds
    overload = within(good, BEFORE_S, end_s)
    by_second = [
        sum(within(good, at_s, at_s + 1.0)) / max(sum(within(perfect, at_s, at_s + 1.0)), 1)
        for at_s in (BEFORE_S + 1.0 + n for n in range(round(seconds) - 1))
    ]
    back_s = 0.0
    for n in range(round(AFTER_S / BIN_S)):
        bin_ = within(good, end_s + n * BIN_S, end_s + (n + 1) * BIN_S)
        if sum(bin_) < LEAST * len(bin_):
            back_s = (n + 1) * BIN_S
    return Measured(
        good=sum(overload) / seconds,
        of_attainable=sum(overload) / sum(within(perfect, BEFORE_S, end_s)),
        worst=min(by_second),
        p99_ms=1e3 * delivered[int(0.99 * len(delivered))] if delivered else 0.0,
        late=sum(one > DEADLINE_S for one in delivered),
        back_s=back_s,
        refused_ms=1e3 * refused[int(0.99 * len(refused))] if refused else 0.0,
        refused_at_once=sum(one <= REFUSAL_S for one in refused) / max(len(refused), 1),
        statuses=dict(Counter("reset" if one.status is None else Status(one.status).name for one in driven.ended)),
        cpu=used.ran_s / driven.wall_s,
        waited=used.waited_s / driven.wall_s,
    )


Found = dict[str, dict[Load, list[Measured]]]


def run(ways: Sequence[str], rounds: int, seconds: float, variation: float) -> tuple[Found, float, dict[str, object]]:
    """All loads on all ways, in turns; the capacity; what Tailgate says of its own admission in the end."""
    found: Found = {way: {} for way in ways}
    proxy_core, our_core = two_cores()
    answer = framed(canned_answer())
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        with on_core(our_core):
            script = str(Path(__file__).parent / "_limited_upstream.py")
            command = (sys.executable, script, str(WORKERS), str(TAKE_S), str(variation))
            ready = r"upstream listening on (\S+)"
            (upstream,), _ = stack.enter_context(started_command(folder, "upstream", command, ready))
        stack.enter_context(on_core(our_core))
        capacity = capacity_of(upstream, answer)
        status: dict[str, object] = {}
        for name_of_way in ways:
            way, own = WAYS[name_of_way], folder / name_of_way.replace(", ", "-").replace(" ", "-")
            own.mkdir()
            setting = Setting(
                own,
                upstream,
                options=way.options,
                limit=way.limit,
                deadline=f"{1e3 * DEADLINE_S:g}ms",
                patience_s=way.patience_s,
                adaptive=way.adaptive,
            )
            with ExitStack() as one:
                with on_core(proxy_core):
                    running = one.enter_context(PEERS[way.peer](setting))
                warm = Load("Poisson", 1.0)
                measure(running, warm, capacity, answer, seconds=2.0, seed=99)  # each may find its limit
                for turn in range(rounds):
                    for load in LOADS:
                        try:
                            measured = measure(running, load, capacity, answer, seconds=seconds, seed=turn)
                        except (OSError, SystemExit) as error:  # it ended a connection of ours in the middle
                            if way.peer in {"tailgate", "compiled"}:
                                raise
                            print(f"{name_of_way}, {load}: {error}; once more", file=sys.stderr)
                            measured = measure(running, load, capacity, answer, seconds=seconds, seed=turn)
                        found[name_of_way].setdefault(load, []).append(measured)
                if name_of_way == "tailgate":
                    with urllib.request.urlopen(f"http://{running.admin}/status.json", timeout=10) as response:
                        status = json.load(response)["admission"][0]
    return found, capacity, status


def median(measured: Sequence[Measured], name: str) -> float:
    """Of the rounds."""
    values: list[float] = [getattr(one, name) for one in measured]
    return statistics.median(values)


def table(found: Found) -> str:
    """Answers in time by way and load, each as a share of what a perfect scheduler would answer; medians."""
    header = ("arrivals", "× capacity", *found)
    rows = [
        (load.arrivals, f"{load.factor:g}", *(f"{median(by[load], 'of_attainable'):.2f}" for by in found.values()))
        for load in LOADS
    ]
    return markdown_table(header, rows)


def details_of(ours: dict[Load, list[Measured]]) -> str:
    """Tailgate alone, in more detail."""
    header = (
        "arrivals",
        "× capacity",
        "good/s",
        "worst second",
        "p99, ms",
        "late",
        "back after, s",
        "refused after, ms",
        "at once",
    )
    rows = [
        (
            load.arrivals,
            f"{load.factor:g}",
            f"{median(one, 'good'):.0f}",
            f"{min(each.worst for each in one):.2f}",
            f"{median(one, 'p99_ms'):.1f}",
            sum(each.late for each in one),
            f"{max(each.back_s for each in one):.2f}",
            f"{median(one, 'refused_ms'):.1f}",
            f"{median(one, 'refused_at_once'):.2f}",
        )
        for load, one in ours.items()
    ]
    return markdown_table(header, rows)


def refusal_ms(by: dict[Load, list[Measured]]) -> float | None:
    """The p99 of the time to a refusal, median of all loads; None where nothing is refused."""
    found = [one.refused_ms for measured in by.values() for one in measured if one.refused_ms]
    return statistics.median(found) if found else None


def claims(found: Found, status: dict[str, object]) -> list[Claim]:
    """What the project says of itself."""
    made = []
    ours = found.get("tailgate", {})
    for load, measured in ours.items():
        name = f"{load.arrivals}, {load.factor:g} × capacity"
        share = median(measured, "of_attainable")
        made.append(Claim(f"{name}: answers in time, of what is attainable", share, LEAST, at_least=True))
    if ours:
        every = [one for measured in ours.values() for one in measured]
        made.append(
            Claim("p99 of delivered answers, ms, worst load", max(one.p99_ms for one in every), 1e3 * DEADLINE_S)
        )
        made.append(Claim("back to normal after, s, worst load", max(one.back_s for one in every), BACK_S))
        refusals = refusal_ms(ours) or 0.0
        made.append(Claim("time to a refusal, p99, ms, median of the loads", refusals, 1e3 * REFUSAL_S))
        in_vain, in_time = (float(str(status[key])) for key in ("tried_in_vain", "tried_in_time"))
        tried = max(in_vain + in_time, 1.0)
        made.append(Claim("false refusals, of those tried", in_time / tried, 0.1 + 11 / tried))
    return made


def main() -> int:
    """Measure, print, write; 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--only", default=",".join(WAYS).replace(", ", "/"), metavar="NAMES", help="these ways")
    parser.add_argument("--variation", type=float, default=0.0, help="of the upstream's times (0: all the same)")
    arguments = parser.parse_args()
    quick: bool = arguments.quick
    names = [name.replace("/", ", ") for name in arguments.only.split(",")]
    if unknown := [name for name in names if name not in WAYS]:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are {', '.join(WAYS).replace(', ', '/')}")
    ways = []
    for name in names:
        if message := missing(WAYS[name].peer):
            print(message, file=sys.stderr)
        else:
            ways.append(name)
    rounds, seconds = (1, QUICK_SECONDS) if quick else (ROUNDS, SECONDS)
    found, capacity, status = run(ways, rounds, seconds, arguments.variation)
    print(
        f"capacity {capacity:.0f}/s; {rounds} rounds of {seconds:g} s of overload each; limit set by hand: {FILLED}\n"
    )
    print(table(found))
    for name in ("tailgate", "pure Python"):
        if name in found:
            print(f"\nIn more detail, {name}:\n\n{details_of(found[name])}")
    refusals = {name: time_ms for name, by in found.items() if (time_ms := refusal_ms(by)) is not None}
    said = ", ".join(f"{name} {time_ms:.1f}" for name, time_ms in refusals.items())
    print(f"\nTime to a refusal, p99 in ms, median of the loads: {said}")
    waited = max(each.waited for by in found.values() for one in by.values() for each in one)
    if waited > UNDISTURBED:
        print(f"\nSomething else used the proxies' core: they waited for it up to {waited:.0%} of the time.")
    measured = [
        {"way": way, **asdict(load), "rounds": [asdict(each) for each in one]}
        for way, by in found.items()
        for load, one in by.items()
    ]
    whole = not quick and list(WAYS) == names and arguments.variation == 0.0
    return finish(
        "overload",
        claims(found, status),
        quick=not whole,
        machine=machine("grpcio"),
        capacity=capacity,
        admission=status,
        measured=measured,
    )


if __name__ == "__main__":
    sys.exit(main())
