"""The upstream of `bench/proxy.py`: reads a whole request, gives a canned answer, costs next to nothing.

    python bench/_upstream.py WINDOW

Every request of more than `LEAST_BYTES` is answered with the scores of 1000 classes, a real ModelInferResponse; a
shorter one is none (ServerReady, RepositoryIndex) and is UNIMPLEMENTED. It grants WINDOW bytes to a stream and sixteen
times as much to a connection, or HTTP/2's default to both if WINDOW is that, and grants again what was used when half
is used up, as common servers do. (nghttpd would do, but sends no content type for a path without an extension.)
"""

from __future__ import annotations

import selectors
import socket
import sys
from collections import deque

from bench._answer import canned_answer, framed
from bench._frames import (
    ACK,
    DATA,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    HEADER_TABLE_SIZE,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    LEAST_TABLE,
    MAX_CONCURRENT_STREAMS,
    PADDED,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    frames,
    read_number,
    read_settings,
    settings,
    window_update,
)
from bench._hpack import RepeatedFields, literal

LEAST_BYTES = 200
BUFFER_BYTES = 1 << 20
_STATUS_200 = b"\x88"  # of the static table: RFC 7541, appendix A


class Link:
    """One connection of a client."""

    def __init__(self, peer: socket.socket, window: int, answer: bytes) -> None:
        self.socket = peer
        self._stream_window, self._answer = window, answer
        self._connection_window = DEFAULT_WINDOW if window == DEFAULT_WINDOW else window * 16
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._filled, self._greeted = 0, False
        self._received: dict[int, int] = {}
        self._unopened: dict[int, int] = {}
        self._unopened_of_all = 0
        self._peer_window = DEFAULT_WINDOW
        self._waiting: deque[int] = deque()
        self._fields = RepeatedFields()
        self._out = bytearray(settings({MAX_CONCURRENT_STREAMS: 1024, INITIAL_WINDOW_SIZE: window}))
        if self._connection_window > DEFAULT_WINDOW:
            self._out += window_update(0, self._connection_window - DEFAULT_WINDOW)

    def readable(self) -> bool:
        """Take what came and write what it asks for; False at the end of the connection."""
        try:
            count = self.socket.recv_into(self._view[self._filled :])
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        if count == 0:
            return False
        self._filled += count
        start = 0
        if not self._greeted:
            if self._filled < len(PREFACE):
                return True
            start, self._greeted = len(PREFACE), True
        for kind, flags, stream, payload, end in frames(self._buffer, start, self._filled):
            start = end
            if kind == DATA:
                self._data(flags, stream, end - payload)
            elif kind == HEADERS:
                self._received[stream] = 0
            else:
                self._other(kind, flags, stream, bytes(self._buffer[payload:end]))
        rest = self._filled - start
        self._buffer[:rest] = self._buffer[start : self._filled]
        self._filled = rest
        self.flush()
        return True

    def flush(self) -> bool:
        """Write what waits; whether all is gone."""
        if self._out:
            try:
                del self._out[: self.socket.send(self._out)]
            except BlockingIOError:
                pass
            except ConnectionError:
                self._out.clear()  # the next read tells
        return not self._out

    def _data(self, flags: int, stream: int, count: int) -> None:
        if flags & PADDED:
            raise SystemExit("the upstream of this benchmark does not read padding")
        self._unopened_of_all += count
        if self._unopened_of_all * 2 >= self._connection_window:
            self._out += window_update(0, self._unopened_of_all)
            self._unopened_of_all = 0
        if stream not in self._received:
            return
        self._received[stream] += count
        if flags & END_STREAM:
            self._unopened.pop(stream, None)
            self._waiting.append(stream)
            self._answer_waiting()
            return
        unopened = self._unopened.get(stream, 0) + count
        if unopened * 2 >= self._stream_window:
            self._out += window_update(stream, unopened)
            unopened = 0
        self._unopened[stream] = unopened

    def _other(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            if read_settings(payload).get(HEADER_TABLE_SIZE, LEAST_TABLE) < LEAST_TABLE:
                self._fields.without_table()
            self._out += frame(SETTINGS, ACK, 0)
        elif kind == PING and not flags & ACK:
            self._out += frame(PING, ACK, 0, payload)
        elif kind == WINDOW_UPDATE and stream == 0:
            self._peer_window += read_number(payload)
            self._answer_waiting()
        elif kind == RST_STREAM:
            self._received.pop(stream, None)
            self._unopened.pop(stream, None)

    def _answer_waiting(self) -> None:
        while self._waiting and self._peer_window >= len(self._answer):
            stream = self._waiting.popleft()
            received = self._received.pop(stream, None)
            if received is None:
                continue
            opening = _STATUS_200 + self._fields.encode("content-type", "application/grpc")
            if received < LEAST_BYTES:
                block = opening + literal("grpc-status", "12")
                self._out += frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
                continue
            self._peer_window -= len(self._answer)
            self._out += frame(HEADERS, END_HEADERS, stream, opening)
            self._out += frame(DATA, 0, stream, self._answer)
            trailers = self._fields.encode("grpc-status", "0")
            self._out += frame(HEADERS, END_HEADERS | END_STREAM, stream, trailers)


def serve(window: int) -> None:
    """Serve on a free port of the loopback interface until killed."""
    answer = framed(canned_answer())
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener, selectors.DefaultSelector() as selector:
        print(f"upstream listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, events in selector.select():
                if key.data is None:
                    peer, _ = listener.accept()
                    peer.settimeout(0)
                    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    link = Link(peer, window, answer)
                    link.flush()
                    selector.register(peer, selectors.EVENT_READ, link)
                    continue
                link = key.data
                if events & selectors.EVENT_READ and not link.readable():
                    selector.unregister(link.socket)
                    link.socket.close()
                    continue
                wanted = selectors.EVENT_READ | (0 if link.flush() else selectors.EVENT_WRITE)
                if wanted != key.events:
                    selector.modify(link.socket, wanted, link)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
