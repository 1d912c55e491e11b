"""What waits on one stream for its peer to make room: the rest of a body, and what ends it."""

from __future__ import annotations

from collections import deque
from typing import Final

from tailgate.http2.connection import Connection
from tailgate.http2.events import Headers

PROGRESS_BYTES: Final = 16 * 1024
"""So much of what waits on a stream has to leave within the time a peer may keep us waiting: less is a trickle."""


class Unsent:
    """One stream's.

    Attributes:
        bytes: How much waits.
        since_s: When it began to wait, or last had made progress.
    """

    __slots__ = ("_end", "_pieces", "_progress", "_stream_id", "_trailers", "bytes", "since_s")

    def __init__(self, stream_id: int, since_s: float) -> None:
        """Nothing waits yet."""
        self._stream_id = stream_id
        self._pieces: deque[memoryview] = deque()
        self._end = False
        self._trailers: Headers | None = None
        self._progress = 0  # bytes that have left since `since_s`
        self.bytes = 0
        self.since_s = since_s

    def add(self, data: memoryview, *, end: bool, trailers: Headers | None) -> None:
        """More waits, and stays as it is for as long; with `end` or trailers nothing follows it."""
        self._pieces.append(data)
        self.bytes += len(data)
        self._end, self._trailers = end, trailers

    @property
    def gone(self) -> bool:
        """Whether all of it has left."""
        return not self._pieces

    def go_on(self, http2: Connection, now_s: float) -> int:
        """Send what there is room for; returns how much that was."""
        left, pieces = 0, self._pieces
        while pieces:
            piece = pieces[0]
            sent = http2.send_data(self._stream_id, piece, end_stream=self._end and len(pieces) == 1)
            left += sent
            if sent < len(piece):
                pieces[0] = piece[sent:]
                break
            pieces.popleft()
        if not pieces and self._trailers is not None:
            http2.send_headers(self._stream_id, self._trailers, end_stream=True)
        self.bytes -= left
        self._progress += left
        if self._progress >= PROGRESS_BYTES:
            self.since_s, self._progress = now_s, 0
        return left
