"""The event loop's lag, on a clock that is driven by numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tailgate.policy.reserve import RENEWED, Reserve
from tailgate_proxy.loop_lag import INTERVAL_S, TIMER_S, LoopLag

Run = Callable[[Awaitable[Any]], Any]


@pytest.mark.parametrize("late_s", [0.0, 0.5 * TIMER_S, 0.005, 0.2])
def test_what_is_more_than_a_timers_own_lateness_is_kept_back_from_what_upstreams_are_told(
    late_s: float, on_virtual_time: Run
) -> None:
    async def measure() -> tuple[LoopLag, Reserve]:
        loop, reserve = asyncio.get_running_loop(), Reserve()
        faster = (INTERVAL_S + late_s) / INTERVAL_S  # of a clock by which the loop wakes so much late
        lag = LoopLag(lambda: faster * loop.time(), reserve)
        measuring = asyncio.create_task(lag.keep_measuring())
        await asyncio.sleep((RENEWED + 1) * INTERVAL_S)
        measuring.cancel()
        await asyncio.gather(measuring, return_exceptions=True)
        return lag, reserve

    lag, reserve = on_virtual_time(measure())
    assert sum(lag.histogram.counts) >= RENEWED
    assert lag.histogram.sum == pytest.approx(late_s * sum(lag.histogram.counts), abs=1e-6)
    assert reserve.seconds == pytest.approx(max(late_s - TIMER_S, 0.0), abs=1e-6)
