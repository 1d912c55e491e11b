"""What comes in: each frame goes to the engine for its type, and what the peer broke is answered.

Lives here: the rules between frames (which may come first, which within a header block). What a frame does must not.
"""

from __future__ import annotations

from tailgate.http2.codes import (
    ACK,
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    PING,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
)
from tailgate.http2.connection_frames import ConnectionFrames
from tailgate.http2.errors import ConnectionViolation, StreamViolation
from tailgate.http2.events import StreamReset
from tailgate.http2.state import ConnectionState
from tailgate.http2.stream_frames import StreamFrames


class Receiver:
    """Applies frames to a connection's state."""

    def __init__(self, state: ConnectionState) -> None:
        """Share this state with who sends."""
        self._state = state
        self._of_streams = StreamFrames(state)
        self._of_connection = ConnectionFrames(state)

    @property
    def in_header_block(self) -> bool:
        """Whether a header block has begun, and has to be completed."""
        return self._of_streams.block is not None

    def take(self, kind: int, flags: int, stream_id: int, payload: memoryview, charge: int) -> None:
        """Apply one frame.

        Of DATA, a frame may come as several: each with a piece of the body, without padding, and the END_STREAM flag
        only with the last.

        Args:
            kind: Its type.
            flags: As they came.
            stream_id: Its stream.
            payload: What is in it.
            charge: What flow control counts; of the pieces of a frame they add up to its length. Only of DATA, else 0.

        Raises:
            ConnectionViolation: It ends the connection.
        """
        if not self._state.settings_received and (kind != SETTINGS or flags & ACK):
            raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        block = self._of_streams.block
        if block is not None and (kind != CONTINUATION or stream_id != block.stream_id):
            raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "another frame within a header block")
        try:
            if kind == DATA:
                self._of_streams.data(flags, stream_id, payload, charge)
            else:
                self._take_whole(kind, flags, stream_id, payload)
        except StreamViolation as violation:
            self._end_stream(stream_id, violation)

    def _take_whole(self, kind: int, flags: int, stream_id: int, payload: memoryview) -> None:
        if kind == HEADERS:
            self._of_streams.headers(flags, stream_id, payload)
        elif kind == WINDOW_UPDATE:
            self._window_update(stream_id, int.from_bytes(payload) & 0x7FFFFFFF)
        elif kind == CONTINUATION:
            self._of_streams.continuation(flags, stream_id, payload)
        elif kind == RST_STREAM:
            self._of_streams.rst_stream(stream_id, payload)
        elif kind == SETTINGS:
            self._of_connection.settings(flags, payload)
        elif kind == PING:
            self._of_connection.ping(flags, payload)
        elif kind == GOAWAY:
            self._of_connection.goaway(payload)
        elif kind == PUSH_PROMISE:  # a client may never (§8.4), and ours forbids servers to (§6.5.2)
            raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which is not allowed here")
        else:  # PRIORITY, which RFC 9113 does away with, and what nobody knows (§4.1)
            self._state.overhead.spend()

    def _window_update(self, stream_id: int, increment: int) -> None:
        self._state.overhead.spend()
        if stream_id:
            self._of_streams.window_update(stream_id, increment)
        else:
            self._of_connection.window_update(increment)

    def _end_stream(self, stream_id: int, violation: StreamViolation) -> None:
        """The peer spoilt one stream."""
        state = self._state
        known = stream_id in state.streams.open
        state.refuse(stream_id, violation.code)
        if known:
            state.events.append(StreamReset(stream_id, violation.code, remote=False, reason=violation.reason))
        state.resets.spend()
