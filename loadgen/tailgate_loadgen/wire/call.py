"""One call, from its preparation to its one end. What comes for it is collected and judged here; no socket, no loop.

Its request lives for as long as some of it has not left, and not until its deadline: bodies are large, deadlines far.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from tailgate.errors import Status
from tailgate.http2.codes import ErrorCode
from tailgate.http2.events import Headers, StreamReset
from tailgate.http2.grpc_ending import read_ending
from tailgate.http2.grpc_headers import format_grpc_timeout
from tailgate.http2.grpc_messages import PREFIX_BYTES
from tailgate.http2.grpc_status import status_of_reset
from tailgate_loadgen.calls import MAX_MESSAGE_BYTES, Ended, Metadata, Payload

_TIMEOUT: Final = b"grpc-timeout"
CANCELLED: Final = Ended(Status.CANCELLED, "the client cancelled it")
EXPIRED: Final = Ended(Status.DEADLINE_EXCEEDED, "its deadline passed")


class Carrier(Protocol):
    """What takes a call to the target."""

    def begin(self, call: Http2Call) -> float:
        """Send it, or keep it until it can be sent; returns the instant when that was done."""
        ...

    def now_s(self) -> float:
        """The loop's clock."""
        ...


class Stream(Protocol):
    """Where a call is on its way, or waits to be."""

    def give_up(self, call: Http2Call) -> None:
        """Nobody waits for it any more; it is not told so."""


class Http2Call:
    """A call.

    Attributes:
        sent_s: When it was given to the transport, or had to wait for a connection.
        ended_s: When what ended it was read, or happened here.
        deadline_s: When the client ends it itself.
        body: What is to be sent behind the headers, in pieces; none when it has left, or nobody wants it any more.
        stream: Where it is; None before and after.
        stream_id: Its number there.
    """

    __slots__ = (
        "_bytes",
        "_carrier",
        "_fields",
        "_head",
        "_on_end",
        "_pieces",
        "_response",
        "body",
        "deadline_s",
        "ended",
        "ended_s",
        "sent_s",
        "stream",
        "stream_id",
    )

    def __init__(self, carrier: Carrier, head: Headers, fields: Headers, body: list[Payload]) -> None:
        """Prepared: `head` and `fields` are what stands before and behind the timeout."""
        self._carrier = carrier
        self._head = head
        self._fields = fields
        self._pieces: list[memoryview] = []
        self._bytes = 0
        self._response: Headers = ()
        self._on_end: Callable[[Ended], None] | None = None
        self.body = body
        self.stream: Stream | None = None
        self.stream_id = 0
        self.sent_s = self.ended_s = self.deadline_s = 0.0
        self.ended = False

    def begin(self, timeout_s: float, on_end: Callable[[Ended], None], more: Metadata = ()) -> None:
        """Send it."""
        self.sent_s = self._carrier.now_s()
        self.deadline_s = self.sent_s + timeout_s
        self._on_end = on_end
        if more:
            self._fields += encoded(more)
        self.sent_s = self._carrier.begin(self)

    def cancel(self) -> None:
        """Give it up."""
        self.give_up(CANCELLED, self._carrier.now_s())

    def headers(self, now_s: float) -> Headers:
        """What opens its stream when that is done now."""
        return (*self._head, (_TIMEOUT, format_grpc_timeout(self.deadline_s - now_s)), *self._fields)

    def give_up(self, ended: Ended, at_s: float) -> None:
        """The client ends it."""
        if not self.ended:
            if self.stream is not None:
                self.stream.give_up(self)
            self.end(ended, at_s)

    # -- what comes from the target ------------------------------------------------------------------------------------

    def responded(self, headers: Headers) -> None:
        """Headers that are not the end."""
        self._response = headers

    def take(self, piece: memoryview) -> bool:
        """A piece of the answer, which stays as it is; False if there is more than is taken."""
        self._pieces.append(piece)
        self._bytes += len(piece)
        return self._bytes <= MAX_MESSAGE_BYTES + PREFIX_BYTES

    def closed(self, trailers: Headers | None, read_s: float) -> None:
        """The target has ended it, as was read then; None: without trailers."""
        if trailers is None:
            ending = read_ending(self._response)
            if (b":status", b"200") in self._response:
                self.end(Ended(Status.INTERNAL, "the target's answer has no status"), read_s)
                return
        else:
            ending = read_ending(trailers)
        self.end(self._answered() if ending.status is Status.OK else Ended(ending.status, ending.message), read_s)

    def reset(self, event: StreamReset, read_s: float) -> None:
        """The stream ended before its time. A target's own timer may be a little ahead of ours."""
        now_s = self._carrier.now_s()
        if event.code == ErrorCode.CANCEL and now_s >= self.deadline_s:
            self.end(EXPIRED, now_s)
        else:
            text = event.reason or f"the target reset the stream with code {event.code}"
            self.end(Ended(status_of_reset(event.code), text), read_s)

    def end(self, ended: Ended, at_s: float) -> None:
        """It ends, if it has not."""
        if not self.ended:
            self.ended, self.ended_s = True, at_s
            self.body = []
            self._pieces = []
            self.stream = None
            on_end, self._on_end = self._on_end, None
            if on_end is not None:
                on_end(ended)

    def _answered(self) -> Ended:
        pieces = self._pieces
        body = bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)
        if len(body) < PREFIX_BYTES or body[0] or int.from_bytes(body[1:PREFIX_BYTES]) != len(body) - PREFIX_BYTES:
            return Ended(Status.INTERNAL, "the target's answer is not one plain message")
        return Ended(Status.OK, "", body[PREFIX_BYTES:])


def encoded(metadata: Metadata) -> Headers:
    """Metadata as header fields."""
    return tuple((name.encode(), value.encode()) for name, value in metadata)
