"""One timer for the limits of all calls.

Timers may fire early, some by a millisecond: whether an instant has passed is for the clock to say.
"""

from __future__ import annotations

import asyncio
from typing import Final

from tailgate.deadline_queue import DeadlineQueue
from tailgate_proxy.pipeline import Watched

EARLY_S: Final = 0.0002
"""How much later than a limit its timer is set: at the instant itself it has not passed yet."""


class Timekeeper:
    """Calls `time_up` of whatever it watches."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Nothing is watched."""
        self._loop = loop
        self._queue: DeadlineQueue[Watched] = DeadlineQueue(alive=lambda watched: not watched.ended)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = float("inf")

    def watch(self, watched: Watched) -> None:
        """Watch something until it has ended; to be called again when its limit moves."""
        at_s = watched.limit.at_s
        self._queue.add(at_s, watched)
        if at_s < self._timer_s:
            self._set(at_s)

    def catch_up(self, now_s: float) -> None:
        """To be called now and then where the loop is kept busy: its timers have their turn only when it is not."""
        if self._timer is not None and now_s > self._timer_s:
            self._timer.cancel()
            self._look()

    def stop_all(self) -> None:
        """The proxy stops: whatever still goes on has to end."""
        for watched in self._queue.due(float("inf")):
            watched.stop()

    def close(self) -> None:
        """Watch nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _set(self, at_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = at_s
        self._timer = self._loop.call_at(at_s + EARLY_S, self._look)

    def _look(self) -> None:
        self._timer, self._timer_s = None, float("inf")
        now_s = self._loop.time()
        for watched in self._queue.due(now_s):
            if watched.ended:
                continue
            if watched.limit.passed(now_s):
                watched.time_up()
            else:  # its limit has moved, or this is the instant itself
                self._queue.add(max(watched.limit.at_s, now_s + EARLY_S), watched)
        next_s = self._queue.next_s
        if next_s is not None and next_s < self._timer_s:
            self._set(next_s)
