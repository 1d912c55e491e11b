"""What `Connection` promises its callers of ends: streams that are gone, misuse, going away; and of settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tailgate.http2.codes import MAX_STREAM_ID, ErrorCode, Role
from tailgate.http2.connection import Connection
from tailgate.http2.errors import Misuse
from tailgate.http2.events import ConnectionTerminated, GoAwayReceived, HeadersReceived, SettingsChanged, StreamReset
from tailgate.http2.limits import Limits

Pair = Any  # a client and a server of ours, by the fixture
REQUEST = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/s/m"), (b":authority", b"h"))
OK = ((b":status", b"200"),)
TRAILERS = ((b"grpc-status", b"0"),)


def test_what_is_sent_on_a_stream_that_is_gone_is_dropped(pair: Pair) -> None:
    number = pair.client.open_stream(REQUEST)
    pair.exchange()
    pair.client.reset(number)
    pair.exchange()
    pair.server.send_headers(number, OK)
    assert pair.server.send_data(number, b"answer") == 6
    pair.server.send_headers(number, TRAILERS, end_stream=True)
    pair.server.reset(number)
    assert pair.server.send_window(number) == 0
    assert pair.server.data_to_send() == b""


def test_after_the_end_of_the_connection_everything_is_dropped(pair: Pair) -> None:
    number = pair.client.open_stream(REQUEST)
    pair.exchange()
    (event,) = pair.server.receive(b"\xff" * 9)
    assert isinstance(event, ConnectionTerminated)
    pair.server.send_headers(number, OK)
    assert pair.server.send_data(number, b"x") == 1
    pair.server.reset(number)
    pair.server.acknowledge(number, 0)
    assert (pair.server.open_streams, pair.server.terminated) == (0, True)
    pair.server.data_to_send()
    assert pair.server.receive(b"more") == []


MISUSES: dict[str, Callable[[Pair], object]] = {
    "data on a stream that was never opened": lambda pair: pair.client.send_data(7, b"x"),
    "headers on a stream that was never opened": lambda pair: pair.server.send_headers(7, OK),
    "a server opens a stream": lambda pair: pair.server.open_stream(REQUEST),
    "data before headers": lambda pair: pair.server.send_data(1, b"x"),
    "data after the end": lambda pair: pair.client.send_data(3, b"x"),
    "trailers after the end": lambda pair: pair.client.send_headers(3, TRAILERS, end_stream=True),
    "trailers that do not end": lambda pair: pair.client.send_headers(1, TRAILERS),
    "more acknowledged than was delivered": lambda pair: pair.server.acknowledge(1, 5),
    "a ping of nine bytes": lambda pair: pair.client.ping(b"123456789"),
}


@pytest.mark.parametrize("misuse", MISUSES.values(), ids=MISUSES)
def test_a_bug_of_the_caller_is_raised_and_sends_nothing(pair: Pair, misuse: Callable[[Pair], object]) -> None:
    pair.client.send_data(pair.client.open_stream(REQUEST), b"1234")
    pair.client.open_stream(REQUEST, end_stream=True)
    pair.exchange()
    with pytest.raises(Misuse):
        misuse(pair)
    assert pair.exchange() == []


def test_a_client_opens_no_more_streams_than_the_server_takes(pair_of: Callable[..., Pair]) -> None:
    pair = pair_of(server=Limits(max_concurrent_streams=2))
    pair.exchange()
    could_open, first = [pair.client.can_open], pair.client.open_stream(REQUEST, end_stream=True)
    could_open.append(pair.client.can_open)
    pair.client.open_stream(REQUEST)
    could_open.append(pair.client.can_open)
    with pytest.raises(Misuse):
        pair.client.open_stream(REQUEST)
    pair.exchange()
    pair.server.send_headers(first, OK, end_stream=True)
    pair.exchange()
    could_open.append(pair.client.can_open)
    assert could_open == [True, True, False, True]


def test_streams_that_race_the_settings_are_refused_and_may_be_tried_again(pair_of: Callable[..., Pair]) -> None:
    pair = pair_of(server=Limits(max_concurrent_streams=2))
    numbers = [pair.client.open_stream(REQUEST) for _ in range(4)]
    refused = [event for event in pair.exchange() if isinstance(event, StreamReset)]
    assert refused == [
        StreamReset(number, ErrorCode.REFUSED_STREAM, remote=True, retryable=True) for number in numbers[2:]
    ]


def test_going_away_in_two_steps_loses_no_call(pair: Pair) -> None:
    before = pair.client.open_stream(REQUEST)
    pair.exchange()
    pair.server.go_away(last_stream_id=MAX_STREAM_ID)
    racing = pair.client.open_stream(REQUEST)  # sent before the warning arrives
    assert pair.exchange()[-1] == GoAwayReceived(MAX_STREAM_ID, ErrorCode.NO_ERROR, b"")
    assert not pair.client.can_open
    pair.server.go_away()
    assert GoAwayReceived(racing, ErrorCode.NO_ERROR, b"") in pair.exchange()
    for number in (before, racing):
        pair.server.send_headers(number, OK)
        pair.client.send_data(number, b"", end_stream=True)
        pair.server.send_headers(number, TRAILERS, end_stream=True)
    pair.exchange()
    assert pair.client.open_streams == pair.server.open_streams == 0


def test_headers_longer_than_a_frame_arrive(pair_of: Callable[..., Pair]) -> None:
    pair = pair_of(server=Limits(max_header_list_bytes=100_000, max_header_block_bytes=100_000))
    headers = (*REQUEST, *((b"x-%d" % number, b"y" * 3000) for number in range(20)))
    pair.client.open_stream(headers)
    pair.client.receive(bytes.fromhex("000006 04 00 00000000 0005 00004000"))
    sent = pair.client.data_to_send()
    assert len(sent) > 60_000
    event = [event for event in pair.server.receive(sent) if isinstance(event, HeadersReceived)]
    assert [event.headers for event in event] == [headers]


def test_the_peers_settings_are_kept(pair: Pair) -> None:
    assert (pair.client.peer.max_concurrent_streams, pair.client.peer.max_frame_size) == (128, 256 * 1024)
    assert (pair.server.peer.enable_push, pair.server.peer.max_header_list_size) == (0, 16 * 1024)
    assert pair.client.settings_acknowledged
    assert pair.server.settings_acknowledged
    assert pair.server.receive(bytes.fromhex("000006 04 00 00000000 0003 00000007")) == [SettingsChanged()]
    assert pair.server.peer.max_concurrent_streams == 7


def test_a_smaller_table_of_the_peer_is_kept_to(pair: Pair) -> None:
    pair.client.open_stream(REQUEST)
    pair.exchange()
    pair.client.receive(bytes.fromhex("000006 04 00 00000000 0001 00000000"))
    for _ in range(2):
        pair.client.open_stream(REQUEST)
        assert isinstance(pair.exchange()[-1], HeadersReceived)
    assert pair.server._state.decoder._size == 0  # that nothing is entered is the promise


PEERS = {
    b"GET / HTTP/1.1\r\nHost: h\r\n": (Role.SERVER, "HTTP/1 request"),
    b"POST /v2/models/x/infer HTTP/1.1\r\n": (Role.SERVER, "HTTP/1 request"),
    b"\x16\x03\x01\x02\x00\x01\x00": (Role.SERVER, "TLS"),
    b"\x00\x01garbage": (Role.SERVER, "not HTTP/2"),
    b"HTTP/1.1 400 Bad Request\r\n": (Role.CLIENT, "gRPC port"),
}


@pytest.mark.parametrize("data", PEERS)
def test_a_peer_of_another_protocol_is_named(data: bytes) -> None:
    role, words = PEERS[data]
    (event,) = Connection(role).receive(data)
    assert isinstance(event, ConnectionTerminated)
    assert words in event.reason
