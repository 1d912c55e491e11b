"""Against floods: what only costs is paid from a budget, which useful work and time fill again.

There is no clock here: whoever has one fills the budgets once a second, which makes them rates.
"""

from __future__ import annotations

from tailgate.http2.codes import ErrorCode
from tailgate.http2.errors import ConnectionViolation


class Budget:
    """How much of one thing a peer may still do."""

    __slots__ = ("_capacity", "_left", "_what")

    def __init__(self, capacity: int, what: str) -> None:
        """Start full; `what` it pays for is named when it is spent."""
        self._capacity = self._left = capacity
        self._what = what

    def spend(self) -> None:
        """Pay for one.

        Raises:
            ConnectionViolation: Nothing is left.
        """
        self._left -= 1
        if self._left < 0:
            raise ConnectionViolation(
                ErrorCode.ENHANCE_YOUR_CALM,
                f"more than {self._capacity} {self._what}, and too little work between them",
            )

    def earn(self, count: int) -> None:
        """Work was done that is worth so many."""
        left = self._left + count
        self._left = left if left < self._capacity else self._capacity

    def refill(self) -> None:
        """Start again."""
        self._left = self._capacity
