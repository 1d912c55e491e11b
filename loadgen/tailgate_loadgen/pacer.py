"""Calls a function at given instants of the loop's clock: never early, and as little late as an event loop allows.

The alarm is set a little before an instant (`head_start`). Who wakes too early waits out what is left: in turns of the
loop, so that answers are read meanwhile, and at last, when nothing else could be done in time, by looking at the clock.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tailgate_loadgen.alarm import MakeAlarm, best_alarm
from tailgate_loadgen.head_start import HeadStart

MAX_BURST = 32
"""Fired on one wake-up. After a stall many instants are due at once; between bursts the loop gets to read answers."""
MAX_BETWEEN = 2
"""Fired between two answers: enough to keep up with them, and not so many that a backlog would keep answers waiting."""
SOON_S = 50e-6
"""Nearer than this an instant is waited for before anything else is begun: a look at one answer takes as long."""


class Pacer:
    """Fires once at each instant of a list, in order."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        due_s: npt.NDArray[np.float64],
        fire: Callable[[int], None],
        alarm: MakeAlarm = best_alarm,
    ) -> None:
        """Prepare; nothing is fired before `run`.

        Args:
            loop: On whose `time` the instants are.
            due_s: float64 `[instants]`, not falling.
            fire: Called with the instant's position.
            alarm: Makes the alarm.
        """
        self._loop = loop
        self._due_s: list[float] = due_s.tolist()  # plain floats: the list is walked once for every request
        self._fire = fire
        self.total = len(self._due_s)
        """Instants at which there is anything to fire."""
        self._next = 0
        self._done: asyncio.Future[None] = loop.create_future()
        self._make_alarm = alarm
        self._head_start = HeadStart()
        self._sleeps_until_s: float | None = None  # what the alarm is set to; None if that was past already

    @property
    def fired(self) -> int:
        """How many instants have been fired at."""
        return self._next

    @property
    def next_due_s(self) -> float:
        """The next instant; infinite after the last."""
        return self._due_s[self._next] if self._next < self.total else math.inf

    async def run(self) -> int:
        """Fire at every instant; returns how many were fired, which is fewer than `total` only after `stop`."""
        self._alarm = self._make_alarm(self._loop, self._on_alarm)
        try:
            self._fire_due(MAX_BURST)
            await self._done
        finally:
            self._alarm.close()
        return self._next

    def stop(self) -> None:
        """Fire no more."""
        if not self._done.done():
            self._done.set_result(None)

    def end_after(self, count: int) -> None:
        """Fire at no instant behind the first `count`; those that were fired at before, were."""
        self.total = min(self.total, max(count, self._next))
        if self._next >= self.total:
            self.stop()

    def catch_up(self) -> None:
        """Fire at instants that have come or come soon, a few at most, before the alarm rings.

        For between other work, not for within firing. It costs nothing where there is nothing to fire.
        """
        if self.next_due_s - self._loop.time() <= SOON_S and not self._done.done():
            self._wait_if_soon()
            self._fire_due(MAX_BETWEEN)

    def _on_alarm(self) -> None:
        if self._sleeps_until_s is not None:
            self._head_start.woken(self._loop.time() - self._sleeps_until_s)
        self._wait_if_soon()
        self._fire_due(MAX_BURST)

    def _wait_if_soon(self) -> None:
        due_s, time = self.next_due_s, self._loop.time
        while 0 < due_s - time() <= SOON_S:
            pass

    def _fire_due(self, most: int) -> None:
        for _ in range(most):
            # The clock decides, not the alarm, which may ring a little early.
            if self._done.done() or self.next_due_s > self._loop.time():
                break
            self._next += 1
            try:
                self._fire(self._next - 1)
            except Exception as error:  # noqa: BLE001 - handed on to whoever awaits `run`
                self._done.set_exception(error)
        if math.isinf(self.next_due_s):
            self.stop()
        if not self._done.done():
            at_s = self.next_due_s - self._head_start.seconds
            self._sleeps_until_s = at_s if at_s > self._loop.time() else None
            self._alarm.set(at_s)
