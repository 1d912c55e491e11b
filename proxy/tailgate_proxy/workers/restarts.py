"""When a worker that ended is started again. The clock is the caller's; nothing waits here."""

from __future__ import annotations

import math

FIRST_DELAY_S = 0.1
"""Short: one death in a long life should cost little capacity."""

LONGEST_DELAY_S = 5.0
"""A worker that never lives long is tried a dozen times a minute: cheap, and soon enough when the cause has gone."""

STEADY_S = 10.0
"""A worker that lived so long had started well. Above the longest delay, so that dying slowly is no way around it."""


class Restarts:
    """How long to wait before each start of one worker: doubling from death to death, short again after a long life."""

    def __init__(self) -> None:
        """Nothing was started yet."""
        self._started_s = math.inf
        self._delay_s = FIRST_DELAY_S

    def started(self, now_s: float) -> None:
        """The worker was started."""
        self._started_s = now_s

    def ended(self, now_s: float) -> float:
        """The worker ended; returns the seconds to wait before it is started again."""
        if now_s - self._started_s >= STEADY_S:
            self._delay_s = FIRST_DELAY_S
        delay_s = self._delay_s
        self._delay_s = min(2 * delay_s, LONGEST_DELAY_S)
        return delay_s
