"""Clients that tell a deadline and then wait longer, to see what the server itself does: gRPC's libraries end a call at
its deadline. They speak through Tailgate's own HTTP/2 engine.

Each has a connection of its own, for one call: servers are not at their best at a deadline, and what one of them breaks
on a connection must not look like an answer to another call.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tailgate.errors import Status
from tailgate.http2.codes import Role
from tailgate.http2.connection import Connection
from tailgate.http2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    Headers,
    HeadersReceived,
    Kind,
    SettingsChanged,
    StreamReset,
    WindowOpened,
)
from tailgate.http2.grpc_ending import read_ending
from tailgate.http2.grpc_headers import format_grpc_timeout
from tailgate.http2.grpc_messages import frame_message
from tailgate.http2.grpc_status import status_of_reset
from tailgate.protocol.names import MODEL_INFER
from tailgate_loadgen.credentials import NO_CREDENTIALS, Credentials
from tailgate_loadgen.probe.seen import Ended
from tailgate_loadgen.wire.address import Address, parse_address
from tailgate_loadgen.wire.call import encoded

_CONNECT_S = 10.0


class PatientClients:
    """As many clients as a trial needs, connected before it."""

    def __init__(self, target: str, credentials: Credentials = NO_CREDENTIALS) -> None:
        """Not connected yet; `target` is HOST:PORT."""
        self._address = parse_address(target)
        tls = credentials.tls
        self._tls: dict[str, Any] = {} if tls is None else tls.connecting(self._address.host)
        name = None if tls is None else tls.server_name
        self._head: Headers = (
            (b":method", b"POST"),
            (b":scheme", b"https" if self._tls else b"http"),
            (b":path", MODEL_INFER.encode()),
            (b":authority", name.encode() if name else self._address.authority),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            *encoded(credentials.metadata),
        )
        self._ready: list[PatientClient] = []
        self._used: list[PatientClient] = []

    async def connect(self, count: int) -> None:
        """Have so many clients ready, and be done with those that were used.

        Raises:
            OSError: The server cannot be reached, or says nothing (TimeoutError).
        """
        for client in self._used:
            client.close()
        self._used.clear()
        while len(self._ready) < count:
            self._ready.append(await PatientClient.connect(self._address, self._tls, self._head))

    def start(self, body: bytes, patience_s: float, deadline_s: float) -> asyncio.Task[Ended]:
        """Make a ModelInfer call now that tells this deadline; the task is its end, whoever brings it about."""
        client = self._ready.pop()
        self._used.append(client)
        client.send(body, deadline_s)
        return asyncio.get_running_loop().create_task(client.wait(patience_s))

    def close(self) -> None:
        """Close all connections."""
        for client in (*self._ready, *self._used):
            client.close()


class PatientClient(asyncio.Protocol):
    """One connection with one call. Open with `connect`."""

    def __init__(self, head: Headers) -> None:
        """Not connected yet; `head` is what its request says before the deadline."""
        self._loop = asyncio.get_running_loop()
        self._head = head
        self._connection = Connection(Role.CLIENT)
        self._transport: asyncio.Transport | None = None
        self._settled: asyncio.Future[None] = self._loop.create_future()
        self._end: asyncio.Future[Ended] = self._loop.create_future()
        self._stream, self._sent_s = 0, 0.0
        self._unsent = memoryview(b"")

    @classmethod
    async def connect(cls, address: Address, tls: dict[str, Any], head: Headers) -> PatientClient:
        """A client whose server has said that it speaks HTTP/2.

        Args:
            address: Of the server.
            tls: Arguments with which the loop connects to it over TLS; empty for none.
            head: What its request says before the deadline.

        Raises:
            OSError: It cannot be reached, or says nothing (TimeoutError).
        """
        async with asyncio.timeout(_CONNECT_S):
            _, client = await asyncio.get_running_loop().create_connection(
                lambda: cls(head), address.host, address.port, **tls
            )
            await client._settled
        return client

    def send(self, body: bytes, deadline_s: float) -> None:
        """Make the call."""
        headers = (*self._head, (b"grpc-timeout", format_grpc_timeout(deadline_s)))
        self._sent_s = self._loop.time()
        self._unsent = memoryview(frame_message(body))
        if self._connection.can_open:
            self._stream = self._connection.open_stream(headers)
            self._send_on()
            self._flush()
        else:
            self._finish(Status.UNAVAILABLE, "the connection takes no call")

    async def wait(self, patience_s: float) -> Ended:
        """The end of the call; DEADLINE_EXCEEDED if none comes for so long."""
        try:
            async with asyncio.timeout(patience_s):
                return await asyncio.shield(self._end)
        except TimeoutError:
            return Ended(self._sent_s, self._loop.time(), Status.DEADLINE_EXCEEDED, "nothing came")

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio's side ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what opens a connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take what the server did."""
        for event in self._connection.receive(data):
            self._take(event)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — asyncio's signature
        """Nothing will come any more."""
        self._finish(Status.UNAVAILABLE, "the connection was lost")
        if not self._settled.done():
            self._settled.set_exception(ConnectionError("the connection was closed at once"))

    def _take(self, event: Event) -> None:
        match event:
            case SettingsChanged():
                if not self._settled.done():
                    self._settled.set_result(None)
            case HeadersReceived() if event.end_stream or event.kind is Kind.TRAILERS:
                ending = read_ending(event.headers)
                self._finish(ending.status, ending.message)
            case DataReceived():
                self._connection.acknowledge(event.stream_id, len(event.data))
                if event.end_stream:
                    self._finish(Status.INTERNAL, "the answer had no trailers")
            case StreamReset():
                self._finish(status_of_reset(event.code), f"stream reset, code {event.code}")
            case WindowOpened():
                self._send_on()
            case ConnectionTerminated():
                self.close()
            case _:
                pass

    def _send_on(self) -> None:
        if self._unsent:
            taken = self._connection.send_data(self._stream, self._unsent, end_stream=True)
            self._unsent = self._unsent[taken:]

    def _finish(self, status: Status, details: str) -> None:
        if not self._end.done():
            self._end.set_result(Ended(self._sent_s, self._loop.time(), status, details))

    def _flush(self) -> None:
        if self._transport is not None and (data := self._connection.data_to_send()):
            self._transport.write(data)
