"""Trials: calls that are given up, and a witness behind them, in every variant in turn. A shell; it judges nothing.

A trial sends so many calls that keep the server busy, then the doomed, then the witness; afterwards it waits until the
server is idle, so that no trial pays for another.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from tailgate_loadgen.probe.caller import Caller
from tailgate_loadgen.probe.seen import Ended, Experiment, Trial

ALONE, LIVE = "alone", "live"
IDLE, IDLE_S = 1.5, 0.02
"""A server is idle when a call takes at most this many times what one alone takes, and this much more."""
MOST_LOOKS, MOST_UNANSWERED = 50, 3
HOPELESS = 3
"""So many unusable trials of a variant, and not as many usable ones, and no more are made: each costs long waits."""
ALIVE_S = 5.0
_GAP, _LONGEST_GAP_S = 0.1, 0.01
"""Between calls that have to arrive in order: this share of a service time, at most so many seconds."""


async def _nothing(_: int) -> None:
    """Most treatments need no preparation."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """A way to give up calls.

    Attributes:
        start: Starts one doomed call, given how long it would be waited for and when it is given up.
        prepare: Is awaited before a trial, with the number of doomed calls.
    """

    start: Callable[[float, float], asyncio.Task[Ended]]
    prepare: Callable[[int], Awaitable[None]] = _nothing


@dataclass(frozen=True, slots=True)
class Plan:
    """What a trial sends, and when.

    Attributes:
        blockers: Calls that keep the server busy before the doomed come.
        doomed: Calls that are given up.
        after_s: When those are given up, after they were sent.
        gap_s: Between calls that have to arrive in order.
        witness_after_s: When the witness is sent, after the doomed.
    """

    blockers: int
    doomed: int
    after_s: float
    gap_s: float
    witness_after_s: float


def queued_plan(doomed: int, service_s: float) -> Plan:
    """The doomed are given up while the first call is still running, so also where deadlines decide who is next."""
    gap_s = min(_GAP * service_s, _LONGEST_GAP_S)
    return Plan(blockers=doomed, doomed=doomed, after_s=service_s / 2, gap_s=gap_s, witness_after_s=gap_s)


def running_plan(doomed: int, service_s: float) -> Plan:
    """The doomed are given up in the middle of their work; the witness comes right after that."""
    gap_s = min(_GAP * service_s, _LONGEST_GAP_S)
    return Plan(blockers=0, doomed=doomed, after_s=service_s / 2, gap_s=0.0, witness_after_s=service_s / 2 + gap_s)


class Trials:
    """Makes trials of one request, `body`, which takes `service_s` alone, through `caller`."""

    def __init__(self, caller: Caller, body: bytes, times_s: Sequence[float], rows: int) -> None:
        """Nothing is sent yet.

        Args:
            caller: Makes the calls.
            body: The request.
            times_s: What it took alone, each time.
            rows: By how much it moves the server's count; 0 where there is none.
        """
        self.caller = caller
        self.body = body
        self.service_s = statistics.median(times_s)
        self._slowest_s = max(times_s)
        self._rows = rows

    def patience_s(self, plan: Plan) -> float:
        """How long a trial's calls wait: for all of them one after another, with room for a busy machine."""
        return 2.0 + 3 * (plan.blockers + plan.doomed + 1) * self._slowest_s

    async def run(
        self, plan: Plan, treatments: Mapping[str, Treatment], rounds: int, on_round: Callable[[], None]
    ) -> Experiment:
        """All variants in turn, until each has so many usable trials or has shown that it will not.

        Args:
            plan: Of each trial.
            treatments: How doomed calls are given up, by name.
            rounds: Usable trials that are wanted of each variant.
            on_round: Called after each round.
        """
        usable: dict[str, list[Trial]] = {name: [] for name in (ALONE, LIVE, *treatments)}
        unusable: dict[str, list[Trial]] = {name: [] for name in usable}
        for _ in range(2 * rounds):
            wanted = [name for name in usable if _wanted(len(usable[name]), len(unusable[name]), rounds)]
            for name in wanted:
                trial = await self.trial(plan, name, treatments.get(name))
                (usable if trial.witness.ok else unusable)[name].append(trial)
            if not wanted:
                break
            on_round()
        alone, live = tuple(usable.pop(ALONE)), tuple(usable.pop(LIVE))
        early = {name: tuple(trials) for name, trials in usable.items()}
        lost = {name: tuple(trials) for name, trials in unusable.items() if trials}
        return Experiment(alone, live, early, plan.doomed, plan.after_s, self.service_s, lost)

    async def trial(self, plan: Plan, variant: str, treatment: Treatment | None = None) -> Trial:
        """One trial; the server is idle afterwards, or does not answer."""
        if treatment is not None:
            await treatment.prepare(plan.doomed)
        counted_before = await self._counted()
        start, patience_s = self.caller.start, self.patience_s(plan)
        blockers = [start(self.body, patience_s) for _ in range(plan.blockers)]
        await asyncio.sleep(plan.gap_s)
        doomed: list[asyncio.Task[Ended]] = []
        if variant == LIVE:
            doomed = [start(self.body, patience_s) for _ in range(plan.doomed)]
        elif treatment is not None:
            doomed = [treatment.start(patience_s, plan.after_s) for _ in range(plan.doomed)]
        await asyncio.sleep(plan.witness_after_s)
        witness = await start(self.body, patience_s)
        others = await asyncio.gather(*doomed)
        await asyncio.gather(*blockers)
        looks = await self.settle(patience_s)
        counted_after = await self._counted()
        counted = None
        if counted_before is not None and counted_after is not None:
            counted = (counted_after - counted_before) // self._rows - looks
        return Trial(witness, tuple(others), counted, plan.blockers + len(others) + 1)

    async def settle(self, patience_s: float) -> int:
        """Wait until the server is idle; returns how many calls were answered on the way."""
        answered = unanswered = 0
        for _ in range(MOST_LOOKS):
            look = await self.caller.ask(self.body, patience_s)
            answered += look.ok
            unanswered += not look.ok
            if (look.ok and look.took_s <= IDLE * self.service_s + IDLE_S) or unanswered == MOST_UNANSWERED:
                break
        return answered

    async def alive(self) -> bool:
        """Whether a plain call is answered, if not at once then soon."""
        for _ in range(MOST_UNANSWERED):
            if (await self.caller.ask(self.body, ALIVE_S + 10 * self._slowest_s)).ok:
                return True
            await asyncio.sleep(self.service_s)
        return False

    async def _counted(self) -> int | None:
        return await self.caller.counted() if self._rows else None


def _wanted(usable: int, unusable: int, rounds: int) -> bool:
    return usable < rounds and (unusable < HOPELESS or usable >= unusable)
