"""What reaches the socket is seen: raw HTTP/2 clients, by a library not written here, against whole proxies."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
import grpc
import grpc.aio
import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.envelope import RequestFrame
from tailgate.protocol.names import MODEL_INFER, SERVICE

RunningProxy = Any  # defined in conftest.py, which tests do not import
ScriptedUpstream = Any
StartProxy = Any

BODY = RequestFrame("scripted", "image", "UINT8", (1, 4)).build("1/raw", b"abcd")


def framed(message: bytes, flag: int = 0) -> bytes:
    return bytes((flag,)) + len(message).to_bytes(4, "big") + message


class RawClient:
    """A client that sends just what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding="utf-8", validate_outbound_headers=False)
        )
        self.h2.initiate_connection()
        self.events: list[Any] = []
        self.flush()

    @classmethod
    async def connect(cls, running: RunningProxy) -> RawClient:
        return cls(*await asyncio.open_connection(running.address.host, running.address.port))

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def start(self, path: str = MODEL_INFER, *extra: tuple[str, str]) -> int:
        stream_id: int = self.h2.get_next_available_stream_id()
        self.h2.send_headers(
            stream_id,
            [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "proxy"), ("te", "trailers"),
             ("content-type", "application/grpc"), *extra],
        )  # fmt: skip
        return stream_id

    def send(self, stream_id: int, data: bytes, *, end: bool = True) -> None:
        for at in range(0, len(data), 16_384):
            self.h2.send_data(stream_id, data[at : at + 16_384])
        if end:
            self.h2.end_stream(stream_id)
        self.flush()

    async def until(self, wanted: Callable[[Any], bool]) -> Any:
        """The first event that fits, reading on until it comes."""
        async with asyncio.timeout(60):
            while True:
                for event in self.events:
                    if wanted(event):
                        return event
                data = await self.reader.read(65536)
                if not data:
                    raise AssertionError(f"the connection ended; there were {self.events}")
                self.events += self.h2.receive_data(data)
                self.flush()

    async def ending(self, stream_id: int) -> dict[str, str]:
        """The fields of the header list that ends a stream."""
        event = await self.until(
            lambda e: (
                isinstance(e, h2.events.TrailersReceived | h2.events.ResponseReceived)
                and e.stream_id == stream_id
                and "grpc-status" in {str(name) for name, _ in e.headers}
            )
        )
        return dict(event.headers)

    def close(self) -> None:
        self.writer.close()


