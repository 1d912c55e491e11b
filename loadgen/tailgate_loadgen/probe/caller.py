"""Calls as gRPC's clients make them: the shell around grpc.aio. What a call comes to is an `Ended`."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio

from tailgate.errors import Status
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.names import MODEL_INFER, SERVICE
from tailgate_loadgen.credentials import NO_CREDENTIALS, Credentials
from tailgate_loadgen.probe.seen import Ended, ServerSaid

_Stub = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
_Call = grpc.aio.UnaryUnaryCall[bytes, bytes]
_ASK_S = 10.0
_MOST_TEXT = 300


class Caller:
    """Makes calls over one channel. To be made on the running loop."""

    def __init__(self, channel: grpc.aio.Channel, model: str, credentials: Credentials = NO_CREDENTIALS) -> None:
        """Nothing is sent yet; `credentials` are those of the channel."""
        self.loop = asyncio.get_running_loop()
        self._channel = channel
        self._credentials = credentials
        self._metadata = list(credentials.metadata)
        self._model = model
        self._infer: _Stub = channel.unary_unary(MODEL_INFER, None, None)

    def start(
        self, body: bytes, patience_s: float, *, deadline_s: float | None = None, cancel_after_s: float | None = None
    ) -> asyncio.Task[Ended]:
        """Make a ModelInfer call now; the task is its end.

        Args:
            body: The serialized request.
            patience_s: The deadline of a call that has no other.
            deadline_s: Its deadline, kept by the client as well: gRPC ends the call then.
            cancel_after_s: When the client cancels it.
        """
        call = self._infer(body, timeout=patience_s if deadline_s is None else deadline_s, metadata=self._metadata)
        sent_s = self.loop.time()
        if cancel_after_s is not None:
            self.loop.call_at(sent_s + cancel_after_s, call.cancel)
        return self.loop.create_task(self._end(call, sent_s, cancelled=cancel_after_s is not None))

    async def ask(self, body: bytes, patience_s: float) -> Ended:
        """Make a call and wait for its end."""
        return await self.start(body, patience_s)

    async def counted(self) -> int | None:
        """How many inferences the server says it has made of the model, in rows; None where it does not say."""
        request = pb.ModelStatisticsRequest(name=self._model)
        answer = await self._control("ModelStatistics", request.SerializeToString())
        if answer is None:
            return None
        models = pb.ModelStatisticsResponse.FromString(answer).model_stats
        return sum(model.inference_count for model in models) if models else None

    async def said(self, platform: str) -> ServerSaid:
        """What the server says of itself; whatever it does not say is empty."""
        answer = await self._control("ServerMetadata", b"")
        metadata = pb.ServerMetadataResponse.FromString(answer or b"")
        return ServerSaid(
            server=metadata.name,
            version=metadata.version,
            extensions=tuple(metadata.extensions),
            platform=platform,
            statistics=await self.counted() is not None,
        )

    async def _control(self, method: str, body: bytes) -> bytes | None:
        stub: _Stub = self._channel.unary_unary(f"/{SERVICE}/{method}", None, None)
        try:
            return await stub(body, timeout=_ASK_S, metadata=self._metadata)
        except grpc.aio.AioRpcError:
            return None

    async def _end(self, call: _Call, sent_s: float, *, cancelled: bool) -> Ended:
        status, details = Status.OK, ""
        try:
            await call
        except grpc.aio.AioRpcError as error:
            status = Status(error.code().value[0])
            details = self._credentials.without_token(error.details() or "")[:_MOST_TEXT]
        except asyncio.CancelledError:
            if not cancelled or not call.done():
                raise
            status = Status.CANCELLED
        return Ended(sent_s, self.loop.time(), status, details)
