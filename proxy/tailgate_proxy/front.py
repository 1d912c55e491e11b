"""The front: gRPC by grpc.aio on one side, `Handler` on the other. It can be exchanged for another that calls the same.

What it cannot see: a call that ends before its Python handler runs (its deadline passed while the event loop stalled,
it is more than twice as large as allowed, its connection broke) is answered by the gRPC library alone and becomes no
observation. A client's log shows such calls; `tailgate.books` counts them as unseen.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import grpc
import grpc.aio

from tailgate.config import Address
from tailgate.errors import ConfigError, Status
from tailgate.protocol.names import MODEL_INFER, SERVICE
from tailgate_proxy.call import Call, Handler, Metadata, Reply
from tailgate_proxy.upstream import Upstream, UpstreamFailure

CONTROL_TIMEOUT_S = 10.0
"""Longest wait for an upstream's answer to a call other than ModelInfer."""

_STREAMING = f"/{SERVICE}/ModelStreamInfer"
_CODES = {Status(code.value[0]): code for code in grpc.StatusCode}

Context = grpc.aio.ServicerContext[bytes, bytes]


class Front(grpc.GenericRpcHandler):
    """Serves the V2 service: ModelInfer through the handler, every other unary method straight to the upstream."""

    def __init__(self, handler: Handler, upstream: Upstream, clock: Callable[[], float]) -> None:
        """Stamp arrivals by `clock`."""
        self._handler = handler
        self._upstream = upstream
        self._clock = clock

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        """The handler for a method; None answers UNIMPLEMENTED."""
        method = handler_call_details.method
        if method == MODEL_INFER:
            return _raw(self._infer)
        if not method.startswith(f"/{SERVICE}/") or method == _STREAMING:
            return None

        async def pass_on(body: bytes, context: Context) -> bytes:
            return await self._pass_on(method, body, context)

        return _raw(pass_on)

    async def _infer(self, body: bytes, context: Context) -> bytes:
        arrival_s = self._clock()
        call = Call(body, _metadata(context), arrival_s, time.time(), _remaining_s(context))
        reply = await self._handler(call)
        return await _answer(context, reply)

    async def _pass_on(self, method: str, body: bytes, context: Context) -> bytes:
        """Metadata, readiness and the like: no arrivals of the product's kind, so they are not observed."""
        remaining_s = _remaining_s(context)
        timeout_s = CONTROL_TIMEOUT_S if remaining_s is None else min(remaining_s, CONTROL_TIMEOUT_S)
        try:
            return await self._upstream.call(method, body, timeout_s, ())
        except UpstreamFailure as failure:
            await context.abort(_CODES[failure.status], failure.message, failure.trailers)


def _raw(
    function: Callable[[bytes, Context], Awaitable[bytes]],
) -> grpc.RpcMethodHandler[bytes, bytes]:
    """Bytes in, bytes out: a body that cannot be parsed is for the handler to answer, not for the library."""
    return grpc.unary_unary_rpc_method_handler(function)


def _remaining_s(context: Context) -> float | None:
    """Seconds until the client's gRPC deadline, or None without one (the library's types forget the latter)."""
    return context.time_remaining()


def _metadata(context: Context) -> Metadata:
    return tuple((key, value) for key, value in context.invocation_metadata() or ())


async def _answer(context: Context, reply: Reply) -> bytes:
    if reply.status is not Status.OK:
        await context.abort(_CODES[reply.status], reply.message, reply.trailers)
    if reply.trailers:
        context.set_trailing_metadata(reply.trailers)
    return reply.body


def make_server(front: Front, listen: Address, max_message_bytes: int) -> tuple[grpc.aio.Server, int]:
    """A server for a front, bound but not started, and the port it is bound to.

    Raises:
        ConfigError: The address cannot be bound.
    """
    server = grpc.aio.server(
        handlers=(front,),
        options=[
            # A back-stop, above the limit itself: what exceeds this is refused by the library, and seen by nobody here.
            ("grpc.max_receive_message_length", 2 * max_message_bytes),
            ("grpc.max_send_message_length", max_message_bytes),
            ("grpc.max_metadata_size", 16 * 1024),
            ("grpc.max_concurrent_streams", 1024),
            ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a second server nobody notices
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ],
    )
    try:
        port = server.add_insecure_port(str(listen))
    except RuntimeError as error:
        raise ConfigError(f"--listen {listen} cannot be bound; is something else listening there?") from error
    return server, port
