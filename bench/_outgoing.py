"""What a connection of the driver has to send: requests, interleaved frame by frame as the peer's windows allow."""

from __future__ import annotations

import socket
import ssl
from collections import deque
from itertools import islice

from bench._frames import DATA, DEFAULT_WINDOW, END_STREAM, FRAME_BYTES, frame_header
from bench._requests import Requests

PIECES_A_WRITE = 64
"""About half a megabyte of bodies: what is queued goes before what is opened later, so it must not be long."""


class Sending:
    """A request under way, as far as sending goes.

    Attributes:
        window: Bytes that the peer still takes for this stream.
        sent: Bytes of the message that are framed.
    """

    __slots__ = ("prefix", "sent", "stream", "window")

    def __init__(self, stream: int, prefix: bytes, window: int) -> None:
        self.stream, self.prefix, self.window, self.sent = stream, prefix, window, 0


class Outgoing:
    """Frames on their way to one peer.

    Attributes:
        window: Bytes that the peer still takes on this connection.
    """

    def __init__(self, requests: Requests) -> None:
        self.window = DEFAULT_WINDOW
        self.message_bytes = requests.prefix_bytes + len(requests.payload)
        self._prefix_bytes, self._payload = requests.prefix_bytes, memoryview(requests.payload)
        self._small = self.message_bytes <= FRAME_BYTES
        self._queue: deque[bytes | memoryview] = deque()
        self._sending: deque[Sending] = deque()

    def add(self, frames: bytes) -> None:
        """Queue whole frames."""
        self._queue.append(frames)

    def request(self, headers: bytes, one: Sending) -> None:
        """Queue a request; its body follows as windows allow."""
        count = self.message_bytes
        if self._small and not self._sending and count <= min(one.window, self.window):
            data = frame_header(count, DATA, END_STREAM, one.stream)
            self._queue.append(b"".join((headers, data, one.prefix, self._payload)))
            one.sent = count
            self.window -= count
        else:
            self._queue.append(headers)
            self._sending.append(one)

    def cancel(self, one: Sending) -> bool:
        """Send no more of this request; whether there was more to send."""
        if one.sent == self.message_bytes:
            return False
        self._sending.remove(one)
        return True

    def write(self, peer: socket.socket) -> bool:
        """Write once; whether nothing is left that the windows allow."""
        queue = self._queue
        if self._sending:
            self._frame_bodies()
        if not queue:
            return True
        pieces = list(islice(queue, PIECES_A_WRITE))
        try:
            count = peer.send(b"".join(pieces)) if isinstance(peer, ssl.SSLSocket) else peer.sendmsg(pieces)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return False
        while queue and count >= len(queue[0]):
            count -= len(queue.popleft())
        if count:
            queue[0] = memoryview(queue[0])[count:]
        if self._sending:
            self._frame_bodies()
        return not queue

    def _frame_bodies(self) -> None:
        """Queue frames of DATA, a stream after the other, while windows are open and little is queued."""
        queue, sending, prefix_bytes = self._queue, self._sending, self._prefix_bytes
        blocked = 0
        while blocked < len(sending) and self.window > 0 and len(queue) < PIECES_A_WRITE:
            one = sending.popleft()
            left = self.message_bytes - one.sent
            count = min(FRAME_BYTES, left, one.window, self.window)
            if count <= 0:
                sending.append(one)
                blocked += 1
                continue
            blocked = 0
            queue.append(frame_header(count, DATA, END_STREAM if count == left else 0, one.stream))
            start, one.sent = one.sent, one.sent + count
            if start < prefix_bytes:
                queue.append(one.prefix[start : one.sent])
            if one.sent > prefix_bytes:
                queue.append(self._payload[max(start - prefix_bytes, 0) : one.sent - prefix_bytes])
            one.window -= count
            self.window -= count
            if count < left:
                sending.append(one)
