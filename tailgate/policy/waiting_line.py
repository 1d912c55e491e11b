"""Who is next: those that wait, earliest deadline first, and behind them those that are only tried.

Earliest deadline first meets all deadlines that any order can meet (Jackson 1955; Liu and Layland, J. ACM 20, 1973),
so a request with little time need not wait behind one that has plenty. What makes that order collapse under overload,
one late request making the next late, is kept out before: what cannot make it is refused on arrival, gives way at the
front, and what has expired is never served. With equal budgets it is first in, first out.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from typing import Generic, Protocol, TypeVar


class Timed(Protocol):
    """Something that has a deadline."""

    @property
    def at_s(self) -> float:
        """The instant."""
        ...


Item = TypeVar("Item", bound=Timed)


class WaitingLine(Generic[Item]):
    """Items in their order."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._line: list[tuple[float, int, Item]] = []
        self._numbers: dict[int, int] = {}  # of those in the line, by identity
        self._behind: deque[Item] = deque()
        self._added = 0

    def __len__(self) -> int:
        """How many wait, without those behind."""
        return len(self._line)

    @property
    def behind(self) -> int:
        """How many wait behind all others."""
        return len(self._behind)

    def ahead_of(self, at_s: float) -> int:
        """How many are served before one that would come now with this deadline."""
        return bisect_right(self._line, at_s, key=lambda entry: entry[0])

    def add(self, item: Item) -> None:
        """Wait."""
        self._added += 1
        self._numbers[id(item)] = self._added
        insort(self._line, (item.at_s, self._added, item))

    def add_behind(self, item: Item) -> None:
        """Wait behind all others."""
        self._behind.append(item)

    def at(self, place: int) -> Item:
        """Who waits at a place, counted from the front."""
        return self._line[place][2]

    def pop(self) -> Item | None:
        """The next one is taken out; those behind only where nobody else waits."""
        if self._line:
            item = self._line.pop(0)[2]
            del self._numbers[id(item)]
            return item
        return self._behind.popleft() if self._behind else None

    def remove(self, item: Item) -> None:
        """It does not wait any more."""
        number = self._numbers.pop(id(item), None)
        if number is None:
            self._behind.remove(item)
            return
        place = bisect_right(self._line, (item.at_s, number), key=lambda entry: (entry[0], entry[1])) - 1
        del self._line[place]
