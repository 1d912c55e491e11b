"""A connection to an upstream, over a transport in memory: its calls share it, and none can end it for the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tailgate.errors import Status
from tailgate.http2.codes import ErrorCode, Role
from tailgate.http2.connection import Connection
from tailgate.http2.events import Headers
from tailgate.http2.grpc_headers import RESPONSE
from tailgate.http2.limits import Limits
from tailgate_proxy.call import Answer, CallFailed, Leg
from tailgate_proxy.held import Held
from tailgate_proxy.wire.link import READ_BYTES, Desk
from tailgate_proxy.wire.outbound import Outbound

MAX_BYTES = 1 << 16
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
            max_message_bytes=MAX_BYTES,
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
        for at in range(0, len(data), READ_BYTES):
            piece = data[at : at + READ_BYTES]
            self.desk.buffer[: len(piece)] = piece
            self.outbound.buffer_updated(len(piece))

    async def ask(self) -> Asking:
        """A call that has reached it."""
        asking = self.begin()
        await self.exchange()
        return asking

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


def by_http(http2: Connection, stream_id: int) -> None:
    http2.send_headers(stream_id, ((b":status", b"503"), (b"content-type", b"text/html")), end_stream=True)


def by_http_with_a_page(http2: Connection, stream_id: int) -> None:
    http2.send_headers(stream_id, ((b":status", b"503"), (b"content-type", b"text/html")))
    http2.send_data(stream_id, b"<h1>Service Unavailable</h1>", end_stream=True)


def by_a_reset(http2: Connection, stream_id: int) -> None:
    http2.reset(stream_id, ErrorCode.ENHANCE_YOUR_CALM)


def by_its_answer(http2: Connection, stream_id: int) -> None:
    http2.send_headers(stream_id, RESPONSE)
    http2.send_data(stream_id, bytes(MAX_BYTES + 6))


def by_its_own_word(http2: Connection, stream_id: int) -> None:
    http2.send_headers(stream_id, REFUSAL, end_stream=True)


def by_its_own_word_after_headers(http2: Connection, stream_id: int) -> None:
    http2.send_headers(stream_id, RESPONSE)
    http2.send_headers(stream_id, ((b"grpc-status", b"14"),), end_stream=True)


@pytest.mark.parametrize(
    ("end", "status", "said"),
    [
        (by_its_own_word, Status.RESOURCE_EXHAUSTED, True),
        (by_its_own_word_after_headers, Status.UNAVAILABLE, True),
        (by_http, Status.UNAVAILABLE, False),
        (by_http_with_a_page, Status.UNAVAILABLE, False),
        (by_a_reset, Status.RESOURCE_EXHAUSTED, False),
        (by_its_answer, Status.RESOURCE_EXHAUSTED, False),
    ],
)
async def test_only_a_status_of_grpcs_is_taken_for_the_upstreams_own_word(
    end: Callable[[Connection, int], None], status: Status, said: bool
) -> None:
    upstream = Upstream()
    await upstream.exchange()
    asking = await upstream.ask()
    end(upstream.http2, asking.stream_id)
    await upstream.exchange()
    assert [(failure.status, failure.said) for failure in asking.failures] == [(status, said)]
    upstream.outbound.connection_lost(None)
