"""What becomes of calls to targets that do what they should not: every one ends, once, as what it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import h2.errors
import h2.events
import h2.exceptions
import numpy as np
import pytest

from tailgate.errors import Status, UsageError
from tailgate_loadgen.calls import Ended, ask
from tailgate_loadgen.target import open_client
from tailgate_loadgen.wire.client import Http2Client

if TYPE_CHECKING:
    from tests.loadgen.wire.conftest import Begun, Context, RawConnection

Serve = Callable[..., Any]
Begin = Callable[..., Any]
Event = h2.events.Event
MAX_STREAMS, WINDOW = "MAX_CONCURRENT_STREAMS", "INITIAL_WINDOW_SIZE"


def on_request(act: Callable[[RawConnection, int], None]) -> Callable[[RawConnection, Event], None]:
    """Take all there is of every request, then act."""

    def do(connection: RawConnection, event: Event) -> None:
        if isinstance(event, h2.events.DataReceived):
            connection.h2.increment_flow_control_window(event.flow_controlled_length or 1)
        elif isinstance(event, h2.events.StreamEnded):
            act(connection, event.stream_id)

    return do


async def test_more_calls_than_a_connection_takes_go_over_more_connections_at_once(serve: Serve, begin: Begin) -> None:
    together, all_there = 0, asyncio.Event()

    async def handler(body: bytes, _context: Context) -> bytes:
        nonlocal together
        together += 1
        if together == 10:
            all_there.set()
        await all_there.wait()
        return body

    target = await serve(handler, max_concurrent_streams=2)
    async with open_client("http2", target.address) as client:
        begun = [begin(client, b"question") for _ in range(10)]
        assert [(await one.done).status for one in begun] == [Status.OK] * 10


async def test_a_stream_that_is_refused_is_unavailable_and_not_sent_again(serve_raw: Serve) -> None:
    asked: list[int] = []

    def refuse(connection: RawConnection, stream_id: int) -> None:
        asked.append(stream_id)
        connection.h2.reset_stream(stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)

    target = await serve_raw(on_request(refuse))
    async with open_client("http2", target.address) as client:
        assert (await ask(client, b"q", b"", 60)).status is Status.UNAVAILABLE
        assert (await ask(client, b"q", b"", 60)).status is Status.UNAVAILABLE
    assert asked == [1, 3]


RESPONSES = {
    "503": ((":status", "503"), ("content-type", "text/html")),
    "404": ((":status", "404"), ("content-type", "text/html")),
    "401": ((":status", "401"),),
    "200": ((":status", "200"), ("content-type", "text/html")),
}


@pytest.mark.parametrize("body", [b"", b"<html>"])
@pytest.mark.parametrize(
    ("response", "status"),
    [
        ("503", Status.UNAVAILABLE),
        ("404", Status.UNIMPLEMENTED),
        ("401", Status.UNAUTHENTICATED),
        ("200", Status.UNKNOWN),
    ],
)
async def test_an_answer_that_is_http_but_not_grpc_is_what_grpc_makes_of_it(
    serve_raw: Serve, response: str, status: Status, body: bytes
) -> None:
    def answer(connection: RawConnection, stream_id: int) -> None:
        connection.h2.send_headers(stream_id, RESPONSES[response], end_stream=not body)
        if body:
            connection.h2.send_data(stream_id, body, end_stream=True)

    target = await serve_raw(on_request(answer))
    async with open_client("http2", target.address) as client:
        ended = await ask(client, b"q", b"", 60)
    # A body without trailers under a status of 200 has the form of gRPC, and lacks its end.
    assert ended.status is (Status.INTERNAL if response == "200" and body else status)


@pytest.mark.parametrize(
    ("prefix", "message"), [(b"\1\0\0\0\1", b"x"), (b"\0\0\0\0\2", b"x"), (b"\0\0\0\0\1", b"x\0\0\0\0\1y"), (b"", b"")]
)
async def test_a_body_that_is_not_one_plain_message_is_no_answer(
    serve_raw: Serve, prefix: bytes, message: bytes
) -> None:
    target = await serve_raw(
        on_request(lambda connection, stream_id: connection.answer(stream_id, message, prefix=prefix))
    )
    async with open_client("http2", target.address) as client:
        assert (await ask(client, b"q", b"", 60)).status is Status.INTERNAL


async def test_hints_before_an_answer_are_passed_over(serve_raw: Serve) -> None:
    def answer(connection: RawConnection, stream_id: int) -> None:
        connection.h2.send_headers(stream_id, ((":status", "103"), ("link", "</a>")))
        connection.answer(stream_id, b"answer")

    target = await serve_raw(on_request(answer))
    async with open_client("http2", target.address) as client:
        assert await ask(client, b"q", b"", 60) == Ended(Status.OK, "", b"answer")


async def test_a_body_waits_for_the_targets_windows_and_arrives_whole(serve_raw: Serve, begin: Begin) -> None:
    bodies: dict[int, bytearray] = {}

    def trickle(connection: RawConnection, event: Event) -> None:
        if isinstance(event, h2.events.DataReceived):
            bodies.setdefault(event.stream_id, bytearray()).extend(event.data or b"")
            connection.h2.increment_flow_control_window(event.flow_controlled_length or 1)
            if event.stream_ended is None:
                connection.h2.increment_flow_control_window(5000, event.stream_id)
            else:
                connection.answer(event.stream_id, b"answer")

    target = await serve_raw(trickle, {WINDOW: 1000})
    messages = [np.random.default_rng(seed).bytes(200_000) for seed in range(4)]
    async with open_client("http2", target.address) as client:
        begun = [begin(client, message) for message in messages]
        assert [(await one.done).status for one in begun] == [Status.OK] * 4
    assert sorted(bytes(body[5:]) for body in bodies.values()) == sorted(messages)


async def test_a_body_that_the_target_does_not_take_is_taken_back_at_the_deadline(
    serve_raw: Serve, begin: Begin
) -> None:
    target = await serve_raw(lambda _connection, _event: None, {WINDOW: 1000})
    async with open_client("http2", target.address) as client:
        begun = [begin(client, bytes(100_000), 0.1) for _ in range(3)]
        assert [(await one.done).status for one in begun] == [Status.DEADLINE_EXCEEDED] * 3
        async with asyncio.timeout(60):
            while len(target.connections[0].reset) < 3:
                await asyncio.sleep(0.01)
        assert set(target.connections[0].reset.values()) == {h2.errors.ErrorCodes.CANCEL}


async def test_an_answer_before_the_request_has_left_ends_the_call_and_spares_the_rest(
    serve_raw: Serve, begin: Begin
) -> None:
    def hasty(connection: RawConnection, event: Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            headers = ((":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "8"))
            connection.h2.send_headers(event.stream_id, headers, end_stream=True)

    target = await serve_raw(hasty, {WINDOW: 1000})
    async with open_client("http2", target.address) as client:
        assert (await begin(client, bytes(100_000)).done).status is Status.RESOURCE_EXHAUSTED
        async with asyncio.timeout(60):
            while not target.connections[0].reset:
                await asyncio.sleep(0.01)


async def test_of_a_target_that_goes_away_what_it_has_not_looked_at_is_unavailable_at_once(
    serve_raw: Serve, begin: Begin
) -> None:
    seen: list[int] = []

    def go_away_at_the_third(connection: RawConnection, stream_id: int) -> None:
        seen.append(stream_id)
        if stream_id == 5:
            connection.h2.close_connection(last_stream_id=1)
            connection.flush()
            # python-h2 takes the connection for closed; what is still owed is written by hand.
            connection.transport.write(bytes.fromhex("000001 01 05 00000001 88"))

    target = await serve_raw(on_request(go_away_at_the_third))
    async with open_client("http2", target.address) as client:
        begun = [begin(client, b"question") for _ in range(3)]
        # A response of nothing but HTTP's 200 says nothing of gRPC: it came, after the GOAWAY.
        assert [(await one.done).status for one in begun] == [Status.UNKNOWN, Status.UNAVAILABLE, Status.UNAVAILABLE]
    assert seen == [1, 3, 5]


@pytest.mark.parametrize("rubbish", [bytes(9), b"\xff" * 64])
async def test_a_target_that_breaks_the_rules_ends_its_connection_and_the_next_call_gets_another(
    serve_raw: Serve, rubbish: bytes
) -> None:
    def once(connection: RawConnection, stream_id: int) -> None:
        if len(target.connections) == 1:
            connection.transport.write(rubbish)
        else:
            connection.answer(stream_id, b"answer")

    target = await serve_raw(on_request(once))
    async with open_client("http2", target.address) as client:
        ended = await ask(client, b"q", b"", 60)
        assert (ended.status, "broke the rules of HTTP/2" in ended.message) == (Status.UNAVAILABLE, True)
        assert (await ask(client, b"q", b"", 60)).answer == b"answer"


async def test_a_web_server_is_told_from_a_target(tmp_path: Any) -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(web, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(UsageError, match=rf"^target {address} cannot be reached: .* HTTP/1; is this its gRPC port"):
        async with open_client("http2", address):
            pass
    server.close()


async def test_a_target_that_accepts_only_to_go_away_is_out_of_reach(serve_raw: Serve) -> None:
    def go_away(connection: RawConnection, event: Event) -> None:
        if isinstance(event, h2.events.RemoteSettingsChanged):
            connection.h2.close_connection()

    target = await serve_raw(go_away)
    with pytest.raises(UsageError, match=rf"^target {target.address} cannot be reached: it takes no calls"):
        async with open_client("http2", target.address):
            pass


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_the_target_and_the_caller_do_every_call_ends_exactly_once(
    serve_raw: Serve, begin: Begin, seed: int
) -> None:
    generator = np.random.default_rng(seed)

    def anything(connection: RawConnection, stream_id: int) -> None:
        what = int(generator.integers(0, 40))
        try:
            match what:
                case 0:
                    connection.transport.abort()
                case 1:
                    connection.h2.close_connection(last_stream_id=int(stream_id))
                case 2 | 3 | 4:
                    connection.h2.reset_stream(stream_id, int(generator.integers(0, 14)))
                case 5 | 6:
                    pass  # no answer, ever
                case _:
                    connection.answer(stream_id, bytes(int(generator.integers(0, 30_000))))
        except h2.exceptions.ProtocolError:
            pass  # the connection is over, or the stream is

    target = await serve_raw(on_request(anything), {MAX_STREAMS: 5, WINDOW: 10_000})
    begun: list[Begun] = []
    client = Http2Client(target.address)
    async with client:
        for _ in range(300):
            begun.append(begin(client, bytes(int(generator.integers(1, 40_000))), float(generator.uniform(0.01, 1.5))))
            if generator.random() < 0.2:
                begun[int(generator.integers(0, len(begun)))].call.cancel()
            if generator.random() < 0.3:
                await asyncio.sleep(0.001)
        await asyncio.gather(*(one.done for one in begun))
    assert {len(one.ends) for one in begun} == {1}
    assert {one.ends[0].status for one in begun} >= {Status.OK, Status.CANCELLED}