async def booked(running: RunningProxy, wanted: int) -> dict[str, int]:
    """Outcomes that are not zero, once so many have been booked."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"http://{running.admin}/status.json") as response:
                status = json.loads(await response.text())
            outcomes: dict[str, int] = {name: count for name, count in status["outcomes"].items() if count}
            assert status["received"] == sum(outcomes.values()) + status["in_flight"]
            if sum(outcomes.values()) >= wanted:
                return outcomes
            await asyncio.sleep(0.02)


async def test_a_call_from_another_http2_library_is_answered(start_proxy: StartProxy) -> None:
    running = await start_proxy()
    client = await RawClient.connect(running)
    stream = client.start()
    for byte in framed(BODY)[:-1]:  # the message in pieces of one byte
        client.send(stream, bytes((byte,)), end=False)
    client.send(stream, framed(BODY)[-1:])
    assert (await client.ending(stream))["grpc-status"] == "0"
    assert await booked(running, 1) == {"ok": 1}
    client.close()


async def test_a_message_that_never_comes_is_cut_at_the_deadline_and_booked(start_proxy: StartProxy) -> None:
    running = await start_proxy(deadline="100ms")
    client = await RawClient.connect(running)
    silent, halfway = client.start(), client.start()
    client.send(halfway, framed(BODY)[:20], end=False)
    for stream in (silent, halfway):
        ending = await client.ending(stream)
        assert (ending["grpc-status"], ending["tailgate-outcome"]) == ("4", "deadline_in_flight")
    assert await booked(running, 2) == {"deadline_in_flight": 2}
    client.close()


async def test_a_call_that_is_reset_in_the_same_breath_is_booked(start_proxy: StartProxy) -> None:
    running = await start_proxy()
    client = await RawClient.connect(running)
    for _ in range(20):
        stream = client.start()
        client.h2.reset_stream(stream)
    client.flush()  # headers and resets of all in one piece
    assert await booked(running, 20) == {"client_cancelled": 20}
    client.close()


async def test_a_client_that_vanishes_has_its_calls_booked_and_ended_upstream(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy()
    client = await RawClient.connect(running)
    for number in range(5):
        body = RequestFrame("scripted", "image", "UINT8", (1, 4)).build(f"hold/{number}", b"abcd")
        client.send(client.start(), framed(body))
    while len(upstream.started) < 5:
        await asyncio.sleep(0.01)
    client.writer.transport.abort()
    assert await booked(running, 5) == {"client_cancelled": 5}
    async with asyncio.timeout(60):
        while len(upstream.cancelled) < 5:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("timeout", ["-1S", "abc", "5", "999999999S", "1.5S"])
async def test_a_malformed_timeout_is_refused_and_harms_no_other_call_of_its_connection(
    timeout: str, start_proxy: StartProxy
) -> None:
    running = await start_proxy()
    client = await RawClient.connect(running)
    bad, good = client.start(MODEL_INFER, ("grpc-timeout", timeout)), client.start(MODEL_INFER, ("grpc-timeout", "50S"))
    client.send(bad, framed(BODY))
    client.send(good, framed(BODY))
    ending = await client.ending(bad)
    assert ending["grpc-status"] == "3"
    assert "grpc-timeout" in ending["grpc-message"]
    assert (await client.ending(good))["grpc-status"] == "0"
    assert await booked(running, 2) == {"rejected_invalid": 1, "ok": 1}
    client.close()


@pytest.mark.parametrize("timeout", ["0n", "0S"])
async def test_a_timeout_of_nothing_is_refused_without_waiting_for_the_message(
    timeout: str, upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy()
    client = await RawClient.connect(running)
    stream = client.start(MODEL_INFER, ("grpc-timeout", timeout))
    client.flush()
    assert (await client.ending(stream))["tailgate-outcome"] == "expired_on_arrival"
    assert upstream.started == []
    client.close()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "ended before its message was complete"),
        (framed(BODY)[:-1], "ended before its message was complete"),
        (framed(BODY) + framed(BODY), "more than one message"),
        (b"\x07" + framed(BODY)[1:], "begins with 7"),
        (framed(b"\xff\xff\xff"), "not a ModelInferRequest"),
        (framed(b"no gzip", flag=1), "is no gzip"),
        (framed(gzip.compress(BODY, mtime=0)[:-9], flag=1), "cut short"),
    ],
)
async def test_a_malformed_body_is_refused_in_words_and_booked(
    body: bytes, sentence: str, start_proxy: StartProxy
) -> None:
    running = await start_proxy()
    client = await RawClient.connect(running)
    stream = client.start(MODEL_INFER, ("grpc-encoding", "gzip"))
    client.send(stream, body)
    ending = await client.ending(stream)
    assert ending["grpc-status"] == "3"
    assert sentence in ending["grpc-message"]
    assert await booked(running, 1) == {"rejected_invalid": 1}
    client.close()


async def test_compressed_requests_are_opened_and_bombs_are_not(start_proxy: StartProxy) -> None:
    running = await start_proxy(max_message_mib=1)
    client = await RawClient.connect(running)
    honest, bomb = (client.start(MODEL_INFER, ("grpc-encoding", "gzip")) for _ in range(2))
    client.send(honest, framed(gzip.compress(BODY, mtime=0), flag=1))
    client.send(bomb, framed(gzip.compress(bytes(50 << 20), mtime=0), flag=1))
    assert (await client.ending(honest))["grpc-status"] == "0"
    assert (await client.ending(bomb))["grpc-status"] == "8"
    assert await booked(running, 2) == {"ok": 1, "rejected_limit": 1}
    unknown = client.start(MODEL_INFER, ("grpc-encoding", "snappy"))
    client.send(unknown, framed(BODY, flag=1))
    assert (await client.ending(unknown))["grpc-status"] == "12"
    client.close()


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", bytes(500)])
async def test_what_is_no_http2_is_turned_away_and_others_are_served(noise: bytes, start_proxy: StartProxy) -> None:
    running = await start_proxy()
    reader, writer = await asyncio.open_connection(running.address.host, running.address.port)
    writer.write(noise)
    async with asyncio.timeout(60):
        while await reader.read(65536):
            pass
    writer.close()
    assert await running.infer("1/after")


async def test_a_slow_reader_gets_its_answer_whole(start_proxy: StartProxy) -> None:
    running = await start_proxy()
    client = await RawClient.connect(running)
    client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 7})
    stream = client.start()
    client.send(stream, framed(BODY))
    received = b""
    while True:
        event = await client.until(lambda e: getattr(e, "stream_id", None) == stream)
        client.events.remove(event)
        if isinstance(event, h2.events.DataReceived):
            received += event.data
            client.h2.acknowledge_received_data(event.flow_controlled_length, stream)
            client.flush()
        if isinstance(event, h2.events.TrailersReceived):
            break
    assert len(received) == 5 + int.from_bytes(received[1:5], "big")
    client.close()


async def held_bytes(running: RunningProxy, wanted: Callable[[int], bool]) -> int:
    """What the metrics say is held, once it is as wanted."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"http://{running.admin}/metrics") as response:
                lines = (await response.text()).splitlines()
            held = int(float(next(line for line in lines if line.startswith("tailgate_held_bytes ")).split()[1]))
            if wanted(held):
                return held
            await asyncio.sleep(0.02)


