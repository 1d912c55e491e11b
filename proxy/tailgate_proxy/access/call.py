"""A gRPC call that is refused as soon as its headers are here: nothing of its body is read."""

from __future__ import annotations

from tailgate.access.decision import Refusal
from tailgate.outcome import Ending
from tailgate_proxy.call import Client, Reply


class RefusedCall:
    """One such call. It is no arrival of the product's kind, so it is not observed."""

    def __init__(self, refusal: Refusal, client: Client, stream_id: int) -> None:
        """Refuse by `arrive`."""
        self._refusal = refusal
        self._client = client
        self._stream_id = stream_id

    def arrive(self) -> None:
        """The headers are here, and that is enough."""
        error = self._refusal.error
        self._client.answer(self._stream_id, Reply(Ending.UNAUTHORIZED, error.status, str(error)))

    def body(self, piece: memoryview, *, end: bool) -> None:
        """It was answered before any came."""

    def client_left(self) -> None:
        """It was answered."""

    def stop(self) -> None:
        """It was answered."""
