"""What hedging makes of members that stall now and then, and of an overload: `python bench/hedging.py [--quick]`.

The proxy's own parts on virtual time, as in `bench/simulation.py`, whose promises are looked at here, too; so the
figures are of the policy alone, and the same on every machine. Three members, of four calls at once and about 20 ms
each, stand still for 150 ms every ten seconds on average, each at times of its own. Requests come in an open loop by
chance, each with 100 ms to be answered, at 0.3 and 0.5 of the capacity and at twice as much, with hedging (0.95, 0.05)
and without: the same requests, the same stalls. Every answer is right, so what is in time is time-critical accuracy.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any
from unittest.mock import patch

from bench import _sim_world
from bench._common import Claim, finish, machine, markdown_table
from bench._sim_plan import Fault, Plan, Stretch
from bench._sim_promises import Promises
from bench._sim_servers import Behaviour
from bench._sim_world import World
from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate.policy.hedging import AFTER, BUDGET

MEMBERS, WORKERS, TAKE_S, VARIATION, DEADLINE_S = 3, 4, 0.02, 0.3, 0.1
EVERY_S, STALL_S = 10.0, 0.15
CAPACITY = MEMBERS * WORKERS / TAKE_S
LOADS = {0.3: 1.0, 0.5: 1.0, 2.0: 0.25}
"""By how many times the capacity is asked for: the share of a run's length."""
LENGTH_S, QUICK_S = 240.0, 60.0
SEED = 1


@dataclass(frozen=True)
class Measured:
    """One load, with hedging or without.

    Attributes:
        factor: So many times the capacity.
        after: The quantile; None: without.
        requests: How many came.
        in_time: Share of them that were answered in time.
        p50_ms, p995_ms: From a request's arrival to its end, whatever that was.
        sent: Requests that an upstream was given.
        hedges: How many of them to a second member as well.
        won: Where that one was answered first.
        unhedged: Slow ones that were not, by why.
        broken: The promise that was broken, if one was.
    """

    factor: float
    after: float | None
    requests: int
    in_time: float
    p50_ms: float
    p995_ms: float
    sent: int
    hedges: int
    won: int
    unhedged: dict[str, int]
    broken: str

    @property
    def calls(self) -> float:
        """For each request that an upstream was given."""
        return 1.0 + self.hedges / max(self.sent, 1)


class Times(Promises):
    """The promises, with the time that each request took."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.latencies_s: list[float] = []

    def booked(self, observation: Observation) -> None:
        """An outcome is."""
        self.latencies_s.append(observation.latency_s)
        super().booked(observation)


def planned(factor: float, after: float | None, length_s: float) -> Plan:
    """The members, their stalls, and the requests."""
    faults = []
    for member in range(MEMBERS):
        random, at_s = Random(f"stalls of {member}"), 0.0  # noqa: S311 — a simulation, no secret
        while (at_s := at_s + random.expovariate(1.0 / EVERY_S)) < length_s - 1.0:
            faults += [Fault(at_s, member, Behaviour(frozen=True)), Fault(at_s + STALL_S, member, Behaviour())]
            at_s += STALL_S
    return Plan(
        seed=SEED,
        kind="slow",
        length_s=length_s,
        machines=MEMBERS,
        spare=0,
        workers=WORKERS,
        batch=1,
        take_s=TAKE_S,
        variation=VARIATION,
        deadline_s=DEADLINE_S,
        profile="generic",
        by_name=False,
        admission="adaptive",
        limit=0,
        hedge_after=after,
        late_share=0.0,
        most=1024,
        leaving=0.0,
        again=0,
        models=(1.0, 0.0, 0.0),
        traffic=(Stretch(length_s, factor * CAPACITY),),
        faults=tuple(sorted(faults, key=lambda fault: fault.at_s)),
        episodes=(),
    )


def measure(factor: float, after: float | None, length_s: float) -> Measured:
    """Let it happen."""
    with patch.object(_sim_world, "Promises", Times):
        promises = World(planned(factor, after, length_s)).run()
    assert isinstance(promises, Times)
    times_s = sorted(promises.latencies_s)
    pool = promises.pool
    hedging = pool.hedges.hedging
    return Measured(
        factor=factor,
        after=after,
        requests=len(times_s),
        in_time=promises.outcomes[Outcome.OK] / len(times_s),
        p50_ms=1e3 * times_s[len(times_s) // 2],
        p995_ms=1e3 * times_s[int(0.995 * len(times_s))],
        sent=promises.sent_once,
        hedges=promises.hedges,
        won=sum(tally.hedges_won for tally in pool.membership.tallies.values()),
        unhedged={why.value: count for why, count in hedging.unhedged.items()} if hedging is not None else {},
        broken="" if promises.first is None else str(promises.first),
    )


def table(found: Sequence[Measured]) -> str:
    """With and without, side by side."""
    header = ("× capacity", "hedged after", "in time", "p50, ms", "p99.5, ms", "calls for a request", "hedges", "won")
    rows = [
        (
            f"{one.factor:g}",
            "never" if one.after is None else f"{one.after:g}",
            f"{one.in_time:.4f}",
            f"{one.p50_ms:.1f}",
            f"{one.p995_ms:.1f}",
            f"{one.calls:.4f}",
            one.hedges,
            one.won,
        )
        for one in found
    ]
    return markdown_table(header, rows)


def claims(found: Sequence[Measured]) -> list[Claim]:
    """What the project says of itself."""
    made = [Claim("promises that were broken", sum(bool(one.broken) for one in found), 0)]
    for plain, hedged in zip(found[::2], found[1::2], strict=True):
        name = f"{plain.factor:g} × capacity"
        if plain.factor < 1.0:
            missed = (1.0 - hedged.in_time) / (1.0 - plain.in_time)
            made.append(Claim(f"{name}: not in time with hedging, of those without", missed, 0.5))
            tail = hedged.p995_ms / plain.p995_ms
            made.append(Claim(f"{name}: p99.5 with hedging, of that without", tail, 0.9))
        else:
            gain = hedged.in_time / plain.in_time
            made.append(Claim(f"{name}: in time with hedging, of those without", gain, 0.98, at_least=True))
        made.append(Claim(f"{name}: calls for a request", hedged.calls, 1.0 + BUDGET))
    return made


def main() -> int:
    """Simulate, print, write; 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a quarter as long")
    quick: bool = parser.parse_args().quick
    length_s = QUICK_S if quick else LENGTH_S
    found = [measure(factor, after, share * length_s) for factor, share in LOADS.items() for after in (None, AFTER)]
    print(table(found))
    for one in found:
        if one.broken:
            print(f"\n{one.factor:g} × capacity, hedged after {one.after}: {one.broken}")
    return finish("hedging", claims(found), quick=quick, machine=machine(), measured=[asdict(one) for one in found])


if __name__ == "__main__":
    sys.exit(main())
