"""Upstreams that do what they are told to, over real sockets (python-h2), and the pool that calls them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import pytest

from tailgate.config import Address
from tailgate.http2.grpc_messages import frame_message
from tailgate_proxy.held import Held
from tailgate_proxy.upstreams.upstream import Upstream
from tailgate_proxy.wire.link import Desk

REFUSED = h2.errors.ErrorCodes.REFUSED_STREAM


class Peer:
    """One connection, as the upstream sees it. What calls are answered is for `script` to say, once a body is there."""

    def __init__(self, server: RawUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.h2: Any = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.bodies: dict[int, bytearray] = {}
        self.paths: dict[int, str] = {}
        self.pings = 0
        self.hung = False
        self.reads = True
        self.stopped = asyncio.Event()
        self.ended = False

    def answer(self, stream_id: int, message: bytes = b"yes") -> None:
        self.h2.send_headers(stream_id, [(":status", "200"), ("content-type", "application/grpc")])
        self.h2.send_data(stream_id, frame_message(message))
        self.h2.send_headers(stream_id, [("grpc-status", "0")], end_stream=True)
        self.flush()

    def refuse(self, stream_id: int, code: int = REFUSED) -> None:
        self.h2.reset_stream(stream_id, code)
        self.flush()

    def go_away(self, last_stream_id: int) -> None:
        # By hand: python-h2 would take no more of the calls that it may still finish.
        payload = last_stream_id.to_bytes(4) + bytes(4)
        self.writer.write(len(payload).to_bytes(3) + b"\x07\x00" + bytes(4) + payload)

    def flush(self) -> None:
        if not self.writer.is_closing():
            self.writer.write(self.h2.data_to_send())

    async def serve(self) -> None:
        if self.server.most_streams is not None:
            self.h2.local_settings = h2.settings.Settings(
                client=False,
                initial_values={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self.server.most_streams},
            )
        self.h2.initiate_connection()
        self.flush()
        while data := await self.reader.read(65536):
            if self.hung:
                await self.stopped.wait()
                return
            for event in self.h2.receive_data(data):
                self._take(event)
            self.flush()

    def _take(self, event: Any) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self.bodies[event.stream_id] = bytearray()
            self.paths[event.stream_id] = dict[Any, Any](event.headers)[":path"]
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] += event.data
            if self.reads:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.PingReceived):
            self.pings += 1
        if isinstance(event, h2.events.StreamEnded):
            self.server.script(self, event.stream_id)


class RawUpstream:
    """An upstream on a port of its own."""

    def __init__(self, script: Callable[[Peer, int], None], most_streams: int | None) -> None:
        self.script = script
        self.most_streams = most_streams
        self.peers: list[Peer] = []
        self.address = Address("127.0.0.1", 0)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.address.port)
        self.address = Address("127.0.0.1", self._server.sockets[0].getsockname()[1])

    def stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()

    async def stop(self) -> None:
        self.stop_listening()
        for peer in self.peers:
            peer.stopped.set()
            peer.writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(self, reader, writer)
        self.peers.append(peer)
        with suppress(ConnectionError, asyncio.CancelledError):
            await peer.serve()
        peer.ended = True
        writer.close()


def say_yes(peer: Peer, stream_id: int) -> None:
    peer.answer(stream_id)


@pytest.fixture
async def raw_upstream() -> AsyncIterator[Callable[..., Any]]:
    """Starts upstreams by their scripts, and stops them all in the end."""
    started: list[RawUpstream] = []

    async def start(script: Callable[[Peer, int], None] = say_yes, *, most_streams: int | None = None) -> RawUpstream:
        raw = RawUpstream(script, most_streams)
        await raw.start()
        started.append(raw)
        return raw

    yield start
    for raw in started:
        await raw.stop()
    await asyncio.sleep(0)


@pytest.fixture
async def pool() -> AsyncIterator[Callable[[Address], Upstream]]:
    """Makes what is tested here, for an address, and closes it in the end."""
    made: list[Upstream] = []

    def make(address: Address) -> Upstream:
        made.append(Upstream(address, Desk(asyncio.get_running_loop()), Held(1 << 30), 1 << 20))
        return made[-1]

    yield make
    for upstream in made:
        await upstream.close()
    await asyncio.sleep(0.01)


@pytest.fixture
async def listen() -> AsyncIterator[Callable[..., Any]]:
    """Starts servers that speak no HTTP/2, and stops them all in the end."""
    servers: list[asyncio.Server] = []

    async def start(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> Address:
        servers.append(await asyncio.start_server(serve, "127.0.0.1", 0))
        return Address("127.0.0.1", servers[-1].sockets[0].getsockname()[1])

    yield start
    for server in servers:
        server.close()
