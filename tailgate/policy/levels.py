"""What calls told of an upstream, by how many there were when they were sent.

Must not live here: what follows for the limit (`concurrency_limit`).
"""

from __future__ import annotations

from typing import Final

REMEMBERED: Final = 300
"""Calls of a level that count; a rate whose calls vary by half of their mean is known to 3 % then."""
FORGOTTEN: Final = 1000
"""Calls at other levels after which what is known of one is forgotten: the upstream may be another by then."""


def _levels(most: int) -> tuple[int, ...]:
    """1, 2, 3, ...: each a quarter more than the one before, as far as whole numbers go."""
    found = [1]
    while found[-1] < most:
        found.append(max(found[-1] + 1, round(found[-1] * 1.25)))
    return tuple(found)


LEVELS: Final = _levels(100_000)


class Level:
    """What calls told that were sent with about so many at once: sums in which older calls count less."""

    __slots__ = ("at_once", "calls", "good", "last", "seconds", "squares", "worked")

    def __init__(self) -> None:
        """There were none."""
        self.calls = self.at_once = self.good = self.seconds = self.squares = self.worked = 0.0
        self.last = 0  # the number of its latest call, of all calls

    def add(self, number: int, at_once: int, seconds: float, worked_s: float, *, good: bool) -> None:
        """One more, by its number of all calls."""
        kept = 0.0 if number - self.last > FORGOTTEN else 1.0 - 1.0 / REMEMBERED
        self.last = number
        self.calls = self.calls * kept + 1.0
        self.at_once = self.at_once * kept + at_once
        self.seconds = self.seconds * kept + seconds
        self.squares = self.squares * kept + seconds * seconds
        self.good = self.good * kept + good
        self.worked = self.worked * kept + worked_s


def index_of(count: int) -> int:
    """The highest level of at most so many."""
    low, high = 0, len(LEVELS) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if LEVELS[middle] <= count:
            low = middle
        else:
            high = middle - 1
    return low
