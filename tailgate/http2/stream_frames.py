"""The engine for frames of streams: HEADERS and CONTINUATION, DATA, RST_STREAM, WINDOW_UPDATE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tailgate.http2.codes import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_NAMES,
    HEADERS,
    RST_STREAM,
    WINDOW_UPDATE,
    ErrorCode,
    Role,
)
from tailgate.http2.errors import ConnectionViolation, StreamViolation
from tailgate.http2.events import DataReceived, Headers, HeadersReceived, Kind, StreamReset, WindowOpened
from tailgate.http2.frames import header_fragment
from tailgate.http2.headers import check_request, check_response, check_trailers
from tailgate.http2.state import A_FRAME, ConnectionState
from tailgate.http2.streams import AFTER_END_RECEIVED, ON_FRAME, Do, State, Stream

# Looked up once: in an enumeration that takes five times as long, and these are needed for every call.
_CLIENT: Final = Role.CLIENT
_SERVER: Final = Role.SERVER
_HALF_CLOSED_REMOTE: Final = State.HALF_CLOSED_REMOTE
_REQUEST: Final = Kind.REQUEST
_INFORMATIONAL: Final = Kind.INFORMATIONAL
_TRAILERS: Final = Kind.TRAILERS


@dataclass(slots=True)
class Block:
    """A header block that is not complete: more comes in CONTINUATION frames, and nothing else may come."""

    stream_id: int
    content: bytearray
    end_stream: bool


class StreamFrames:
    """Applies them to a connection's state.

    Attributes:
        block: The header block that is not complete, if there is one.
    """

    def __init__(self, state: ConnectionState) -> None:
        """Share this state."""
        self._state = state
        self.block: Block | None = None

    # -- header blocks -------------------------------------------------------------------------------------------------

    def headers(self, flags: int, stream_id: int, payload: memoryview) -> None:
        """§6.2: a header block, or its beginning."""
        fragment = header_fragment(flags, payload)
        end_stream = bool(flags & END_STREAM)
        if flags & END_HEADERS:
            self._take_block(stream_id, bytes(fragment), end_stream=end_stream)
        else:
            self.block = Block(stream_id, bytearray(fragment), end_stream)

    def continuation(self, flags: int, stream_id: int, payload: memoryview) -> None:
        """§6.10: more of it."""
        block = self.block
        if block is None:
            raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        self._state.overhead.spend()
        block.content += payload
        if flags & END_HEADERS:
            self.block = None
            self._take_block(stream_id, bytes(block.content), end_stream=block.end_stream)
        else:
            self._check_block(len(block.content))

    def _check_block(self, length: int) -> None:
        most = self._state.limits.max_header_block_bytes
        if length > most:
            raise ConnectionViolation(
                ErrorCode.ENHANCE_YOUR_CALM, f"a header block of {length} bytes and more; {most} are allowed"
            )

    def _take_block(self, stream_id: int, block: bytes, *, end_stream: bool) -> None:
        """A complete header block. Whatever becomes of it, it is decoded: the table has to follow."""
        self._check_block(len(block))
        headers = self._state.decoder.decode(block)
        stream = self._state.streams.open.get(stream_id)
        if stream is not None and stream.state is not _HALF_CLOSED_REMOTE:
            self._more_headers(stream, _short(headers), end_stream=end_stream)
        elif _taken(HEADERS, self._state.streams.state_of(stream_id), stream_id):
            self._open(stream_id, headers, end_stream=end_stream)
        else:
            self._state.overhead.spend()

    def _open(self, stream_id: int, headers: Headers | None, *, end_stream: bool) -> None:
        """A request: §5.1.1 its number, §5.1.2 the limit of streams, §8.3.1 its headers."""
        state = self._state
        if state.role is _CLIENT or stream_id <= state.streams.highest or stream_id % 2 == 0:
            raise ConnectionViolation(
                ErrorCode.PROTOCOL_ERROR, f"HEADERS on stream {stream_id}, which cannot be opened"
            )
        state.streams.use(stream_id)
        if len(state.streams.open) >= state.limits.max_concurrent_streams or stream_id > state.accept_up_to:
            raise StreamViolation(ErrorCode.REFUSED_STREAM, "no more streams are taken")
        request = _short(headers)
        body_left = check_request(request)
        _check_end(body_left, end_stream=end_stream)
        self._announce(state.open_stream(stream_id), request, _REQUEST, body_left, end_stream=end_stream)

    def _more_headers(self, stream: Stream, headers: Headers, *, end_stream: bool) -> None:
        if stream.headers_received:
            kind, body_left = _TRAILERS, stream.body_left
            check_trailers(headers, end_stream=end_stream)
        else:
            kind, body_left = check_response(headers, end_stream=end_stream)
        _check_end(body_left, end_stream=end_stream)
        self._announce(stream, headers, kind, body_left, end_stream=end_stream)

    def _announce(
        self, stream: Stream, headers: Headers, kind: Kind, body_left: int | None, *, end_stream: bool
    ) -> None:
        stream.body_left = body_left
        if kind is _INFORMATIONAL:
            self._state.overhead.spend()
        else:
            stream.headers_received = True
        self._state.events.append(HeadersReceived(stream.id, headers, end_stream, kind))
        if end_stream:
            self._end(stream)

    # -- the rest ------------------------------------------------------------------------------------------------------

    def data(self, flags: int, stream_id: int, piece: memoryview, charge: int) -> None:
        """§6.1: a piece of a body. What is not delivered is acknowledged at once, padding as well."""
        state = self._state
        window = state.receive_window
        window.credit -= charge  # not by a call: this is done for every frame of every tensor
        if window.credit < 0:
            raise ConnectionViolation(ErrorCode.FLOW_CONTROL_ERROR, "more data than the connection's window allows")
        stream = state.streams.open.get(stream_id)
        if stream is None or stream.state is _HALF_CLOSED_REMOTE:
            state.reopen_connection(charge)
            if not piece:  # with content it is a body that was under way when its stream was reset
                state.overhead.spend()
            _taken(DATA, state.streams.state_of(stream_id), stream_id)
            return
        size = len(piece)
        end_stream = bool(flags & END_STREAM)
        stream.held += charge
        window = stream.receive_window
        window.credit -= charge
        if window.credit < 0:
            raise StreamViolation(ErrorCode.FLOW_CONTROL_ERROR, "more data than the stream's window allows")
        if not stream.headers_received:
            raise StreamViolation(ErrorCode.PROTOCOL_ERROR, "data before the response's headers")
        if stream.body_left is not None:
            stream.body_left -= size
            if stream.body_left < 0:
                raise StreamViolation(ErrorCode.PROTOCOL_ERROR, "a body longer than its content-length")
            _check_end(stream.body_left, end_stream=end_stream)
        if size:
            state.overhead.earn(A_FRAME)
        elif not end_stream:
            state.overhead.spend()
        if charge > size:
            stream.held -= charge - size
            state.reopen(stream, charge - size)
        if size or end_stream:
            state.events.append(DataReceived(stream_id, piece, end_stream))
        if end_stream:
            stream.state = AFTER_END_RECEIVED[stream.state]
            state.end_if_both(stream)

    def rst_stream(self, stream_id: int, payload: memoryview) -> None:
        """§6.4: the peer ends a stream."""
        state = self._state
        if not _taken(RST_STREAM, state.streams.state_of(stream_id), stream_id):
            state.overhead.spend()
            # What follows is an error of the stream only (§5.1): Triton ends a call that has expired several times.
            state.streams.reset_after_end(stream_id)
            return
        code = int.from_bytes(payload)
        unanswered = state.role is _SERVER and not state.streams.open[stream_id].headers_sent
        state.drop(stream_id, State.RESET_BY_PEER)
        state.events.append(StreamReset(stream_id, code, remote=True, retryable=code == ErrorCode.REFUSED_STREAM))
        if unanswered:
            state.resets.spend()

    def window_update(self, stream_id: int, increment: int) -> None:
        """§6.9: more may be sent on a stream."""
        streams = self._state.streams
        if not _taken(WINDOW_UPDATE, streams.state_of(stream_id), stream_id):
            return
        if increment == 0:
            raise StreamViolation(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        window = streams.open[stream_id].send_window
        if not window.fits(increment):
            raise StreamViolation(ErrorCode.FLOW_CONTROL_ERROR, "the stream's window grows beyond 2³¹-1")
        if window.open(increment):
            self._state.events.append(WindowOpened(stream_id))

    def _end(self, stream: Stream) -> None:
        stream.state = AFTER_END_RECEIVED[stream.state]
        self._state.end_if_both(stream)


def _taken(frame: int, state: State, stream_id: int) -> bool:
    """Whether a frame is to be taken, by the table; False if it is to be dropped.

    Raises:
        StreamViolation, ConnectionViolation: By the table, too.
    """
    do, code = ON_FRAME[frame][state]
    if do is Do.TAKE:
        return True
    if do is Do.DROP:
        return False
    violation = StreamViolation if do is Do.END_STREAM else ConnectionViolation
    raise violation(
        code, f"{FRAME_NAMES[frame]} on stream {stream_id}, which is {state.name.lower().replace('_', ' ')}"
    )


def _short(headers: Headers | None) -> Headers:
    if headers is None:
        raise StreamViolation(ErrorCode.ENHANCE_YOUR_CALM, "a header list that is too long")
    return headers


def _check_end(body_left: int | None, *, end_stream: bool) -> None:
    if end_stream and body_left:
        raise StreamViolation(ErrorCode.PROTOCOL_ERROR, f"a body {body_left} bytes shorter than its content-length")
