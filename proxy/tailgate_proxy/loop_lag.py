"""How late the event loop wakes: the time during which nobody looks at what has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tailgate.ledger import Histogram
from tailgate.policy.reserve import Reserve

INTERVAL_S = 0.02
TIMER_S = 0.001
"""A timer may be this late although the loop has nothing to do: it sleeps for whole milliseconds."""
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class LoopLag:
    """Measures it, again and again.

    Attributes:
        histogram: Of all measurements.
    """

    def __init__(self, clock: Callable[[], float], reserve: Reserve) -> None:
        """Nothing is measured before `keep_measuring`; `reserve` is told of what is no timer's own lateness."""
        self.histogram = Histogram(BUCKETS_S)
        self._clock = clock
        self._reserve = reserve
        self._due_s = float("inf")

    def blind_s(self, now_s: float) -> float:
        """For how long, at least, the loop has not looked at its sockets before now.

        What has come is read before timers have their turn: a timer that is overdue at that moment tells.
        """
        overdue_s = now_s - self._due_s
        return overdue_s if overdue_s > 0.0 else 0.0

    async def keep_measuring(self) -> None:
        """Sleep for `INTERVAL_S` again and again, and count how much longer it took."""
        while True:
            self._due_s = self._clock() + INTERVAL_S
            await asyncio.sleep(INTERVAL_S)
            lag_s = self._clock() - self._due_s
            self.histogram.add(max(lag_s, 0.0))
            self._reserve.lag(max(lag_s - TIMER_S, 0.0))
