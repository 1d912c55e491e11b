"""Upstreams of numbers: some that work on a few calls at once, and one that works on batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random

from tailgate.simulation.events import Events

Done = Callable[[], None]


class Work:
    """A call at a server. One that is cancelled while it waits is not worked on; what is under way goes on."""

    def __init__(self, done: Done) -> None:
        """One whose end is told to `done`."""
        self.done = done
        self.cancelled = False


class Workers:
    """Works on so many calls at once, first in, first out.

    Attributes:
        workers: How many at once; may change.
        take_s: How long the next takes.
        served: Calls that were worked on.
    """

    def __init__(self, events: Events, workers: int, take_s: Callable[[], float]) -> None:
        """Idle."""
        self._events = events
        self.workers = workers
        self.take_s = take_s
        self.served = 0
        self._busy = 0
        self._waiting: deque[Work] = deque()

    def begin(self, work: Work) -> None:
        """A call comes."""
        self._waiting.append(work)
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self._busy < self.workers:
            work = self._waiting.popleft()
            if not work.cancelled:
                self._busy += 1
                self._events.after(self.take_s(), lambda work=work: self._end(work))  # type: ignore[misc]  # its default

    def _end(self, work: Work) -> None:
        self._busy -= 1
        self.served += 1
        if not work.cancelled:
            work.done()
        self._go_on()


class Batches:
    """Works on one batch at a time, of all that waits then, up to so many: ``fixed_s + n * each_s`` for n of them.

    Attributes:
        served: Calls that were worked on.
    """

    def __init__(self, events: Events, largest: int, fixed_s: float, each_s: float) -> None:
        """Idle."""
        self._events = events
        self._largest, self._fixed_s, self._each_s = largest, fixed_s, each_s
        self.served = 0
        self._busy = False
        self._waiting: deque[Work] = deque()

    def begin(self, work: Work) -> None:
        """A call comes."""
        self._waiting.append(work)
        self._go_on()

    def _go_on(self) -> None:
        batch: list[Work] = []
        while self._waiting and not self._busy and len(batch) < self._largest:
            work = self._waiting.popleft()
            if not work.cancelled:
                batch.append(work)
        if batch:
            self._busy = True
            self._events.after(self._fixed_s + self._each_s * len(batch), lambda: self._end(batch))

    def _end(self, batch: list[Work]) -> None:
        self._busy = False
        self.served += len(batch)
        for work in batch:
            if not work.cancelled:
                work.done()
        self._go_on()


def gamma(random: Random, mean_s: float, variation: float) -> Callable[[], float]:
    """Service times of this mean and coefficient of variation; 0: all the same."""
    if variation <= 0.0:
        return lambda: mean_s
    shape = variation**-2
    return lambda: random.gammavariate(shape, mean_s / shape)
