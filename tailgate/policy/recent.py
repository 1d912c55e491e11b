"""Counts over the last seconds: what a share of late is a share of. Time is an argument and never goes back."""

from __future__ import annotations

from collections import deque

SLOTS = 10
"""So many pieces make a window; it forgets a piece at a time."""


class Recent:
    """Two counts, such as calls and those of them that failed, over the last `window_s` seconds.

    The current slot has only begun, so what it covers is between nine and ten tenths of the window.

    >>> recent = Recent(10.0)
    >>> recent.add(0.0, 1, 1), recent.add(5.0, 1, 0), recent.sums(9.9), recent.sums(10.0)
    (None, None, (2, 1), (1, 0))
    """

    def __init__(self, window_s: float) -> None:
        """Nothing has been counted."""
        self._slot_s = window_s / SLOTS
        self._slots: deque[list[int]] = deque()  # number of the slot, first count, second count
        self._newest = [0, 0, 0]
        self._newest_until_s = float("-inf")
        self._first = self._second = 0

    def add(self, now_s: float, first: int, second: int) -> None:
        """Count so many of either."""
        if now_s >= self._newest_until_s:
            number = self._forget(now_s)
            self._newest = [number, 0, 0]
            self._newest_until_s = (number + 1) * self._slot_s
            self._slots.append(self._newest)
        self._newest[1] += first
        self._newest[2] += second
        self._first += first
        self._second += second

    def sums(self, now_s: float) -> tuple[int, int]:
        """Both counts, as of now."""
        self._forget(now_s)
        return self._first, self._second

    def clear(self) -> None:
        """Start anew."""
        self._slots.clear()
        self._newest_until_s = float("-inf")
        self._first = self._second = 0

    def _forget(self, now_s: float) -> int:
        """Drop what is older than the window; returns the number of the slot that it is now."""
        number = int(now_s // self._slot_s)
        while self._slots and self._slots[0][0] <= number - SLOTS:
            _, first, second = self._slots.popleft()
            self._first -= first
            self._second -= second
        return number
