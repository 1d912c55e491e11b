"""What a connection's events promise, as a model: an application that believes them and is never let down."""

from __future__ import annotations

from dataclasses import dataclass

from tailgate.http2.codes import DEFAULT_WINDOW, Role
from tailgate.http2.connection import Connection
from tailgate.http2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    GoAwayReceived,
    HeadersReceived,
    Kind,
    PingAcknowledged,
    SettingsChanged,
    StreamReset,
    WindowOpened,
)
from tailgate.http2.limits import Limits

_FIELD_OVERHEAD = 32


@dataclass(slots=True)
class Seen:
    """A stream that is open, as the application knows it."""

    sending: bool = True
    receiving: bool = True
    headers_sent: bool = False
    headers_received: bool = False
    held: int = 0


class Watcher:
    """Follows the events of one connection, and asserts that they make sense.

    Attributes:
        open: Streams that are not closed.
        gone: Numbers of those that are.
        ended_held: Bytes still held of streams that ended well.
        terminated: Whether the connection is over.
    """

    def __init__(self, connection: Connection, role: Role, limits: Limits) -> None:
        """Before anything was received."""
        self._connection = connection
        self._role = role
        self._limits = limits
        self._highest = 0
        self.open: dict[int, Seen] = {}
        self.gone: list[int] = []
        self.ended_held: dict[int, int] = {}
        self.terminated = False

    def take(self, events: list[Event]) -> None:
        """Believe these."""
        for event in events:
            assert not self.terminated, f"{event} after the end"
            self._take(event)
        assert self.terminated == self._connection.terminated
        assert self._connection.open_streams == len(self.open)
        if self._role is Role.SERVER:
            assert len(self.open) <= self._limits.max_concurrent_streams
        assert self.held <= max(self._limits.connection_window, DEFAULT_WINDOW)

    @property
    def held(self) -> int:
        """Bytes that were delivered and not acknowledged."""
        return sum(seen.held for seen in self.open.values()) + sum(self.ended_held.values())

    def opened(self, stream_id: int) -> None:
        """The application opened a stream."""
        assert stream_id > self._highest
        self._highest = stream_id
        self.open[stream_id] = Seen(headers_sent=True)

    def settle(self, stream_id: int) -> None:
        """Strike a stream out if both sides have ended it."""
        seen = self.open[stream_id]
        if not (seen.sending or seen.receiving):
            del self.open[stream_id]
            self.gone.append(stream_id)
            if seen.held:
                self.ended_held[stream_id] = seen.held

    def drop(self, stream_id: int) -> None:
        """A stream was reset, from either side."""
        self.open.pop(stream_id, None)
        self.ended_held.pop(stream_id, None)
        self.gone.append(stream_id)

    def _take(self, event: Event) -> None:
        if isinstance(event, HeadersReceived):
            self._headers(event)
        elif isinstance(event, DataReceived):
            seen = self.open[event.stream_id]
            assert seen.receiving
            assert seen.headers_received
            assert event.data or event.end_stream
            seen.held += len(event.data)
            assert seen.held <= max(self._limits.stream_window, DEFAULT_WINDOW)
            self._end(event.stream_id, end_stream=event.end_stream)
        elif isinstance(event, StreamReset):
            assert event.stream_id in self.open
            assert event.remote or event.reason
            self.drop(event.stream_id)
        elif isinstance(event, ConnectionTerminated):
            assert event.reason
            assert event.code
            for stream_id in list(self.open):
                self.drop(stream_id)
            self.ended_held.clear()
            self.terminated = True
        elif isinstance(event, WindowOpened):
            assert event.stream_id == 0 or event.stream_id in self.open
        elif isinstance(event, PingAcknowledged):
            assert len(event.payload) == 8
        else:
            assert isinstance(event, GoAwayReceived | SettingsChanged)

    def _headers(self, event: HeadersReceived) -> None:
        size = sum(len(name) + len(value) + _FIELD_OVERHEAD for name, value in event.headers)
        assert size <= self._limits.max_header_list_bytes
        for name, value in event.headers:
            assert name == name.lower()
            assert not {0, 10, 13} & set(value)
        if event.kind is Kind.REQUEST:
            assert self._role is Role.SERVER
            assert event.stream_id > self._highest
            assert event.stream_id % 2
            assert {b":method"} <= {name for name, _ in event.headers}
            self._highest = event.stream_id
            self.open[event.stream_id] = Seen()
        seen = self.open[event.stream_id]
        assert seen.receiving
        if event.kind is Kind.TRAILERS:
            assert seen.headers_received
            assert event.end_stream
        else:
            assert not seen.headers_received
        if event.kind is Kind.INFORMATIONAL:
            assert not event.end_stream
        else:
            seen.headers_received = True
        self._end(event.stream_id, end_stream=event.end_stream)

    def _end(self, stream_id: int, *, end_stream: bool) -> None:
        if end_stream:
            self.open[stream_id].receiving = False
            self.settle(stream_id)
