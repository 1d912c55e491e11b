"""Calls through gRPC's own library for asyncio: dearer, later at their instants, and independent of what is ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc.aio

from tailgate.errors import Status
from tailgate.protocol.names import MODEL_INFER
from tailgate_loadgen.calls import Ended, Metadata, Payload, nothing

Stub = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]


def infer_stub(channel: grpc.aio.Channel) -> Stub:
    """Bytes in, bytes out: building requests and reading answers by hand costs far less than generated stubs."""
    return channel.unary_unary(MODEL_INFER, None, None)


class GrpcClient:
    """Calls over one channel, to be made on the running loop."""

    def __init__(self, stub: Stub, metadata: Metadata = ()) -> None:
        """`stub` is of ModelInfer; `metadata` goes with every call."""
        self._stub = stub
        self._metadata = metadata
        self._loop = asyncio.get_running_loop()
        self._following: set[asyncio.Task[None]] = set()
        self.urgent: Callable[[], None] = nothing
        """To be done before each end."""

    def prepare(self, before: bytes, payload: Payload, metadata: Metadata = ()) -> GrpcCall:
        """A call."""
        return GrpcCall(self, b"".join((before, payload)), self._metadata + metadata)

    def put_first(self, urgent: Callable[[], None]) -> None:
        """What gRPC itself does with what it has read is done by then."""
        self.urgent = urgent

    def start(self, body: bytes, metadata: Metadata, timeout_s: float) -> grpc.aio.UnaryUnaryCall[bytes, bytes]:
        """Give a call to gRPC."""
        return self._stub(body, timeout=timeout_s, metadata=list(metadata))

    def now_s(self) -> float:
        """The loop's clock."""
        return self._loop.time()

    def follow(self, call: GrpcCall) -> None:
        """Wait for the end of a call that was started."""
        # The call's own first step is queued already, so this runs right after gRPC was given the request.
        self._loop.call_soon(self._mark, call)
        task = self._loop.create_task(call.follow())
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    def _mark(self, call: GrpcCall) -> None:
        call.sent_s = self._loop.time()


class GrpcCall:
    """A call."""

    def __init__(self, client: GrpcClient, body: bytes, metadata: Metadata) -> None:
        """Not begun yet."""
        self._client = client
        self._body = body
        self._metadata = metadata
        self._cancelled = False
        self.sent_s = self.ended_s = 0.0

    def begin(self, timeout_s: float, on_end: Callable[[Ended], None], more: Metadata = ()) -> None:
        """Send it."""
        self._on_end = on_end
        self._call = self._client.start(self._body, self._metadata + more, timeout_s)
        self._client.follow(self)

    def cancel(self) -> None:
        """Give it up."""
        self._cancelled = True
        self._call.cancel()

    async def follow(self) -> None:
        """Wait for its end."""
        try:
            ended = Ended(Status.OK, "", await self._call)
        except grpc.aio.AioRpcError as error:
            ended = Ended(Status(error.code().value[0]), error.details() or "")
        except asyncio.CancelledError:
            if not self._cancelled:
                raise
            ended = Ended(Status.CANCELLED, "the client cancelled it")
        self.ended_s = self._client.now_s()
        self._client.urgent()
        self._on_end(ended)
