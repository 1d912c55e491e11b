"""The seam between whatever speaks gRPC to clients and what the proxy does: a call comes in, a reply goes out.

Lives here: the values that cross it. A front turns its wire into a `Call` as soon as it has the headers, awaits the
handler and puts the `Reply` on the wire; the steps behind it never see a socket.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tailgate.errors import Status
from tailgate.outcome import Ending
from tailgate.protocol.answers import UNKNOWN_CLASS

Metadata = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One ModelInfer call, known by its headers; the message may still be on its way.

    Attributes:
        receive: Waits for the whole serialized request; nobody here parses its tensors. Raises `InvalidRequest` or
            `TooLarge` where what comes is no single message of an allowed size.
        metadata: As the client sent it.
        arrival_s: When its headers came, on the monotonic clock.
        arrival_unix_s: On the wall clock.
        grpc_timeout: The header ``grpc-timeout`` as it came, or None without one.
    """

    receive: Callable[[], Awaitable[bytes]]
    metadata: Metadata
    arrival_s: float
    arrival_unix_s: float
    grpc_timeout: str | None


@dataclass(frozen=True, slots=True)
class Reply:
    """How a call ended.

    Attributes:
        ending: What ended it.
        status: What the client is given.
        message: The status's text; empty with OK.
        body: The upstream's answer, byte for byte.
        trailers: Metadata that goes after it.
        version: The model version that answered.
        predicted: The class the answer names.
    """

    ending: Ending
    status: Status = Status.OK
    message: str = ""
    body: bytes = b""
    trailers: Metadata = ()
    version: str = ""
    predicted: int = UNKNOWN_CLASS


Handler = Callable[[Call], Awaitable[Reply]]
"""What a front calls. It ends every call in a reply, or raises `CancelledError` when the client has left."""
