"""More and more calls at once, until some are refused or enough has been seen. A shell; it judges nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tailgate_loadgen.probe.judge_overload import refused
from tailgate_loadgen.probe.seen import Burst
from tailgate_loadgen.probe.trials import Trials

SMALLEST = 8
ENOUGH_S = 5.0
"""A burst whose last answer takes longer than this shows what a queue without a bound does; none larger is sent."""


async def make_bursts(trials: Trials, largest: int, on_burst: Callable[[], None]) -> tuple[Burst, ...]:
    """Bursts of 8, 16, 32, … calls, up to `largest`; the first size that has refusals is sent twice."""
    bursts: list[Burst] = []
    size = min(SMALLEST, largest)
    while True:
        patience_s = ENOUGH_S + 3 * size * trials.service_s
        calls = await asyncio.gather(*(trials.caller.start(trials.body, patience_s) for _ in range(size)))
        burst = Burst(tuple(calls), patience_s)
        again = bool(bursts) and len(bursts[-1].calls) == size
        bursts.append(burst)
        on_burst()
        await trials.settle(patience_s)
        some_refused = any(refused(call) for call in calls)
        last_s = max(call.ended_s for call in calls) - min(call.sent_s for call in calls)
        if some_refused and not again:
            continue
        if again or size >= largest or last_s > ENOUGH_S:
            return tuple(bursts)
        size = min(2 * size, largest)
