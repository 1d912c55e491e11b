"""How a call to an upstream ends: with an answer, or not."""

from __future__ import annotations

from dataclasses import dataclass

from tailgate.errors import Status
from tailgate_proxy.call import Metadata


@dataclass(frozen=True, slots=True)
class Answer:
    """A call ended with OK.

    Attributes:
        body: The answer, byte for byte.
        trailers: The upstream's trailing metadata.
    """

    body: bytes
    trailers: Metadata = ()


class CallFailed(Exception):
    """A call did not end with OK.

    Attributes:
        status: What the upstream said, or what the loss of the connection amounts to.
        message: In words.
        trailers: The upstream's trailing metadata.
        retryable: The upstream cannot have seen the call.
    """

    def __init__(self, status: Status, message: str, trailers: Metadata = (), *, retryable: bool = False) -> None:
        """Carry what is known."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.trailers = trailers
        self.retryable = retryable
