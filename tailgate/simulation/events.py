"""A discrete-event loop: what happens when, in order; nothing ever waits."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush


class Events:
    """The clock, and what is to happen.

    Attributes:
        now_s: The time.
    """

    def __init__(self) -> None:
        """It is 0 s, and nothing is planned."""
        self.now_s = 0.0
        self._planned: list[tuple[float, int, Callable[[], object]]] = []
        self._count = 0

    def at(self, at_s: float, act: Callable[[], object]) -> None:
        """Plan something for an instant; what is planned first for an instant happens first."""
        self._count += 1
        heappush(self._planned, (max(at_s, self.now_s), self._count, act))

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        """Plan something for so much later."""
        self.at(self.now_s + seconds, act)

    def step(self) -> bool:
        """Let the next thing happen; False where nothing is planned."""
        if not self._planned:
            return False
        at_s, _, act = heappop(self._planned)
        self.now_s = max(self.now_s, at_s)
        act()
        return True

    def run(self, until_s: float = float("inf")) -> int:
        """Let it all happen that is planned until then; returns how many things did."""
        happened = 0
        while self._planned and self._planned[0][0] <= until_s:
            self.now_s, _, act = heappop(self._planned)
            act()
            happened += 1
        if until_s < float("inf"):
            self.now_s = until_s
        return happened
