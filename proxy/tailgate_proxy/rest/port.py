"""The port on which clients speak V2 over HTTP, and every connection to it."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import hdrs, web

from tailgate.config import Address
from tailgate.errors import ConfigError
from tailgate_proxy.access.guard import Guard
from tailgate_proxy.background import in_background
from tailgate_proxy.connection_limits import BACKLOG, ConnectionLimits, End, PeerCounts
from tailgate_proxy.control import PassOn
from tailgate_proxy.expect import expect_nothing
from tailgate_proxy.pipeline import Pipeline
from tailgate_proxy.rest.answers import error_answer
from tailgate_proxy.rest.connection import RestConnection
from tailgate_proxy.rest.control import Control
from tailgate_proxy.rest.infer import Infer

SWEEP_S: Final = 1.0
"""How often connections are looked at that keep us waiting."""

LINGER_S: Final = 1.0
"""How long what a client still sends is read and dropped after it was answered, so that it sees the answer."""

INFER_PATHS: Final = ("/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer")


class RestPort:
    """Serves V2's HTTP: inferences through the pipeline, everything else straight to the upstream.

    Attributes:
        ends: How the connections of clients ended.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        pass_on: PassOn,
        *,
        connection_limits: ConnectionLimits,
        blind_s: Callable[[float], float],
        max_json_bytes: int,
        guard: Guard | None = None,
    ) -> None:
        """Nothing is bound before `listen`; without a `guard` everybody is let in."""
        self.ends: Counter[End] = Counter(dict.fromkeys(End, 0))
        self._limits = connection_limits
        self._blind_s = blind_s
        self._peers = PeerCounts()
        self._connections: set[RestConnection] = set()
        self._server: asyncio.Server | None = None
        self._sweeping: asyncio.Task[None] | None = None
        application = web.Application(middlewares=[_errors_in_json])
        self._infer = Infer(pipeline, max_json_bytes)
        for path in INFER_PATHS:
            application.router.add_post(path, self._infer.handle, expect_handler=expect_nothing)
        self._control = Control(pipeline, pass_on, guard)
        self._control.add_to(application)
        application.on_response_prepare.append(_name_server)
        self._runner = web.AppRunner(application, shutdown_timeout=1.0)

    def use(self, pipeline: Pipeline, limits: ConnectionLimits, max_in_flight: int) -> None:  # noqa: ARG002 — the gates'
        """Do so with calls, and with connections, that come from now on."""
        self._infer.pipeline = self._control.pipeline = pipeline
        self._limits = limits

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

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
        await self._runner.setup()
        handshake: dict[str, Any] = (
            {} if tls is None else {"ssl": tls, "ssl_handshake_timeout": 10.0, "ssl_shutdown_timeout": 1.0}
        )
        try:
            self._server = await loop.create_server(
                self._accept, address.bare_host, address.port, backlog=BACKLOG, reuse_port=reuse_port, **handshake
            )
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(f"--rest {address} cannot be bound: {error.strerror or error}") from error
        self._sweeping = in_background(self._sweep(), "looking at clients' connections over HTTP")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self, grace_s: float) -> None:
        """Take no more clients, answer the calls there are, then close."""
        if self._server is None:
            return
        self._server.close()
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in list(self._connections):
            if connection.call is not None:
                connection.call.stop()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + grace_s
        while any(connection.busy for connection in self._connections) and loop.time() < until_s:
            await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.end_for(End.STOPPED)
        await asyncio.sleep(0)
        await self._runner.cleanup()

    def _accept(self) -> RestConnection:
        manager = self._runner.server
        assert manager is not None
        return RestConnection(
            manager,
            self._limits,
            self._blind_s,
            self._made,
            self._lost,
            loop=asyncio.get_running_loop(),
            access_log=None,
            auto_decompress=False,  # not without a bound
            keepalive_timeout=self._limits.idle_s + 10 * SWEEP_S,  # the sweep is first, and knows why
            lingering_time=LINGER_S,
        )

    def _made(self, connection: RestConnection) -> End | None:
        refusal = self._limits.admits(self._peers.total, self._peers.of(connection.peer))
        self._connections.add(connection)
        self._peers.add(connection.peer)
        return refusal

    def _lost(self, connection: RestConnection) -> None:
        self._connections.discard(connection)
        self._peers.remove(connection.peer)
        self.ends[connection.end] += 1

    async def _sweep(self) -> None:
        """End the connections that keep us waiting for too long."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            for connection in list(self._connections):
                connection.check(loop.time())


@web.middleware
async def _errors_in_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """What aiohttp itself finds wrong, in V2's form."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        response = error_answer(error.status, f"{request.method} {request.path} is not offered here: {error.reason}")
        if isinstance(error, web.HTTPMethodNotAllowed):
            response.headers["Allow"] = error.headers["Allow"]
        return response


async def _name_server(_request: web.Request, response: web.StreamResponse) -> None:
    """Nobody needs to know which versions of what are at work here."""
    response.headers[hdrs.SERVER] = "tailgate"
