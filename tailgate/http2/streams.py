"""Streams (RFC 9113 §5.1): their states, what each state makes of each frame, and the book of all streams.

A stream that is open is an object; an idle or a closed one only a number, of which nothing more is known than what the
book says: how high the numbers have got, and which of the closed ones were reset. The last resets are known one by one;
of what lies before, all that was ever open up to the last that we reset is taken for reset by us. There could be
anything on its way for one of them, and to take that for a broken rule would end the calls of all others as well.
"""

from __future__ import annotations

from enum import Enum, IntEnum, auto
from typing import Final

from tailgate.http2.codes import DATA, HEADERS, RST_STREAM, WINDOW_UPDATE, ErrorCode
from tailgate.http2.errors import Misuse
from tailgate.http2.flow import ReceiveWindow, SendWindow

_REMEMBERED_RESETS: Final = 512
"""How many resets are remembered one by one."""


class State(IntEnum):
    """States. Closed is three, for it matters how."""

    IDLE = 0
    OPEN = 1
    HALF_CLOSED_LOCAL = 2
    HALF_CLOSED_REMOTE = 3
    ENDED = 4
    RESET_BY_US = 5
    RESET_BY_PEER = 6

    __hash__ = int.__hash__  # an enumeration's own is ten times as slow, and each frame is looked up in a table


class Do(Enum):
    """What to do about a frame."""

    TAKE = auto()
    DROP = auto()
    END_STREAM = auto()  # an error of the stream
    END_CONNECTION = auto()  # an error of the connection


_TAKE, _DROP = (Do.TAKE, ErrorCode.NO_ERROR), (Do.DROP, ErrorCode.NO_ERROR)
_IDLE_ERROR: Final = (Do.END_CONNECTION, ErrorCode.PROTOCOL_ERROR)
_CLOSED_STREAM: Final = (Do.END_STREAM, ErrorCode.STREAM_CLOSED)
_CLOSED_CONNECTION: Final = (Do.END_CONNECTION, ErrorCode.STREAM_CLOSED)

# What a received frame meets. HEADERS on an idle stream, which opens it, is for the engine to judge: it depends on
# the role. PRIORITY is ignored in all states.
ON_FRAME: Final = {
    HEADERS: {
        State.IDLE: _TAKE,
        State.OPEN: _TAKE,
        State.HALF_CLOSED_LOCAL: _TAKE,
        State.HALF_CLOSED_REMOTE: _CLOSED_STREAM,
        State.ENDED: _CLOSED_CONNECTION,
        State.RESET_BY_US: _DROP,
        State.RESET_BY_PEER: _CLOSED_STREAM,
    },
    DATA: {
        State.IDLE: _IDLE_ERROR,
        State.OPEN: _TAKE,
        State.HALF_CLOSED_LOCAL: _TAKE,
        State.HALF_CLOSED_REMOTE: _CLOSED_STREAM,
        State.ENDED: _CLOSED_CONNECTION,
        State.RESET_BY_US: _DROP,
        State.RESET_BY_PEER: _CLOSED_STREAM,
    },
    RST_STREAM: {
        State.IDLE: _IDLE_ERROR,
        State.OPEN: _TAKE,
        State.HALF_CLOSED_LOCAL: _TAKE,
        State.HALF_CLOSED_REMOTE: _TAKE,
        State.ENDED: _DROP,
        State.RESET_BY_US: _DROP,
        State.RESET_BY_PEER: _DROP,
    },
    WINDOW_UPDATE: {
        State.IDLE: _IDLE_ERROR,
        State.OPEN: _TAKE,
        State.HALF_CLOSED_LOCAL: _TAKE,
        State.HALF_CLOSED_REMOTE: _TAKE,
        State.ENDED: _DROP,
        State.RESET_BY_US: _DROP,
        State.RESET_BY_PEER: _DROP,
    },
}

_OPEN: Final = State.OPEN
_HALF_CLOSED_LOCAL: Final = State.HALF_CLOSED_LOCAL
_HALF_CLOSED_REMOTE: Final = State.HALF_CLOSED_REMOTE
AFTER_END_RECEIVED: Final = {State.OPEN: State.HALF_CLOSED_REMOTE, State.HALF_CLOSED_LOCAL: State.ENDED}
AFTER_END_SENT: Final = {State.OPEN: State.HALF_CLOSED_LOCAL, State.HALF_CLOSED_REMOTE: State.ENDED}


