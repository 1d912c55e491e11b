"""What a peer may cost: every flood ends, honest work of the same kind does not, and memory stays where it was."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from tailgate.http2.codes import (
    CONTINUATION,
    DATA,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    Role,
)
from tailgate.http2.connection import Connection
from tailgate.http2.events import ConnectionTerminated, Event, HeadersReceived, StreamReset
from tailgate.http2.limits import Limits

START = PREFACE + bytes.fromhex("000000 04 00 00000000") + bytes.fromhex("000000 04 01 00000000")
BLOCK = bytes.fromhex("838684")  # POST, http, /
LIMITS = Limits()


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream_id.to_bytes(4) + payload


OPEN = frame(HEADERS, 4, 1, BLOCK)
ASK = frame(HEADERS, 5, 1, BLOCK)


def literal(name: bytes, value: bytes) -> bytes:
    length = len(value) - 127
    return b"\0" + bytes((len(name),)) + name + b"\x7f" + bytes((length & 0x7F | 0x80, length >> 7)) + value


def server(limits: Limits = LIMITS) -> Connection:
    connection = Connection(Role.SERVER, limits)
    connection.receive(START)
    return connection


def endless(*frames: bytes) -> Callable[[], Iterator[bytes]]:
    """The first frame once, the others for ever."""

    def make() -> Iterator[bytes]:
        yield frames[0]
        while True:
            yield from frames[1:]

    return make


def streams(*parts: Callable[[int], bytes]) -> Callable[[], Iterator[bytes]]:
    """These frames for one stream after the other."""

    def make() -> Iterator[bytes]:
        for number in count(1, 2):
            yield from (part(number) for part in parts)

    return make


def opening(number: int) -> bytes:
    return frame(HEADERS, 4, number, BLOCK)


FLOODS = {
    "PING": endless(OPEN, frame(PING, 0, 0, bytes(8))),
    "PING acknowledgements": endless(OPEN, frame(PING, 1, 0, bytes(8))),
    "SETTINGS": endless(OPEN, frame(SETTINGS, 0, 0, bytes.fromhex("0004 00000001"))),
    "SETTINGS acknowledgements": endless(OPEN, frame(SETTINGS, 1, 0)),
    "PRIORITY": endless(OPEN, frame(PRIORITY, 0, 1, bytes(5))),
    "unknown frames": endless(OPEN, frame(0x16, 0, 1, bytes(100))),
    "WINDOW_UPDATE of the connection": endless(OPEN, frame(WINDOW_UPDATE, 0, 0, bytes.fromhex("00000001"))),
    "WINDOW_UPDATE of a stream": endless(OPEN, frame(WINDOW_UPDATE, 0, 1, bytes.fromhex("00000001"))),
    "empty DATA": endless(OPEN, frame(DATA, 0, 1)),
    "DATA of padding": endless(OPEN, frame(DATA, 8, 1, b"\2\0\0")),
    "empty CONTINUATION": endless(frame(HEADERS, 0, 1, BLOCK), frame(CONTINUATION, 0, 1)),
    "CONTINUATION": endless(frame(HEADERS, 0, 1, BLOCK), frame(CONTINUATION, 0, 1, bytes(1000))),
    "a long block": endless(frame(HEADERS, 0, 1, BLOCK), frame(CONTINUATION, 0, 1, bytes(16_000))),
    "rapid reset": streams(opening, lambda number: frame(RST_STREAM, 0, number, bytes.fromhex("00000008"))),
    "reset by a window of 0": streams(opening, lambda number: frame(WINDOW_UPDATE, 0, number, bytes(4))),
    "malformed requests": streams(lambda number: frame(HEADERS, 5, number, b"\x83")),
    "more streams than are taken": streams(opening),
    "lists that are too long": streams(
        lambda number: frame(HEADERS, 5, number, BLOCK + literal(b"x", b"y" * 16_000) * 2)
    ),
    "lists that are too long, from a short block": streams(
        lambda number: frame(
            HEADERS, 5, number, BLOCK + literal(b"x", b"y" * 3000).replace(b"\0", b"\x40", 1) + b"\xbe" * 99
        )
    ),
    "RST_STREAM of a stream that ended": endless(
        opening(1) + frame(RST_STREAM, 0, 1, bytes(4)), frame(RST_STREAM, 0, 1, bytes(4))
    ),
    "empty DATA on a stream that was reset": endless(
        opening(1) + frame(WINDOW_UPDATE, 0, 1, bytes(4)), frame(DATA, 0, 1)
    ),
    "trailers on a stream that was reset": endless(
        opening(1) + frame(WINDOW_UPDATE, 0, 1, bytes(4)), frame(HEADERS, 5, 1, b"\0\1x\1y")
    ),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_ends_the_connection_soon_and_costs_no_memory(flood: Callable[[], Iterator[bytes]]) -> None:
    connection, said = server(), list[Event]()
    tracemalloc.start()
    try:
        for number, data in enumerate(flood()):
            said = connection.receive(data)
            if connection.terminated:
                break
            assert number < 2 * LIMITS.overhead
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    ended = said[-1]
    assert isinstance(ended, ConnectionTerminated)
    assert ended.code is ErrorCode.ENHANCE_YOUR_CALM
    assert held < 500_000
    assert len(connection.data_to_send()) < 100_000


def test_what_comes_slowly_is_no_flood() -> None:
    connection = server()
    for _ in range(20):
        for _ in range(LIMITS.overhead // 2):
            connection.receive(frame(PING, 0, 0, bytes(8)))
        connection.forgive()
    assert not connection.terminated


def test_a_window_update_and_a_ping_for_every_frame_of_data_are_no_flood() -> None:
    client = Connection(Role.CLIENT)
    client.receive(bytes.fromhex("000000 04 00 00000000"))
    client.open_stream(((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/")))
    one = bytes.fromhex("00000001")
    for _ in range(3 * LIMITS.overhead):
        assert client.send_data(1, b"x") == 1
        client.receive(frame(WINDOW_UPDATE, 0, 0, one) + frame(WINDOW_UPDATE, 0, 1, one) + frame(PING, 0, 0, bytes(8)))
    assert not client.terminated


def test_streams_that_are_answered_pay_for_streams_that_are_given_up() -> None:
    connection = server()
    for number in range(1, 12 * LIMITS.resets, 4):
        connection.receive(
            opening(number) + frame(RST_STREAM, 0, number, bytes(4)) + frame(HEADERS, 5, number + 2, BLOCK)
        )
        connection.send_headers(number + 2, ((b":status", b"200"),), end_stream=True)
    assert not connection.terminated


def test_a_reset_after_the_answer_has_begun_costs_nothing() -> None:
    connection = server(Limits(resets=0))
    connection.receive(ASK)
    connection.send_headers(1, ((b":status", b"200"),))
    (event,) = connection.receive(frame(RST_STREAM, 0, 1, bytes(4)))
    assert isinstance(event, StreamReset)
    assert not connection.terminated


def test_a_body_that_was_under_way_when_its_stream_was_reset_costs_nothing() -> None:
    connection = server()
    connection.receive(OPEN)
    connection.reset(1)
    for _ in range(2 * LIMITS.overhead):
        assert connection.receive(frame(DATA, 0, 1, bytes(16_384))) == []
    assert not connection.terminated


RESETS = 1000
"""More than are remembered one by one."""


@pytest.mark.parametrize("since", [0, RESETS])
def test_what_was_on_its_way_on_a_stream_that_we_reset_ends_no_other_however_many_were_reset_since(
    pair_of: Callable[..., Any], since: int
) -> None:
    request, response = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/")), ((b":status", b"200"),)
    plenty = Limits(max_concurrent_streams=3 * RESETS, resets=3 * RESETS, overhead=9 * RESETS)
    pair = pair_of(Limits(stream_window=65_535, connection_window=65_535), plenty)
    pair.exchange()
    client, server = pair.client, pair.server
    other, given_up = (client.open_stream(request, end_stream=True) for _ in range(2))
    pair.exchange()
    server.send_headers(given_up, response)
    assert server.send_data(given_up, bytes(60_000)) == 60_000
    server.send_headers(given_up, ((b"grpc-status", b"0"),), end_stream=True)
    on_its_way = server.data_to_send()
    client.reset(given_up)
    for _ in range(since):
        client.reset(client.open_stream(request, end_stream=True))
    assert client.receive(on_its_way) == []
    assert not client.terminated
    pair.exchange()
    server.send_headers(other, response)
    assert server.send_data(other, bytes(60_000), end_stream=True) == 60_000  # the connection's window is open again
    assert [event.stream_id for event in pair.exchange()][:1] == [other]


@pytest.mark.parametrize(
    "late", [frame(DATA, 0, 1), frame(HEADERS, 5, 1, b"\0\1x\1y"), frame(RST_STREAM, 0, 1, bytes(4))]
)
def test_frames_without_work_are_a_flood_also_on_a_stream_that_we_reset_long_ago(late: bytes) -> None:
    connection = server()
    for number in range(1, 2 * RESETS, 2):
        connection.receive(opening(number))
        connection.reset(number)
    said = [event for _ in range(2 * LIMITS.overhead) for event in connection.receive(late)]
    assert [type(event) for event in said] == [ConnectionTerminated]
    assert said[0].code is ErrorCode.ENHANCE_YOUR_CALM  # type: ignore[union-attr]  # it is the end


def test_data_on_a_stream_that_ended_after_all_that_we_reset_ends_the_connection() -> None:
    connection = server()
    for number in range(1, 2 * RESETS, 2):
        connection.receive(opening(number))
        connection.reset(number)
    connection.receive(frame(HEADERS, 5, 2 * RESETS + 1, BLOCK))
    connection.send_headers(2 * RESETS + 1, ((b":status", b"200"),), end_stream=True)
    (event,) = connection.receive(frame(DATA, 0, 2 * RESETS + 1, b"late"))
    assert isinstance(event, ConnectionTerminated)
    assert event.code is ErrorCode.STREAM_CLOSED


def test_a_header_list_up_to_the_limit_is_taken_and_a_longer_one_costs_its_stream_alone() -> None:
    room = LIMITS.max_header_list_bytes - (7 + 4 + 7 + 4 + 5 + 1 + 3 * 32) - 33
    connection = server()
    (event,) = connection.receive(frame(HEADERS, 5, 1, BLOCK + literal(b"x", b"y" * room)))
    assert isinstance(event, HeadersReceived)
    assert connection.receive(frame(HEADERS, 5, 3, BLOCK + literal(b"x", b"y" * (room + 1)))) == []
    assert connection.open_streams == 1
    assert not connection.terminated


def test_a_frame_that_would_have_to_be_kept_whole_is_refused_by_its_header() -> None:
    header = frame(HEADERS, 4, 1, bytes(LIMITS.max_header_block_bytes + 1))[:9]
    (event,) = server().receive(header)
    assert isinstance(event, ConnectionTerminated)
    assert event.code is ErrorCode.ENHANCE_YOUR_CALM


def test_the_limit_of_header_lists_holds_before_our_settings_are_acknowledged() -> None:
    connection = Connection(Role.SERVER)
    connection.receive(PREFACE + bytes.fromhex("000000 04 00 00000000"))
    assert not connection.settings_acknowledged
    assert connection.receive(frame(HEADERS, 5, 1, BLOCK + literal(b"x", b"y" * 16_300))) == []
    assert connection.open_streams == 0


def test_memory_for_bodies_is_bounded_by_the_window_of_the_connection() -> None:
    connection = server(Limits(stream_window=1000, connection_window=70_000))
    held = 0
    for number in range(1, 200, 2):
        events = connection.receive(opening(number) + frame(DATA, 0, number, bytes(1000)))
        if connection.terminated:
            assert events[-1].code is ErrorCode.FLOW_CONTROL_ERROR  # type: ignore[union-attr]  # it is the end
            break
        held += 1000
    assert held == 70_000
