"""One connection of the driver: opens streams, and checks what comes back."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass

from bench._frames import (
    ACK,
    CANCEL,
    CONTINUATION,
    DATA,
    DEFAULT_WINDOW,
    ENABLE_PUSH,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADER_TABLE_SIZE,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    LEAST_TABLE,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    frames,
    number,
    read_number,
    read_settings,
    settings,
    window_update,
)
from bench._hpack import Blocks, RepeatedFields
from bench._outgoing import Outgoing, Sending
from bench._requests import Requests

BUFFER_BYTES = 1 << 18
WINDOW = 1 << 24
_FIRST_STREAMS = 3  # the first block fills the peer's table, the second is what all others look like


@dataclass(frozen=True, slots=True)
class Ended:
    """A request that is over.

    Attributes:
        number: Which one.
        started_s, ended_s: When it was handed to the connection, and when the end of its stream was seen.
        status: gRPC's status; None if the stream was reset or ended without one.
        right: Whether the answer was OK and every byte as expected.
    """

    number: int
    started_s: float
    ended_s: float
    status: int | None
    right: bool


class _Open:
    """A request under way: what of its answer is here."""

    __slots__ = ("number", "received", "right", "sending", "started_s")

    def __init__(self, number: int, started_s: float, sending: Sending) -> None:
        self.number, self.started_s, self.sending = number, started_s, sending
        self.received, self.right = 0, True


class Link:
    """A client's connection; `socket` does not block.

    Attributes:
        greeted: Whether the peer's settings are here: no request goes out before.
    """

    def __init__(self, peer: socket.socket, requests: Requests, answer: bytes) -> None:
        self.socket, self.greeted = peer, False
        self._requests, self._answer = requests, answer
        self._buffer = bytearray(BUFFER_BYTES)
        self._view, self._filled = memoryview(self._buffer), 0
        self._outgoing = Outgoing(requests)
        self._outgoing.add(PREFACE + settings({ENABLE_PUSH: 0, INITIAL_WINDOW_SIZE: WINDOW}) + window_update(0, WINDOW))
        self._fields, self._same, self._blocks = RepeatedFields(), b"", Blocks()
        self._open: dict[int, _Open] = {}
        self._next_stream, self._stream_window, self._unopened = 1, DEFAULT_WINDOW, 0

    def start(self, number: int, now_s: float) -> None:
        """Open a stream for a request."""
        stream = self._next_stream
        self._next_stream += 2
        if stream <= _FIRST_STREAMS:
            self._same = self._requests.repeated(self._fields)
        sending = Sending(stream, self._requests.prefix(number), self._stream_window)
        self._open[stream] = _Open(number, now_s, sending)
        self._outgoing.request(self._requests.headers(number, stream, self._same), sending)

    def flush(self) -> bool:
        """Write what the socket takes; whether nothing is left that the peer's windows allow."""
        return self._outgoing.write(self.socket)

    def readable(self) -> list[Ended]:
        """Take what came; the requests that it ended."""
        ended: list[Ended] = []
        while True:
            try:
                count = self.socket.recv_into(self._view[self._filled :])
            except (BlockingIOError, ssl.SSLWantReadError):
                return ended
            if count == 0:
                raise SystemExit(f"the peer closed its connection with {len(self._open)} requests open")
            self._filled += count
            start = 0
            for kind, flags, stream, payload, end in frames(self._buffer, 0, self._filled):
                start = end
                if kind == DATA:
                    self._data(flags, stream, payload, end, ended)
                elif kind == HEADERS:
                    self._headers(flags, stream, payload, end, ended)
                else:
                    self._other(kind, flags, stream, bytes(self._buffer[payload:end]), ended)
            rest = self._filled - start
            self._buffer[:rest] = self._buffer[start : self._filled]
            self._filled = rest
            if not isinstance(self.socket, ssl.SSLSocket):  # which may hold more that no selector sees
                return ended

    def _data(self, flags: int, stream: int, start: int, end: int, ended: list[Ended]) -> None:
        if flags & PADDED:
            raise SystemExit("this driver does not read padding")
        count = end - start
        self._unopened += count
        if self._unopened * 2 >= WINDOW:
            self._outgoing.add(window_update(0, self._unopened))
            self._unopened = 0
        one = self._open.get(stream)
        if one is None:
            return
        if one.received == 0 and count == len(self._answer):
            one.right &= self._buffer.startswith(self._answer, start, end)
        else:
            one.right &= self._buffer[start:end] == self._answer[one.received : one.received + count]
        one.received += count
        if flags & END_STREAM:
            self._end(stream, None, ended)

    def _headers(self, flags: int, stream: int, start: int, end: int, ended: list[Ended]) -> None:
        if flags & (PADDED | PRIORITY) or not flags & END_HEADERS:
            raise SystemExit("this driver reads header blocks in one plain frame only")
        fields = self._blocks.read(bytes(self._buffer[start:end]))
        one = self._open.get(stream)
        if one is None:
            return
        one.right &= fields.get(b":status", b"200") == b"200"
        if flags & END_STREAM:
            status = fields.get(b"grpc-status")
            self._end(stream, None if status is None else int(status), ended)

    def _other(self, kind: int, flags: int, stream: int, payload: bytes, ended: list[Ended]) -> None:
        if kind == WINDOW_UPDATE:
            if stream == 0:
                self._outgoing.window += read_number(payload)
            elif one := self._open.get(stream):
                one.sending.window += read_number(payload)
        elif kind == SETTINGS and not flags & ACK:
            self._settings(read_settings(payload))
        elif kind == PING and not flags & ACK:
            self._outgoing.add(frame(PING, ACK, 0, payload))
        elif kind == RST_STREAM and stream in self._open:
            self._end(stream, None, ended, reset=True)
        elif kind == GOAWAY and self._open:
            raise SystemExit(f"the peer sent GOAWAY with error code {read_number(payload, 4)}: {payload[8:]!r}")
        elif kind == CONTINUATION:
            raise SystemExit("this driver does not read CONTINUATION")

    def _settings(self, values: dict[int, int]) -> None:
        window = values.get(INITIAL_WINDOW_SIZE, self._stream_window)
        for one in self._open.values():
            one.sending.window += window - self._stream_window
        self._stream_window = window
        if values.get(HEADER_TABLE_SIZE, LEAST_TABLE) < LEAST_TABLE:
            self._fields.without_table()
        self._outgoing.add(frame(SETTINGS, ACK, 0))
        self.greeted = True

    def _end(self, stream: int, status: int | None, ended: list[Ended], *, reset: bool = False) -> None:
        one = self._open.pop(stream)
        if self._outgoing.cancel(one.sending) and not reset:
            self._outgoing.add(frame(RST_STREAM, 0, stream, number(CANCEL)))
        right = one.right and status == 0 and one.received == len(self._answer)
        ended.append(Ended(one.number, one.started_s, time.perf_counter(), status, right))
