"""The front: the port on which clients speak gRPC, and every connection to it."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from os import urandom
from typing import Any, Final

from tailgate.config import Address
from tailgate.errors import ConfigError
from tailgate.http2.codes import MAX_STREAM_ID
from tailgate.http2.limits import Limits
from tailgate.protocol.names import MODEL_INFER, SERVICE
from tailgate_proxy.access.call import RefusedCall
from tailgate_proxy.access.guard import Guard
from tailgate_proxy.background import in_background
from tailgate_proxy.call import Arrival, Client, Ongoing
from tailgate_proxy.connection_limits import BACKLOG, ConnectionLimits, End, PeerCounts
from tailgate_proxy.control import ControlCall, PassOn
from tailgate_proxy.exchange import authorization_of, read_headers
from tailgate_proxy.feedback.call import PATHS
from tailgate_proxy.gone import book_gone
from tailgate_proxy.held import Held
from tailgate_proxy.passage import Passage
from tailgate_proxy.pipeline import Pipeline
from tailgate_proxy.wire.inbound import Inbound, Serve
from tailgate_proxy.wire.link import Desk

ROOM_FOR_REFUSALS: Final = 128
"""Calls at once on one connection beyond those the proxy takes in all, so that it refuses them itself, and books it."""

LINGER_S: Final = 1.0
"""Longest wait, at the end, for clients to hear that this connection takes nothing more, and to leave."""

SWEEP_S: Final = 1.0
"""How often connections are looked at that keep us waiting."""

RESETS: Final = 5000
"""Calls that one connection may open and reset in a second; a storm of honest deadlines after a stall stays below."""

_MODEL_INFER: Final = MODEL_INFER.encode()
_SERVICE: Final = f"/{SERVICE}/".encode()
_STREAMING: Final = b"ModelStreamInfer"


class Front:
    """Serves the V2 service: ModelInfer through the pipeline, every other unary method straight to the upstream; and
    takes in labels.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        pass_on: PassOn,
        feedback: Serve,
        desk: Desk,
        *,
        max_in_flight: int,
        held: Held,
        connection_limits: ConnectionLimits,
        blind_s: Callable[[float], float],
        guard: Guard | None = None,
    ) -> None:
        """Nothing is bound before `listen`; without a `guard` everybody is let in."""
        self._pipeline = pipeline
        self._pass_on = pass_on
        self._feedback = feedback
        self._desk = desk
        self._limits = Limits(max_concurrent_streams=max_in_flight + ROOM_FOR_REFUSALS, resets=RESETS)
        self._held = held
        self._connection_limits = connection_limits
        self._peers = PeerCounts()
        self._sweeping: asyncio.Task[None] | None = None
        self.ends: Counter[End] = Counter(dict.fromkeys(End, 0))
        """How the connections of clients ended."""
        self._blind_s = blind_s
        self._guard = guard
        self._server: asyncio.Server | None = None
        self._connections: set[Inbound] = set()

    def use(self, pipeline: Pipeline, limits: ConnectionLimits, max_in_flight: int) -> None:
        """Do so with calls, and with connections, that come from now on."""
        self._pipeline = pipeline
        self._connection_limits = limits
        self._limits = replace(self._limits, max_concurrent_streams=max_in_flight + ROOM_FOR_REFUSALS)

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
        try:
            server: Any = await loop.create_server(  # any: uvloop has its sockets in a list, asyncio in a tuple
                self._accept, address.bare_host, address.port, backlog=BACKLOG, reuse_port=reuse_port, **_with_tls(tls)
            )
        except OSError as error:
            raise ConfigError(f"--listen {address} cannot be bound: {error.strerror or error}") from error
        self._sweeping = in_background(self._sweep(), "looking at clients' connections")
        self._server = server
        port: int = server.sockets[0].getsockname()[1]
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
        if self._sweeping is not None:
            self._sweeping.cancel()
        loop = asyncio.get_running_loop()
        until_s, latest_s = loop.time() + grace_s, loop.time() + max(grace_s, LINGER_S)
        for connection in self._connections:
            if connection.connected:
                connection.http2.go_away()
                connection.flush_soon()
        # Also where nobody is busy: a client whose calls are on their way has to hear first that they are not taken, so
        # that it makes them elsewhere. A connection that is closed on them tells it nothing. One that heard it leaves.
        while loop.time() < until_s or (self._connections and loop.time() < latest_s):
            await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.stop_all()
            connection.end_for(End.STOPPED)
        await asyncio.sleep(0)

    def _accept(self) -> Inbound:
        return Inbound(
            self._serve,
            self._desk,
            book_gone=self._book_gone,
            limits=self._limits,
            held=self._held,
            blind_s=self._blind_s,
            connection_limits=self._connection_limits,
            on_made=self._made,
            on_lost=self._lost,
        )

    def _made(self, connection: Inbound) -> End | None:
        refusal = self._connection_limits.admits(self._peers.total, self._peers.of(connection.peer))
        self._connections.add(connection)
        self._peers.add(connection.peer)
        return refusal

    def _lost(self, connection: Inbound) -> None:
        self._connections.discard(connection)
        self._peers.remove(connection.peer)
        self.ends[connection.end] += 1

    async def _sweep(self) -> None:
        """End the connections that keep us waiting for too long."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s = self._desk.loop.time()
            for connection in list(self._connections):
                connection.check(now_s)

    def _serve(self, path: bytes, arrival: Arrival, client: Client, stream_id: int) -> Ongoing:
        if path == _MODEL_INFER:
            exchange = read_headers(arrival, self._pipeline.routes, _make_id)
            return Passage(exchange, self._pipeline, client, stream_id)
        if self._guard is not None:
            refusal = self._guard.check_call(path, authorization_of(arrival.fields))
            if refusal is not None:
                return RefusedCall(refusal, client, stream_id)
        if path in PATHS:
            return self._feedback(path, arrival, client, stream_id)
        offered = path.startswith(_SERVICE) and path != _SERVICE + _STREAMING
        pass_on, forwarding = self._pass_on if offered else None, self._pipeline.routes.forwarding
        return ControlCall(path, arrival, client, stream_id, pass_on, forwarding=forwarding, held=self._held)

    def _book_gone(self, path: bytes, arrival: Arrival) -> None:
        """Of inferences alone there are books."""
        if path == _MODEL_INFER:
            book_gone(read_headers(arrival, self._pipeline.routes, _make_id), self._pipeline)


def _make_id() -> str:
    return urandom(16).hex()  # a UUID would be as hard to guess, and takes five times as long


def _with_tls(tls: ssl.SSLContext | None) -> dict[str, Any]:
    """What a server needs to speak TLS: a client has ten seconds for the handshake, and one to say goodbye."""
    return {} if tls is None else {"ssl": tls, "ssl_handshake_timeout": 10.0, "ssl_shutdown_timeout": 1.0}