class Stream:
    """An open stream.

    Attributes:
        id: Its number.
        state: OPEN or one of the half-closed.
        send_window: What may be sent on it.
        receive_window: What may be received on it.
        held: Bytes that were delivered and not yet acknowledged.
        headers_received: Whether the request, or the final response, is there; what follows are trailers.
        headers_sent: The same for our side.
        body_left: Bytes of the body that are to come by its content-length, or None.
    """

    __slots__ = (
        "body_left",
        "headers_received",
        "headers_sent",
        "held",
        "id",
        "receive_window",
        "send_window",
        "state",
    )

    def __init__(self, stream_id: int, send_window: int, receive_window: int) -> None:
        """Open, with nothing sent or received."""
        self.id = stream_id
        self.state = _OPEN
        self.send_window = SendWindow(send_window)
        self.receive_window = ReceiveWindow(receive_window)
        self.held = 0
        self.headers_received = False
        self.headers_sent = False
        self.body_left: int | None = None

    @property
    def can_receive(self) -> bool:
        """Whether the peer has not ended it."""
        return self.state is not _HALF_CLOSED_REMOTE

    @property
    def can_send(self) -> bool:
        """Whether we have not ended it."""
        return self.state is not _HALF_CLOSED_LOCAL


class Streams:
    """The book of a connection's streams. All have odd numbers: the client opens them, and nobody pushes.

    Attributes:
        open: By number.
        highest: Of all that were ever opened.
        held: Bytes not yet acknowledged, of streams that have ended otherwise.
    """

    def __init__(self) -> None:
        """Start without any."""
        self.open: dict[int, Stream] = {}
        self.highest = 0
        self.held: dict[int, int] = {}
        self._resets: dict[int, State] = {}
        self._forgotten = 0  # the highest that we reset, of those that are not among them any more
        self._skipped = range(0)

    def state_of(self, stream_id: int) -> State:
        """The state of any stream."""
        stream = self.open.get(stream_id)
        if stream is not None:
            return stream.state
        if stream_id > self.highest or stream_id % 2 == 0 or stream_id in self._skipped:
            return State.IDLE
        reset = self._resets.get(stream_id)
        if reset is not None:
            return reset
        return State.RESET_BY_US if stream_id <= self._forgotten else State.ENDED

    @property
    def next(self) -> int:
        """The number of the next stream that a client opens."""
        return self.highest + 2 if self.highest else 1

    def use(self, stream_id: int) -> None:
        """A stream is opened, or would have been: lower numbers that were left out can no longer be."""
        if stream_id > self.highest + 2:
            self._skipped = range(self.highest + 1, stream_id)
        self.highest = stream_id

    def end(self, stream: Stream) -> None:
        """Both sides have ended it."""
        del self.open[stream.id]
        if stream.held:
            self.held[stream.id] = stream.held

    def release(self, stream_id: int, count: int) -> None:
        """So much of a stream that has ended is no longer held.

        Raises:
            Misuse: More than is.
        """
        left = self.held[stream_id] - count
        if left < 0:
            raise Misuse(f"{count} bytes of stream {stream_id} acknowledged; {self.held[stream_id]} are held")
        if left:
            self.held[stream_id] = left
        else:
            del self.held[stream_id]

    def reset_after_end(self, stream_id: int) -> None:
        """The peer has reset a stream that had ended; what of it is held remains so."""
        if self.state_of(stream_id) is State.ENDED:
            self._remember(stream_id, State.RESET_BY_PEER)

    def _remember(self, stream_id: int, state: State) -> None:
        if len(self._resets) >= _REMEMBERED_RESETS:
            oldest = next(iter(self._resets))
            if self._resets.pop(oldest) is State.RESET_BY_US:
                self._forgotten = max(self._forgotten, oldest)
        self._resets[stream_id] = state

    def reset(self, stream_id: int, state: State) -> int:
        """It was reset, or refused; returns how many bytes of it were not yet acknowledged."""
        self._remember(stream_id, state)
        stream = self.open.pop(stream_id, None)
        return self.held.pop(stream_id, 0) if stream is None else stream.held
