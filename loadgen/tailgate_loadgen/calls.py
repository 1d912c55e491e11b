"""What makes calls, as the load generator sees it: a call is prepared, begun at its instant, and ends exactly once.

Two stand behind it: `wire`, made for leaving at the instant, and `grpc_client`, gRPC's own library, which shares no
code with the proxy and so is a check on both. What is sent, and what its end means, is for others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, Protocol

from tailgate.errors import Status

ClientName = Literal["http2", "grpc"]
CLIENTS: Final[tuple[ClientName, ...]] = ("http2", "grpc")
DEFAULT_CLIENT: Final[ClientName] = "http2"

MAX_MESSAGE_BYTES: Final = 256 << 20
"""Of a request or an answer."""

Payload = bytes | memoryview
"""Bytes that stay as they are."""

Metadata = tuple[tuple[str, str], ...]
"""Names in lower case, and values."""


class Ended(NamedTuple):
    """How a call ended.

    Attributes:
        status: Of the call; without one from the target, what gRPC makes of how it ended.
        message: The status's text.
        answer: The message that was answered, serialized; empty unless the status is OK.
    """

    status: Status
    message: str = ""
    answer: bytes = b""


class Call(Protocol):
    """A ModelInfer call."""

    @property
    def sent_s(self) -> float:
        """When it was given to the transport, on the loop's clock; known when it has ended."""
        ...

    @property
    def ended_s(self) -> float:
        """When what ended it was read, whatever was done before anybody was told; known when it has ended."""
        ...

    def begin(self, timeout_s: float, on_end: Callable[[Ended], None], more: Metadata = ()) -> None:
        """Send it now; to be called once.

        Args:
            timeout_s: What is told to the target, and after which the client itself ends it: DEADLINE_EXCEEDED.
            on_end: Called once, possibly before this returns; must not raise.
            more: Metadata that was not known when it was prepared.
        """

    def cancel(self) -> None:
        """Give it up: it ends as CANCELLED, and the target is told. Nothing happens if it has ended."""


class Client(Protocol):
    """Makes calls to one target."""

    def prepare(self, before: bytes, payload: Payload, metadata: Metadata = ()) -> Call:
        """A ModelInfer call with all that can be done before its instant.

        Args:
            before: What stands before the payload in the serialized request, as `RequestFrame.before` makes it.
            payload: The rest of it.
            metadata: That goes with it.
        """
        ...

    def put_first(self, urgent: Callable[[], None]) -> None:
        """Do this, which costs nothing where there is nothing to do, before what was read is looked at, and between
        the ends that it tells of: sending what is due is not to wait for them.
        """


def nothing() -> None:
    """What is urgent until somebody says what is."""


async def ask(client: Client, before: bytes, payload: Payload, timeout_s: float, metadata: Metadata = ()) -> Ended:
    """Make one call and wait for its end."""
    ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
    call = client.prepare(before, payload, metadata)
    call.begin(timeout_s, lambda how: None if ended.done() else ended.set_result(how))
    try:
        return await ended
    except asyncio.CancelledError:
        call.cancel()
        raise
