"""How many bytes wait in the proxy in all: one bound over every call of every client."""

from __future__ import annotations


class Held:
    """A count with a limit.

    Attributes:
        max_bytes: The limit.
        bytes: How many are held.
    """

    __slots__ = ("bytes", "max_bytes")

    def __init__(self, max_bytes: int) -> None:
        """Nothing is held."""
        self.max_bytes = max_bytes
        self.bytes = 0

    @property
    def refusal(self) -> str:
        """What is said to a client for whose bytes there is no room."""
        return f"the proxy holds {self.bytes} bytes, about as many as it may (--max-held-mib)"

    def take(self, count: int) -> bool:
        """Hold so many more; False, and nothing is held, where that is too much."""
        if self.bytes + count > self.max_bytes:
            return False
        self.bytes += count
        return True

    def give_back(self, count: int) -> None:
        """These are held no longer."""
        self.bytes -= count
