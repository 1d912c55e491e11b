"""When to try again to reach an upstream: soon after the first failure, less often after more. Time is an argument."""

from __future__ import annotations

LEAST_S = 0.05
MOST_S = 0.5
"""So that an upstream that has come back is used again within half a second."""


class Backoff:
    """Doubles the pause with every failure in a row.

    >>> backoff = Backoff()
    >>> backoff.failed(10.0), backoff.may_try(10.04), backoff.may_try(10.05)
    (None, False, True)
    """

    def __init__(self) -> None:
        """Nothing has failed."""
        self._failures = 0
        self._until_s = float("-inf")

    def may_try(self, now_s: float) -> bool:
        """Whether the pause is over."""
        return now_s >= self._until_s

    def failed(self, now_s: float) -> None:
        """It could not be reached."""
        self._until_s = now_s + min(LEAST_S * 2**self._failures, MOST_S)
        self._failures = min(self._failures + 1, 16)

    def succeeded(self) -> None:
        """It could."""
        self._failures = 0
        self._until_s = float("-inf")
