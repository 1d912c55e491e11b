"""Targets of two kinds on the test's own loop: gRPC's own server, and python-h2 doing what no server should."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import grpc
import grpc.aio
import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import pytest
from h2.settings import SettingCodes

from tailgate_loadgen.calls import Call, Client, Ended, Metadata

Context = grpc.aio.ServicerContext[bytes, bytes]
Handler = Callable[[bytes, Context], Awaitable[bytes]]
HEADERS = ((":status", "200"), ("content-type", "application/grpc"))
BIG = 256 << 20


@dataclass
class GrpcTarget:
    """gRPC's own server."""

    server: grpc.aio.Server
    address: str


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[GrpcTarget]]]:
    """Starts gRPC servers whose ModelInfer is this function of bytes."""
    started: list[grpc.aio.Server] = []

    async def start(
        handler: Handler, listen: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None, **options: int
    ) -> GrpcTarget:
        given = {"grpc.max_receive_message_length": BIG, "grpc.max_send_message_length": BIG, "grpc.so_reuseport": 0}
        given |= {f"grpc.{name}": value for name, value in options.items()}
        server = grpc.aio.server(options=list(given.items()))
        method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(handler)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ModelInfer": method}),)
        )
        port = server.add_secure_port(listen, credentials) if credentials else server.add_insecure_port(listen)
        await server.start()
        started.append(server)
        return GrpcTarget(server, listen if listen.startswith("unix:") else f"127.0.0.1:{port}")

    yield start
    for server in started:
        await server.stop(None)


class RawConnection(asyncio.Protocol):
    """A server's side of one connection on python-h2; what it does is for a function to say.

    Attributes:
        h2: python-h2's connection.
        transport: Its transport.
        reset: Streams that the client has reset, with their codes.
    """

    def __init__(self, target: RawTarget) -> None:
        self.target = target
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        self.reset: dict[int, int] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.target.connections.append(self)
        initial = {SettingCodes[name]: value for name, value in self.target.settings.items()}
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=initial)
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            events = []  # of a connection that is over
        for event in events:
            if isinstance(event, h2.events.StreamReset):
                self.reset[event.stream_id] = int(event.error_code)
            self.target.do(self, event)
        self.flush()

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def answer(self, stream_id: int, message: bytes, *, status: int = 0, prefix: bytes | None = None) -> None:
        """A whole answer."""
        self.h2.send_headers(stream_id, HEADERS)
        self.h2.send_data(stream_id, (b"\0" + len(message).to_bytes(4) if prefix is None else prefix) + message)
        self.h2.send_headers(stream_id, (("grpc-status", str(status)),), end_stream=True)
        self.flush()


@dataclass
class RawTarget:
    """A server of such connections.

    Attributes:
        do: What becomes of an event.
        settings: What each connection says of itself at first, by name.
        address: Where it listens.
        connections: All there have been.
    """

    do: Callable[[RawConnection, h2.events.Event], None]
    settings: dict[str, int]
    address: str = ""
    connections: list[RawConnection] = field(default_factory=list)


@pytest.fixture
async def serve_raw() -> AsyncIterator[Callable[..., Awaitable[RawTarget]]]:
    """Starts servers that do with each event what this function says."""
    servers: list[asyncio.Server] = []
    targets: list[RawTarget] = []

    async def start(
        do: Callable[[RawConnection, h2.events.Event], None],
        settings: dict[str, int] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> RawTarget:
        target = RawTarget(do, settings or {})
        server = await asyncio.get_running_loop().create_server(lambda: RawConnection(target), "127.0.0.1", 0, ssl=tls)
        servers.append(server)
        targets.append(target)
        target.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return target

    yield start
    for server in servers:
        server.close()
    for target in targets:
        for connection in target.connections:
            connection.transport.abort()
    await asyncio.sleep(0)


@dataclass
class Begun:
    """A call that was begun.

    Attributes:
        call: Itself.
        ends: Every end that it had.
        done: When it has one.
    """

    call: Call
    ends: list[Ended]
    done: asyncio.Future[Ended]


@pytest.fixture
def begin() -> Callable[..., Begun]:
    """Begins a call, and keeps every end it has."""

    def start(client: Client, message: bytes, timeout_s: float = 60.0, metadata: Metadata = ()) -> Begun:
        middle = len(message) // 3
        begun = Begun(client.prepare(message[:middle], memoryview(message)[middle:], metadata), [], asyncio.Future())

        def ended(how: Ended) -> None:
            begun.ends.append(how)
            if not begun.done.done():
                begun.done.set_result(how)

        begun.call.begin(timeout_s, ended)
        return begun

    return start
