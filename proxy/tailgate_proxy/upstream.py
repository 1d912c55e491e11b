"""The V2 server behind the proxy, over one gRPC channel: calls in bytes, and whether it says that it is ready."""

from __future__ import annotations

import logging

import grpc
import grpc.aio

from tailgate.config import Address
from tailgate.errors import Status
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.names import SERVICE
from tailgate_proxy.call import Metadata

PROBE_TIMEOUT_S = 2.0

_log = logging.getLogger(__name__)


class UpstreamFailure(Exception):
    """The upstream answered with an error, or could not be reached."""

    def __init__(self, status: Status, message: str, trailers: Metadata) -> None:
        """Carry what the upstream, or gRPC on its behalf, said."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.trailers = trailers


class Upstream:
    """One upstream. `ready` is its own latest word, or False since it stopped giving one."""

    def __init__(self, address: Address, max_message_bytes: int) -> None:
        """Open a channel; connections are made when they are needed."""
        self.address = address
        self.ready = False
        self._channel = grpc.aio.insecure_channel(str(address), options=_channel_options(max_message_bytes))
        self._methods: dict[str, grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {}

    async def call(self, method: str, body: bytes, timeout_s: float, metadata: Metadata) -> bytes:
        """One call, in bytes; it is cancelled at the upstream when the caller is.

        Raises:
            UpstreamFailure: It did not end with OK.
        """
        multicallable = self._methods.get(method)
        if multicallable is None:
            multicallable = self._methods[method] = self._channel.unary_unary(method)
        call = multicallable(body, timeout=timeout_s, metadata=grpc.aio.Metadata(*metadata))
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            status = Status(error.code().value[0])
            trailers = tuple((key, value) for key, value in error.trailing_metadata() if not key.startswith("grpc-"))
            raise UpstreamFailure(status, error.details() or "", trailers) from error
        finally:
            call.cancel()  # no effect on one that is done

    async def models(self) -> list[tuple[str, str]]:
        """Names and versions of the models it lists; none where it keeps no list.

        Raises:
            UpstreamFailure: It could not be asked.
        """
        request = pb.RepositoryIndexRequest(ready=True).SerializeToString()
        try:
            body = await self.call(f"/{SERVICE}/RepositoryIndex", request, PROBE_TIMEOUT_S, ())
        except UpstreamFailure as failure:
            if failure.status is Status.UNIMPLEMENTED:
                return []
            raise
        return [(model.name, model.version) for model in pb.RepositoryIndexResponse.FromString(body).models]

    async def probe(self) -> bool:
        """Ask whether it is ready, and keep the answer in `ready`."""
        request = pb.ServerReadyRequest().SerializeToString()
        try:
            body = await self.call(f"/{SERVICE}/ServerReady", request, PROBE_TIMEOUT_S, ())
            ready = pb.ServerReadyResponse.FromString(body).ready
        except UpstreamFailure:
            ready = False
        if ready != self.ready:
            _log.info("upstream %s is %s", self.address, "ready" if ready else "not ready")
        self.ready = ready
        return ready

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()


def _channel_options(max_message_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),  # only the proxy knows what is left of the deadline
        # After an outage the next attempt follows soon, or calls would fail although the upstream is back.
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.min_reconnect_backoff_ms", 50),
        ("grpc.max_reconnect_backoff_ms", 500),
        # A peer that hangs is found by the ping timeout; the keepalive timeout alone leaves it unnoticed for a minute.
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 2_000),
        ("grpc.http2.ping_timeout_ms", 2_000),
    ]
