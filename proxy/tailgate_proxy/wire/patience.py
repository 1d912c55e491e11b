"""How long a client has kept us waiting: with what it must complete, and with answers that it does not read."""

from __future__ import annotations

from tailgate_proxy.wire.unsent import PROGRESS_BYTES


class Patience:
    """One client's."""

    __slots__ = ("_midway_since_s", "_read_bytes", "_unread_since_s")

    def __init__(self) -> None:
        """It has not kept us waiting."""
        self._midway_since_s: float | None = None
        self._unread_since_s: float | None = None  # since when what the transport has for it makes no progress
        self._read_bytes = 0  # how much it had read then

    def midway_since_s(self, now_s: float, *, midway: bool) -> float | None:
        """Since when it has been midway in something that it has to complete; None where it is not."""
        if not midway:
            self._midway_since_s = None
        elif self._midway_since_s is None:
            self._midway_since_s = now_s
        return self._midway_since_s

    def unread_since_s(self, now_s: float, written_bytes: int, left_bytes: int) -> float | None:
        """Since when what the transport has for it makes no progress; None where there is nothing. A client with wide
        windows has whole answers there, and none that waits for its window.

        Args:
            now_s: The time.
            written_bytes: What was given to the transport in all.
            left_bytes: What of that is there still.
        """
        read = written_bytes - left_bytes
        if not left_bytes:
            self._unread_since_s = None
        elif self._unread_since_s is None or read - self._read_bytes >= PROGRESS_BYTES:
            self._unread_since_s, self._read_bytes = now_s, read
        return self._unread_since_s