async def test_requests_that_pass_through_are_not_held(upstream: ScriptedUpstream, start_proxy: StartProxy) -> None:
    running = await start_proxy(max_held_mib=1)
    frame = RequestFrame("scripted", "image", "UINT8", (1, 4))
    calls = [asyncio.ensure_future(running.send(frame.build(f"hold/{n}", bytes(900_000)))) for n in range(4)]
    while len(upstream.started) < 4:
        await asyncio.sleep(0.01)
    assert await held_bytes(running, lambda held: held >= 0) < 900_000
    upstream.released.set()
    await asyncio.gather(*calls)
    assert await booked(running, 4) == {"ok": 4}


async def test_a_compressed_message_that_does_not_fit_among_the_held_bytes_is_shed(start_proxy: StartProxy) -> None:
    running = await start_proxy(max_message_mib=8, max_held_mib=2)
    frame, noise = RequestFrame("scripted", "image", "UINT8", (1, 4)), random.Random(3).randbytes(2_500_000)
    method = running.channel.unary_unary(MODEL_INFER)
    with pytest.raises(grpc.aio.AioRpcError) as caught:  # zeros, for gRPC compresses only what gets smaller by that
        await method(frame.build("1/a", noise + bytes(500_000)), compression=grpc.Compression.Gzip)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "--max-held-mib" in (caught.value.details() or "")
    assert await method(frame.build("1/b", noise[:900_000] + bytes(500_000)), compression=grpc.Compression.Gzip)
    assert await held_bytes(running, lambda held: held == 0) == 0
    assert await booked(running, 2) == {"ok": 1, "shed_queue_full": 1}


async def test_answers_that_a_slow_reader_pins_are_bounded_and_cost_nobody_else(start_proxy: StartProxy) -> None:
    running = await start_proxy(max_message_mib=1, max_held_mib=2)
    client = await RawClient.connect(running)
    client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
    for number in range(4):  # answers of 800 KB each, of which it takes nothing
        request = RequestFrame("scripted", "image", "UINT8", (1, 4)).build(f"large:200000/{number}", b"abcd")
        client.send(client.start(), framed(request))
    await booked(running, 4)
    assert 1_600_000 <= await held_bytes(running, lambda held: held > 0) <= 2 << 20
    assert await running.infer("1/other")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.infer("large:200000/other")
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    client.writer.transport.abort()
    assert await held_bytes(running, lambda held: held == 0) == 0
    assert await running.infer("large:200000/after")


