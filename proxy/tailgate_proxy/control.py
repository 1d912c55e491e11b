"""Calls other than ModelInfer: metadata, readiness and the like.

They are no arrivals of the product's kind, so they are not observed; a task collects each and passes it on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from tailgate.deadline import parse_grpc_timeout
from tailgate.errors import InvalidRequest, RequestError, Status, Unimplemented
from tailgate.http2.events import Field
from tailgate.outcome import Ending
from tailgate.protocol.names import SERVICE
from tailgate_proxy.call import Answer, Arrival, CallFailed, Client, Reply
from tailgate_proxy.compression import open_message
from tailgate_proxy.forwarding import Forwarding
from tailgate_proxy.held import Held

CONTROL_TIMEOUT_S: Final = 10.0
"""Longest wait for the whole request, and again for the upstream's answer."""

MAX_CONTROL_BYTES: Final = 1 << 20
"""Longest request: none of these carries a tensor."""

ABOUT_A_MODEL: Final = frozenset(
    f"/{SERVICE}/{method}".encode() for method in ("ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics")
)
"""Paths of calls that are about one model. Their messages name it as an inference's does."""

SERVER_READY: Final = f"/{SERVICE}/ServerReady".encode()
"""Path of the call with which whoever deals requests out asks whether to."""

PassOn = Callable[[bytes, bytes, list[Field], float], Coroutine[Any, Any, Answer]]
"""Makes a call to the upstream: path, body, fields, and how long it may take. Raises `CallFailed`."""


class ControlCall:
    """One such call."""

    def __init__(
        self,
        path: bytes,
        arrival: Arrival,
        client: Client,
        stream_id: int,
        pass_on: PassOn | None,
        *,
        forwarding: Forwarding,
        held: Held,
    ) -> None:
        """Pass it on by `pass_on`, with what `forwarding` takes, or without it say that it is not offered; what is kept
        of it counts as held.
        """
        self._path = path
        self._arrival = arrival
        self._client = client
        self._stream_id = stream_id
        self._pass_on = pass_on
        self._forwarding = forwarding
        self._held = held
        self._body = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def arrive(self) -> None:
        """The headers are here."""
        if self._pass_on is None:
            error = Unimplemented(f"{self._path.decode('latin-1')} is not offered here")
            self._answer(Reply(Ending.INVALID, error.status, str(error)))
        else:
            self._timer = asyncio.get_running_loop().call_later(CONTROL_TIMEOUT_S, self._time_up)

    def body(self, piece: memoryview, *, end: bool) -> None:
        """A piece of the body came."""
        self._client.taken(self._stream_id, len(piece))
        if len(self._body) + len(piece) > MAX_CONTROL_BYTES:
            message = f"the request has more than {MAX_CONTROL_BYTES} bytes, which no call but ModelInfer may have"
            self._answer(Reply(Ending.TOO_LARGE, Status.RESOURCE_EXHAUSTED, message))
            return
        if not self._held.take(len(piece)):
            self._answer(Reply(Ending.SHED, Status.RESOURCE_EXHAUSTED, self._held.refusal))
            return
        self._body += piece
        if end and self._task is None and self._pass_on is not None:
            self._done_with_timer()
            self._task = asyncio.get_running_loop().create_task(self._call(self._pass_on))

    def client_left(self) -> None:
        """Nobody waits any more."""
        if self._task is not None:
            self._task.cancel()
        self._let_go()

    def stop(self) -> None:
        """The proxy stops."""
        if self._task is not None:
            self._task.cancel()
        self._answer(Reply(Ending.DRAINING, Status.UNAVAILABLE, "the proxy is shutting down"))

    async def _call(self, pass_on: PassOn) -> None:
        try:
            fields = self._forwarding.of(self._arrival.fields)
            message = open_message(bytes(self._body), self._encoding(), MAX_CONTROL_BYTES)
            answer = await pass_on(self._path, message, fields, self._timeout_s())
        except RequestError as error:
            self._answer(Reply(Ending.INVALID, error.status, str(error)))
        except CallFailed as failure:
            self._answer(Reply(Ending.UPSTREAM_ERROR, failure.status, failure.message, trailers=failure.trailers))
        else:
            self._answer(Reply(Ending.ANSWERED, body=answer.body, trailers=answer.trailers))

    def _encoding(self) -> str:
        return self._arrival.by_name.get(b"grpc-encoding", b"identity").decode("latin-1")

    def _timeout_s(self) -> float:
        given = [value for name, value in self._arrival.fields if name == b"grpc-timeout"]
        if len(given) > 1:
            raise InvalidRequest("grpc-timeout is given more than once; give it once")
        return min([CONTROL_TIMEOUT_S, *(parse_grpc_timeout(value.decode("latin-1")) for value in given)])

    def _time_up(self) -> None:
        text = f"the request was not whole within {CONTROL_TIMEOUT_S:g} s"
        self._answer(Reply(Ending.DEADLINE, Status.DEADLINE_EXCEEDED, text))

    def _answer(self, reply: Reply) -> None:
        self._let_go()
        self._client.answer(self._stream_id, reply)

    def _let_go(self) -> None:
        """It is over."""
        self._done_with_timer()
        self._held.give_back(len(self._body))
        self._body.clear()

    def _done_with_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
