"""What is to happen at which instant, earliest first, so that one timer of a shell serves any number of items.

Most deadlines never come, for the answer is there before. So an item that has ended is not searched for and taken out:
it stays until its instant, or until so many have ended that a sweep pays for itself.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Final, Generic, TypeVar

_LEAST_SWEEP: Final = 128
"""Fewer than this are not worth a sweep. What has ended is kept until then with all that it holds, so many are no gain
either: the memory of what ended last is the one that is still in the processor's cache.
"""

Item = TypeVar("Item")


class DeadlineQueue(Generic[Item]):
    """Items by their instants.

    >>> queue = DeadlineQueue[str](alive=lambda item: item != "gone")
    >>> for at_s, item in ((2.0, "b"), (1.0, "a"), (1.5, "gone")):
    ...     queue.add(at_s, item)
    >>> queue.next_s, queue.due(1.7), queue.next_s
    (1.0, ['a'], 2.0)
    """

    def __init__(self, alive: Callable[[Item], bool]) -> None:
        """Start empty; `alive` says whether an item still waits for its instant."""
        self._alive = alive
        self._heap: list[tuple[float, int, Item]] = []
        self._added = 0
        self._sweep_at = _LEAST_SWEEP

    @property
    def next_s(self) -> float | None:
        """The earliest instant, or None where nothing waits."""
        return self._heap[0][0] if self._heap else None

    def __len__(self) -> int:
        """How many are kept, ended ones among them."""
        return len(self._heap)

    def add(self, at_s: float, item: Item) -> None:
        """Put an item to an instant; it may have several."""
        self._added += 1  # so that items of one instant keep their order, and are never compared themselves
        heappush(self._heap, (at_s, self._added, item))
        if len(self._heap) >= self._sweep_at:
            self._heap = [entry for entry in self._heap if self._alive(entry[2])]
            heapify(self._heap)
            self._sweep_at = max(_LEAST_SWEEP, 2 * len(self._heap))

    def drop_ended(self) -> None:
        """Take out the ended ones in front, so that `next_s` is of one that waits: a timer set to it rings seldom."""
        while self._heap and not self._alive(self._heap[0][2]):
            heappop(self._heap)

    def due(self, now_s: float) -> list[Item]:
        """Take out the items whose instant has come, in their order; those that have ended are dropped."""
        found: list[Item] = []
        while self._heap and self._heap[0][0] <= now_s:
            item = heappop(self._heap)[2]
            if self._alive(item):
                found.append(item)
        return found
