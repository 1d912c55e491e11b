"""The front: the port on which clients speak gRPC, and every connection to it."""

from __future__ import annotations

import asyncio
import ssl

from tailgate.config import Address
from tailgate.deadline import parse_grpc_timeout
from tailgate.errors import ConfigError, Status
from tailgate.http2.codes import MAX_STREAM_ID
from tailgate.http2.limits import Limits
from tailgate_proxy.answer import Answer
from tailgate_proxy.call import Call, Handler
from tailgate_proxy.steps.forward import passed_on
from tailgate_proxy.upstream import Upstream
from tailgate_proxy.wire.held import Held
from tailgate_proxy.wire.inbound import Inbound

CONTROL_TIMEOUT_S = 10.0
"""Longest wait for an upstream's answer to a call other than ModelInfer."""

ROOM_FOR_REFUSALS = 128
"""Calls at once on one connection beyond those the proxy takes in all, so that it refuses them itself, and books it."""

RESETS = 5000
"""Calls that one connection may open and reset in a second; a storm of honest deadlines after a stall stays below."""


class Front:
    """Serves the V2 service: ModelInfer through the handler, every other unary method straight to the upstream."""

    def __init__(
        self,
        handler: Handler,
        upstream: Upstream,
        *,
        max_in_flight: int,
        max_message_bytes: int,
        max_held_bytes: int,
    ) -> None:
        """Nothing is bound before `listen`."""
        self._handler = handler
        self._upstream = upstream
        self._max_message_bytes = max_message_bytes
        self._limits = Limits(max_concurrent_streams=max_in_flight + ROOM_FOR_REFUSALS, resets=RESETS)
        self._held = Held(max_held_bytes)
        self._server: asyncio.Server | None = None
        self._connections: set[Inbound] = set()

    async def listen(self, address: Address, *, tls: ssl.SSLContext | None = None, reuse_port: bool = False) -> int:
        """Take clients from now on; returns the port.

        Args:
            address: Where.
            tls: For clients that have to speak TLS.
            reuse_port: Share the port with other processes that ask for it, too.

        Raises:
            ConfigError: The address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                self._accept, address.bare_host, address.port, backlog=1024, ssl=tls, reuse_port=reuse_port
            )
        except OSError as error:
            raise ConfigError(f"--listen {address} cannot be bound: {error.strerror or error}") from error
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def warn_clients(self) -> None:
        """Say to every client that this connection will end; calls that come all the same are still answered."""
        for connection in self._connections:
            connection.http2.go_away(last_stream_id=MAX_STREAM_ID)
            connection.flush_soon()

    async def close(self, grace_s: float) -> None:
        """Take no more clients, let the calls there are be answered, then close."""
        if self._server is None:
            return
        self._server.close()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + grace_s
        while any(connection.busy for connection in self._connections) and loop.time() < until_s:
            await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.refuse_all(Status.UNAVAILABLE, "the proxy is shutting down and has waited long enough")
            connection.http2.go_away()
            connection.close()
        await asyncio.sleep(0)

    def _accept(self) -> Inbound:
        connection = Inbound(
            self._handler,
            self._pass_on,
            limits=self._limits,
            max_message_bytes=self._max_message_bytes,
            held=self._held,
            on_lost=self._connections.discard,
        )
        self._connections.add(connection)
        return connection

    async def _pass_on(self, path: str, call: Call) -> Answer:
        """Metadata, readiness and the like: no arrivals of the product's kind, so they are not observed."""
        budget_s = CONTROL_TIMEOUT_S if call.grpc_timeout is None else parse_grpc_timeout(call.grpc_timeout)
        timeout_s = min(budget_s, CONTROL_TIMEOUT_S)
        return await self._upstream.call(path, await call.receive(), timeout_s, passed_on(call.metadata))
