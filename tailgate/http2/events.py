"""What the peer did: one plain record each, in the order in which it did it.

They are dataclasses that could be changed but must not be: freezing them makes each several times as dear to make, and
a proxy makes several for every call. For the same reason the two that every call has write their `__init__` out: one
that dataclasses make is interpreted also where this is compiled.
"""

from __future__ import annotations

from builtins import memoryview  # noqa: A004 — mypyc looks for what stands in dataclasses in the module alone
from dataclasses import dataclass
from enum import Enum, auto

from tailgate.http2.codes import ErrorCode

Field = tuple[bytes, bytes]
"""A header field: name in lower case, value."""
Headers = tuple[Field, ...]


class Kind(Enum):
    """What a header list is."""

    REQUEST = auto()
    INFORMATIONAL = auto()
    RESPONSE = auto()
    TRAILERS = auto()


@dataclass(slots=True, init=False)
class HeadersReceived:
    """A header list that keeps the rules of its kind. A request opens its stream."""

    stream_id: int
    headers: Headers
    end_stream: bool
    kind: Kind

    def __init__(self, stream_id: int, headers: Headers, end_stream: bool, kind: Kind) -> None:  # noqa: FBT001 — as it is
        """In the order of the fields."""
        self.stream_id = stream_id
        self.headers = headers
        self.end_stream = end_stream
        self.kind = kind


@dataclass(slots=True, init=False)
class DataReceived:
    """A piece of a body. Its length has to be given to `Connection.acknowledge` when it is no longer held.

    Attributes:
        stream_id: Of the body.
        data: A view of what `receive` was given, not a copy: valid for as long as that is. Empty only at the end of a
            stream. Padding is not in it, and needs no acknowledgement.
        end_stream: Whether it was the last.
    """

    stream_id: int
    data: memoryview
    end_stream: bool

    def __init__(self, stream_id: int, data: memoryview, end_stream: bool) -> None:  # noqa: FBT001 — as above
        """In the order of the fields."""
        self.stream_id = stream_id
        self.data = data
        self.end_stream = end_stream


@dataclass(slots=True)
class StreamReset:
    """A stream ended before its time. It is gone; what is still sent or acknowledged on it has no effect.

    Attributes:
        stream_id: Of the stream.
        code: An `ErrorCode`, or a number unknown to us.
        remote: True if the peer did it; False if we did, because the peer broke a rule on it.
        retryable: The peer promises that it did nothing with the request: it may be sent again, elsewhere.
        reason: In words, if we did it.
    """

    stream_id: int
    code: int
    remote: bool
    retryable: bool = False
    reason: str = ""


@dataclass(slots=True)
class WindowOpened:
    """Data can be sent again where a window was exhausted: on one stream or, with 0, on the connection."""

    stream_id: int


@dataclass(slots=True)
class SettingsChanged:
    """The peer's settings arrived; `Connection.peer` holds them all. The first tells that it speaks HTTP/2."""


@dataclass(slots=True)
class PingAcknowledged:
    """The answer to `Connection.ping`."""

    payload: bytes


@dataclass(slots=True)
class GoAwayReceived:
    """The peer takes no more streams. Ours above `last_stream_id` follow as `StreamReset`, retryable."""

    last_stream_id: int
    code: int
    debug: bytes


@dataclass(slots=True)
class ConnectionTerminated:
    """The peer broke a rule that ends the connection. The last event; send what is queued, then close."""

    code: ErrorCode
    reason: str


Event = (
    HeadersReceived
    | DataReceived
    | StreamReset
    | WindowOpened
    | SettingsChanged
    | PingAcknowledged
    | GoAwayReceived
    | ConnectionTerminated
)
