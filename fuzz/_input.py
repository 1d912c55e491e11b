"""The bytes that a fuzzer makes, read as choices. Where they end, every choice is the first and every size is 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Input:
    """Reads from the front, so that a longer input is the same story told further."""

    def __init__(self, data: bytes) -> None:
        """Start at the beginning."""
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes that have not been read."""
        return len(self._data) - self._at

    def byte(self) -> int:
        """0 to 255."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def pick(self, choices: Sequence[T]) -> T:
        """One of at most 256."""
        return choices[self.byte() % len(choices)]

    def take(self, count: int) -> bytes:
        """So many bytes as they are, or as many as are left."""
        content = self._data[self._at : self._at + count]
        self._at += count
        return content

    def sized(self) -> bytes:
        """A length, and so many bytes."""
        return self.take(self.byte())

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(max(0, self.left))
