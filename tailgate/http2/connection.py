"""`Connection`: one end of an HTTP/2 connection. Feed it what was read, write what it has to send."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tailgate.http2.codes import MAX_STREAM_ID, ErrorCode, Role
from tailgate.http2.errors import ConnectionViolation, Misuse
from tailgate.http2.events import ConnectionTerminated, Event, Field, Headers
from tailgate.http2.limits import DEFAULT_LIMITS, Limits
from tailgate.http2.preface import Preface
from tailgate.http2.reader import FrameReader
from tailgate.http2.receiver import Receiver
from tailgate.http2.settings import PeerSettings
from tailgate.http2.state import ConnectionState
from tailgate.http2.streams import AFTER_END_SENT, State, Stream

_PING_BYTES: Final = 8
_HALF_CLOSED_LOCAL: Final = State.HALF_CLOSED_LOCAL

Buffer = bytes | bytearray | memoryview


class Connection:
    """One end of an HTTP/2 connection. Not thread-safe; nothing here waits.

    Errors: whatever the peer sends ends in events. Methods raise `Misuse` for what is a bug in the caller: a stream
    that was never opened, data after the end. A stream that is *gone* is no bug, for the event that says so may be
    unread: what is sent on it is dropped, and reported as taken.

    Answers to pings and settings queue up, too: whoever cannot write any more does not read on either.

    >>> client, server = Connection(Role.CLIENT), Connection(Role.SERVER)
    >>> number = client.open_stream([(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/s/m")])
    >>> client.send_data(number, b"question", end_stream=True)
    8
    >>> settings, request, question = server.receive(client.data_to_send())
    >>> bytes(question.data), question.end_stream
    (b'question', True)
    >>> server.acknowledge(number, len(question.data))
    >>> server.send_headers(number, [(b":status", b"200")], end_stream=True)
    >>> client.receive(server.data_to_send())[-1].headers
    ((b':status', b'200'),)
    """

    def __init__(self, role: Role, limits: Limits = DEFAULT_LIMITS) -> None:
        """Queue what opens the connection: the preface of a client, our settings, the connection's window."""
        self._state = ConnectionState(role, limits)
        self._preface = Preface(role)
        self._receiver = Receiver(self._state)
        self._reader = FrameReader(self._receiver, limits.max_frame_bytes, limits.max_header_block_bytes)

    # -- in ------------------------------------------------------------------------------------------------------------

    def receive(self, data: Buffer) -> list[Event]:
        """What these bytes, cut anywhere, say. Never raises; after `ConnectionTerminated`, always empty.

        Bodies in the events are views of `data`: whoever reads into the same buffer again copies them before.
        """
        state = self._state
        if state.terminated:
            return []
        try:
            if not self._preface.done:
                data = self._preface.strip(data)
            self._reader.feed(data)
        except ConnectionViolation as violation:
            state.terminate(violation.code, violation.reason)
            state.events.append(ConnectionTerminated(violation.code, violation.reason))
        events, state.events = state.events, []
        return events

    def forgive(self) -> None:
        """Fill the budgets against floods; to be called once a second.

        That makes rates of them, so that what comes slowly, such as keepalive pings, never adds up to a flood.
        """
        self._state.resets.refill()
        self._state.overhead.refill()

    # -- out -----------------------------------------------------------------------------------------------------------

    def data_to_send(self) -> bytes:
        """All that has to be written now, in one piece; empty if nothing. It counts as sent.

        Data given to `send_data` is copied here, so it must stay as it is until then.
        """
        return self._state.outbox.take()

    def pieces_to_send(self) -> list[Buffer]:
        """As `data_to_send`, but as pieces to be written one after the other, in which no data was copied: it has to
        stay as it is until they have left.
        """
        return self._state.outbox.take_pieces()

    def open_stream(self, headers: Iterable[Field], *, end_stream: bool = False) -> int:
        """Send a request's headers on a new stream, a client's; returns the stream's identifier.

        Raises:
            Misuse: `can_open` is false.
        """
        if not self.can_open:
            raise Misuse("no stream can be opened now; ask can_open before")
        stream = self._state.open_stream(self._state.streams.next)
        self._send_headers(stream, tuple(headers), end_stream=end_stream)
        return stream.id

    def send_headers(self, stream_id: int, headers: Iterable[Field], *, end_stream: bool = False) -> None:
        """Send a response (a server's), or trailers, which end the stream. Names are in lower case.

        Headers are not held back by windows: send trailers when all data has been taken.
        """
        stream = self._sendable(stream_id)
        if stream is None:
            return
        if stream.headers_sent and not end_stream:
            raise Misuse(f"trailers that do not end stream {stream_id}")
        self._send_headers(stream, tuple(headers), end_stream=end_stream)

    def send_data(self, stream_id: int, data: Buffer, *, end_stream: bool = False) -> int:
        """Send as much of this as the windows allow; returns how many bytes were taken. The caller keeps the rest and
        offers it again at `WindowOpened` for this stream or for 0. The stream ends when all was taken.

        No data with `end_stream` ends a stream whatever its window.
        """
        state = self._state
        stream = state.streams.open.get(stream_id)
        if stream is None or stream.state is _HALF_CLOSED_LOCAL:
            stream = self._sendable(stream_id)
            if stream is None:
                return len(data)
        if not stream.headers_sent:
            raise Misuse(f"data before the headers of stream {stream_id}")
        size, of_stream, of_connection = len(data), stream.send_window, state.send_window
        if size > of_stream.size or size > of_connection.size:
            size, end_stream = max(0, min(of_connection.size, of_stream.size)), False
            data = memoryview(data)[:size]
        if size or end_stream:
            of_stream.size -= size
            of_connection.size -= size
            state.outbox.data(stream_id, data, state.peer.max_frame_size, end_stream=end_stream)
            state.worked(size)
        if end_stream:
            self._end(stream)
        return size

    def reset(self, stream_id: int, code: ErrorCode = ErrorCode.CANCEL) -> None:
        """End a stream at once. Data it delivered counts as acknowledged. Nothing happens if it is gone."""
        state = self._state
        if stream_id in state.streams.open:
            state.refuse(stream_id, code)
        else:
            state.reopen_connection(state.streams.held.pop(stream_id, 0))

    def acknowledge(self, stream_id: int, count: int) -> None:
        """Say that so many bytes of `DataReceived` are no longer held, so that the peer may send as many more.

        To be called for all that was delivered, also after the stream's end; no longer after a reset, from either side.
        """
        state = self._state
        stream = state.streams.open.get(stream_id)
        if stream is not None:
            if count > stream.held:
                raise Misuse(f"{count} bytes of stream {stream_id} acknowledged; {stream.held} are held")
            stream.held -= count
            window, whole = stream.receive_window, state.receive_window
            window.pending += count
            whole.pending += count
            if 2 * window.pending >= window.target or 2 * whole.pending >= whole.target:
                state.reopen(stream, 0)
        elif stream_id in state.streams.held:
            state.streams.release(stream_id, count)
            state.reopen_connection(count)

    def acknowledge_all(self, stream_id: int) -> None:
        """Say that nothing of what a stream delivered is held any longer."""
        streams = self._state.streams
        stream = streams.open.get(stream_id)
        held = streams.held.get(stream_id, 0) if stream is None else stream.held
        if held:
            self.acknowledge(stream_id, held)

    def ping(self, payload: bytes = b"tailgate") -> None:
        """Ask the peer to answer with these eight bytes."""
        if len(payload) != _PING_BYTES:
            raise Misuse(f"a ping of {len(payload)} bytes; it has {_PING_BYTES}")
        self._state.outbox.ping(payload, ack=False)

    def go_away(
        self, code: ErrorCode = ErrorCode.NO_ERROR, last_stream_id: int | None = None, debug: bytes = b""
    ) -> None:
        """Say that no stream above `last_stream_id` (without one: above the last that arrived) will be answered.

        To end gracefully: first with `MAX_STREAM_ID`, which only warns; a round trip later without one; close when
        `open_streams` is 0.
        """
        state = self._state
        last = state.streams.highest if state.role is Role.SERVER else 0
        state.accept_up_to = min(state.accept_up_to, last if last_stream_id is None else last_stream_id)
        state.going_away = True
        state.outbox.goaway(state.accept_up_to, code, debug)

    # -- state ---------------------------------------------------------------------------------------------------------

    @property
    def open_streams(self) -> int:
        """Streams that are not closed."""
        return len(self._state.streams.open)

    @property
    def can_open(self) -> bool:
        """Whether `open_stream` may be called: the peer's limit allows one more, and nobody is going away."""
        state = self._state
        return (
            state.role is Role.CLIENT
            and len(state.streams.open) < state.peer.max_concurrent_streams
            and not self.retired
        )

    @property
    def retired(self) -> bool:
        """Whether no stream can ever be opened again: what is open may still be finished."""
        state = self._state
        gone = state.terminated or state.going_away or state.peer_going_away
        return gone or state.streams.next > MAX_STREAM_ID

    @property
    def terminated(self) -> bool:
        """Whether the connection is over; only what is queued is left to send."""
        return self._state.terminated

    @property
    def midway(self) -> bool:
        """Whether the peer has begun something that it must complete before anything else can be understood: the
        preface, a frame, a header block. The inside of a body is nothing of the kind.
        """
        return not self._preface.done or self._reader.midway or self._receiver.in_header_block

    @property
    def settings_acknowledged(self) -> bool:
        """Whether the peer has acknowledged our settings; one that does not for long is no HTTP/2 peer."""
        return self._state.settings_acknowledged

    @property
    def peer(self) -> PeerSettings:
        """The peer's settings, as far as they are known."""
        return self._state.peer

    @property
    def choked(self) -> bool:
        """Whether the connection's window lets no data of any stream out."""
        return self._state.send_window.size <= 0

    def send_window(self, stream_id: int) -> int:
        """How many bytes `send_data` would take now; 0 for a stream that is gone."""
        stream = self._state.streams.open.get(stream_id)
        return 0 if stream is None else max(0, min(self._state.send_window.size, stream.send_window.size))

    # -- inner ---------------------------------------------------------------------------------------------------------

    def _sendable(self, stream_id: int) -> Stream | None:
        """The stream; None if it is gone."""
        streams = self._state.streams
        stream = streams.open.get(stream_id)
        if stream is None:
            if streams.state_of(stream_id) is State.IDLE and not self._state.terminated:
                raise Misuse(f"stream {stream_id} was never opened")
        elif not stream.can_send:
            raise Misuse(f"stream {stream_id} has been ended")
        return stream

    def _send_headers(self, stream: Stream, headers: Headers, *, end_stream: bool) -> None:
        state = self._state
        block = state.encoder.encode(headers)
        state.outbox.headers(stream.id, block, state.peer.max_frame_size, end_stream=end_stream)
        informational = bool(headers) and headers[0][0] == b":status" and headers[0][1][:1] == b"1"
        stream.headers_sent = stream.headers_sent or not informational
        if end_stream:
            self._end(stream)

    def _end(self, stream: Stream) -> None:
        stream.state = AFTER_END_SENT[stream.state]
        self._state.end_if_both(stream)
