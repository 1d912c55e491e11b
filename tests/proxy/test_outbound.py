"""A connection to an upstream, over a transport in memory: its calls share it, and none can end it for the others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tailgate.http2.codes import Role
from tailgate.http2.connection import Connection
from tailgate.http2.events import Headers
from tailgate.http2.grpc_headers import RESPONSE
from tailgate.http2.limits import Limits
from tailgate_proxy.call import Answer, CallFailed, Leg
from tailgate_proxy.held import Held
from tailgate_proxy.wire.link import Desk
from tailgate_proxy.wire.outbound import Outbound

REFUSAL = (*RESPONSE, (b"grpc-status", b"8"))


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


@dataclass
class Asking:
    """Makes one call, and notes how it ended."""

    wanted: bool = True
    leg: Leg | None = None
    stream_id: int = 0
    answers: list[Answer] = field(default_factory=list)
    failures: list[CallFailed] = field(default_factory=list)

    def headers(self, authority: bytes, *, tls: bool) -> Headers:
        scheme = b"https" if tls else b"http"
        return ((b":method", b"POST"), (b":scheme", scheme), (b":path", b"/s/m"), (b":authority", authority))

    def begun(self, leg: Leg, stream_id: int) -> None:
        self.leg, self.stream_id = leg, stream_id
        leg.send(stream_id, b"question", end=True)

    def left(self, count: int) -> None:
        pass

    def answered(self, answer: Answer) -> None:
        self.answers.append(answer)

    def failed(self, failure: CallFailed) -> None:
        self.failures.append(failure)


class Upstream:
    """A connection to an upstream, and the upstream's end of it."""

    def __init__(self) -> None:
        self.desk = Desk(asyncio.get_running_loop())
        self.outbound = Outbound(
            b"up",
            self.desk,
            limits=Limits(),
            max_message_bytes=1 << 20,
            held=Held(1 << 30),
            on_change=lambda _: None,
        )
        self.transport = Transport()
        self.outbound.connection_made(self.transport)
        self.http2 = Connection(Role.SERVER, Limits(max_concurrent_streams=100))

    async def exchange(self) -> None:
        """What the proxy has written is read there, and what the upstream has to say here."""
        await asyncio.sleep(0)
        self.http2.receive(bytes(self.transport.written))
        self.transport.written.clear()
        self.say(self.http2.data_to_send())
        await asyncio.sleep(0)

    def say(self, data: bytes) -> None:
        self.desk.buffer[: len(data)] = data
        self.outbound.buffer_updated(len(data))

    def begin(self) -> Asking:
        asking = Asking()
        self.outbound.begin(asking)
        return asking


async def test_one_client_that_gives_up_call_after_call_ends_no_call_of_another() -> None:
    upstream = Upstream()
    await upstream.exchange()
    others, given_up = [upstream.begin() for _ in range(5)], [upstream.begin() for _ in range(20)]
    await upstream.exchange()
    upstream.http2.send_headers(given_up[0].stream_id, REFUSAL, end_stream=True)
    on_its_way = upstream.http2.data_to_send()
    for asking in given_up:
        upstream.outbound.cancel(asking.stream_id)
    for _ in range(1000):
        upstream.outbound.cancel(upstream.begin().stream_id)
    upstream.say(on_its_way)
    assert upstream.outbound.connected
    for asking in others:
        upstream.http2.send_headers(asking.stream_id, REFUSAL, end_stream=True)
    upstream.say(upstream.http2.data_to_send())
    assert [failure.message for asking in others for failure in asking.failures] == [""] * 5
    upstream.outbound.connection_lost(None)