async def ended(running: RunningProxy, reason: str) -> None:
    """Wait until a client's connection has ended for this reason."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"http://{running.admin}/status.json") as response:
                status = json.loads(await response.text())
            if status["connection_ends"][reason]:
                assert not status["connections"]
                return
            await asyncio.sleep(0.05)


async def one_that_reads_nothing(running: RunningProxy) -> RawClient:
    """A client with wide windows that asks for 40 MB, which is more than the system takes off the proxy's hands."""
    client = await RawClient.connect(running)
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
    client.h2.increment_flow_control_window(2**31 - 1 - 65535)
    client.flush()
    await client.until(lambda e: isinstance(e, h2.events.RemoteSettingsChanged))
    request = RequestFrame("scripted", "image", "UINT8", (1, 4)).build("large:10000000/a", b"abcd")
    client.send(client.start(), framed(request))
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]  # asyncio's own
    await booked(running, 1)
    return client


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"stall_timeout": "1s"}, "stall_timeout"),
        ({"idle_timeout": "5s", "stall_timeout": "1h"}, "idle_timeout"),  # told to go, it does not read that either
    ],
)
async def test_a_client_that_reads_nothing_at_all_is_let_go_though_its_windows_are_wide(
    settings: dict[str, str], reason: str, start_proxy: StartProxy
) -> None:
    running = await start_proxy(deadline="60s", **settings)
    client = await one_that_reads_nothing(running)
    await ended(running, reason)
    client.writer.transport.abort()


async def test_what_a_client_with_wide_windows_does_not_read_counts_as_held(start_proxy: StartProxy) -> None:
    running = await start_proxy(deadline="60s", stall_timeout="1h")
    client = await one_that_reads_nothing(running)
    assert await held_bytes(running, lambda held: held > 1_000_000) < 40_100_000
    client.writer.transport.abort()
    assert await held_bytes(running, lambda held: held == 0) == 0


@pytest.mark.parametrize("name", ["café", "a\nb", "a\0b", "x" * 20_000])
async def test_any_text_may_be_a_requests_id(name: str, upstream: ScriptedUpstream, start_proxy: StartProxy) -> None:
    running = await start_proxy()
    assert await running.infer(name)
    assert upstream.started == [name]
    assert await booked(running, 1) == {"ok": 1}


async def test_calls_that_outlast_the_drain_are_told_so_and_booked_as_draining(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy(deadline="60s", drain_grace="300ms")
    call = asyncio.ensure_future(running.infer("hold/a", timeout=None))
    while not upstream.started:
        await asyncio.sleep(0.01)
    await running.proxy.stop()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    outcomes = running.proxy._ledger.outcomes()  # its admin port is closed by now
    assert {outcome.label: count for outcome, count in outcomes.items() if count} == {"draining": 1}


async def test_a_proxy_that_is_about_to_stop_is_not_ready_though_its_upstream_is(start_proxy: StartProxy) -> None:
    running = await start_proxy()
    ready = running.channel.unary_unary(f"/{SERVICE}/ServerReady")
    assert pb.ServerReadyResponse.FromString(await ready(b"", timeout=60)).ready
    running.proxy._admit.draining = True
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ready(b"", timeout=60)
    running.proxy._admit.draining = False
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "shutting down" in (caught.value.details() or "")


async def test_an_upstream_that_answers_garbage_is_not_ready(start_proxy: StartProxy) -> None:
    async def garbage(_body: bytes, _context: Any) -> bytes:
        return b"\xff\xff"

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "ServerReady": grpc.unary_unary_rpc_method_handler(garbage)
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    running = await start_proxy(upstream=f"127.0.0.1:{port}")
    async with aiohttp.ClientSession() as session, session.get(f"http://{running.admin}/readyz") as response:
        assert response.status == 503
    await server.stop(None)
