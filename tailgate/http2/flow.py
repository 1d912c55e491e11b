"""Flow control (RFC 9113 §5.2, §6.9): how much we may send, how much we let the peer send."""

from __future__ import annotations

from tailgate.http2.codes import DEFAULT_WINDOW, MAX_WINDOW


class SendWindow:
    """What the peer lets us send; below zero after it has made its initial window smaller (§6.9.2)."""

    __slots__ = ("size",)

    def __init__(self, size: int = DEFAULT_WINDOW) -> None:
        """Start with this many bytes."""
        self.size = size

    def fits(self, increment: int) -> bool:
        """Whether the window may grow so much (§6.9.1)."""
        return self.size + increment <= MAX_WINDOW

    def open(self, increment: int) -> bool:
        """Grow or, with less than zero, shrink; returns whether it was exhausted and is so no longer."""
        was_exhausted = self.size <= 0
        self.size += increment
        return was_exhausted and self.size > 0


class ReceiveWindow:
    """What we let the peer send: ``credit + pending + what the caller still holds = target``, at all times.

    Attributes:
        credit: What the peer may still send, by all that it was told.
        pending: What was given back, and is not announced yet.
        target: What it may send when nothing is held.
    """

    __slots__ = ("credit", "pending", "target")

    def __init__(self, target: int, credit: int | None = None) -> None:
        """Start with the target as credit, or with more: then the first acknowledgements announce nothing.

        What the peer may take for granted cannot be taken back, only not be given again.
        """
        self.target = target
        self.credit = target if credit is None else credit
        self.pending = target - self.credit

    def acknowledge(self, count: int) -> int:
        """So much is no longer held; returns the increment to announce now, or 0 to wait for more.

        Half of the window is gathered first. A peer that stands still has no credit; when nothing is held either,
        all of the target is pending: so nobody waits for ever.
        """
        self.pending += count
        if self.pending <= 0 or 2 * self.pending < self.target:
            return 0
        increment, self.pending = self.pending, 0
        self.credit += increment
        return increment

    def retarget(self, target: int) -> None:
        """The peer has acknowledged another initial window, and counts with it from now on."""
        self.credit += target - self.target
        self.target = target
