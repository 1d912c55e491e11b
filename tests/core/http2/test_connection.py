"""What `Connection` promises its callers, beyond the standard: what is taken, what is dropped, what is a misuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tailgate.http2.codes import MAX_STREAM_ID, ErrorCode, Role
from tailgate.http2.connection import Connection
from tailgate.http2.errors import Misuse
from tailgate.http2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    GoAwayReceived,
    HeadersReceived,
    SettingsChanged,
    StreamReset,
    WindowOpened,
)
from tailgate.http2.limits import Limits

REQUEST = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/s/m"), (b":authority", b"h"))
OK = ((b":status", b"200"),)
TRAILERS = ((b"grpc-status", b"0"),)


class Pair:
    """A client and a server; `exchange` carries all there is both ways, and returns what was said."""

    def __init__(self, client: Limits | None = None, server: Limits | None = None) -> None:
        self.client = Connection(Role.CLIENT, client or Limits())
        self.server = Connection(Role.SERVER, server or Limits())

    def exchange(self) -> list[Event]:
        said: list[Event] = []
        while True:
            there, back = self.client.data_to_send(), self.server.data_to_send()
            if not there and not back:
                return said
            said += self.server.receive(there) + self.client.receive(back)


@pytest.fixture
def pair() -> Pair:
    made = Pair()
    made.exchange()
    return made


def test_a_unary_call_goes_there_and_back(pair: Pair) -> None:
    number = pair.client.open_stream(REQUEST)
    assert pair.client.send_data(number, b"question", end_stream=True) == 8
    request, question = pair.exchange()
    assert isinstance(request, HeadersReceived)
    assert request.headers == REQUEST
    assert isinstance(question, DataReceived)
    assert (bytes(question.data), question.end_stream) == (b"question", True)
    pair.server.send_headers(number, OK)
    assert pair.server.send_data(number, b"answer") == 6
    pair.server.send_headers(number, TRAILERS, end_stream=True)
    response, answer, trailers = pair.exchange()
    assert isinstance(response, HeadersReceived)
    assert isinstance(answer, DataReceived)
    assert isinstance(trailers, HeadersReceived)
    assert (response.headers, bytes(answer.data), trailers.headers) == (OK, b"answer", TRAILERS)
    assert pair.client.open_streams == pair.server.open_streams == 0


def test_all_that_is_queued_leaves_in_one_piece_and_once(pair: Pair) -> None:
    for _ in range(3):
        pair.client.send_data(pair.client.open_stream(REQUEST), b"x", end_stream=True)
    sent = pair.client.data_to_send()
    assert len(pair.server.receive(sent)) == 6
    assert pair.client.data_to_send() == b""


def test_data_is_neither_copied_on_its_way_in_nor_before_it_leaves(pair: Pair) -> None:
    number, body = pair.client.open_stream(REQUEST), bytearray(b"before")
    pair.client.send_data(number, body, end_stream=True)
    body[:] = b"after!"
    sent = pair.client.data_to_send()
    data = pair.server.receive(sent)[-1]
    assert isinstance(data, DataReceived)
    assert data.data.obj is sent
    assert bytes(data.data) == b"after!"


def test_what_windows_hold_back_is_left_to_the_caller() -> None:
    pair = Pair(server=Limits(stream_window=10, connection_window=100_000))
    pair.exchange()
    number = pair.client.open_stream(REQUEST)
    assert pair.client.send_window(number) == 10
    assert pair.client.send_data(number, b"0123456789abc", end_stream=True) == 10
    assert pair.client.send_data(number, b"abc", end_stream=True) == 0
    assert [type(event) for event in pair.exchange()] == [HeadersReceived, DataReceived]
    pair.server.acknowledge(number, 4)
    assert pair.exchange() == []
    pair.server.acknowledge(number, 1)
    assert pair.exchange() == [WindowOpened(number)]
    assert pair.client.send_data(number, b"abc", end_stream=True) == 3
    (data,) = pair.exchange()
    assert isinstance(data, DataReceived)
    assert data.end_stream


def test_the_end_of_a_stream_needs_no_window() -> None:
    pair = Pair(server=Limits(stream_window=1))
    pair.exchange()
    number = pair.client.open_stream(REQUEST)
    pair.client.send_data(number, b"x")
    assert pair.client.send_window(number) == 0
    assert pair.client.send_data(number, b"", end_stream=True) == 0
    last = pair.exchange()[-1]
    assert isinstance(last, DataReceived)
    assert last.end_stream


def test_one_stream_that_is_not_read_holds_up_no_other() -> None:
    pair = Pair(server=Limits(stream_window=1000, connection_window=70_000))
    pair.exchange()
    stuck, other = pair.client.open_stream(REQUEST), pair.client.open_stream(REQUEST)
    assert pair.client.send_data(stuck, bytes(5000)) == 1000
    for _ in range(200):
        assert pair.client.send_data(other, bytes(1000)) == 1000
        pair.exchange()
        pair.server.acknowledge(other, 1000)
        pair.exchange()


def test_data_is_acknowledged_after_the_end_of_its_stream_too() -> None:
    pair = Pair(client=Limits(stream_window=60_000, connection_window=60_000))
    pair.exchange()
    for _ in range(4):
        number = pair.client.open_stream(REQUEST, end_stream=True)
        pair.exchange()
        pair.server.send_headers(number, OK)
        assert pair.server.send_data(number, bytes(40_000), end_stream=True) == 40_000
        pair.exchange()
        assert pair.client.open_streams == 0
        with pytest.raises(Misuse):
            pair.client.acknowledge(number, 40_001)
        pair.client.acknowledge(number, 39_999)
        pair.client.acknowledge(number, 1)
        pair.exchange()


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_reset_gives_back_what_its_stream_held(who: str) -> None:
    pair = Pair(server=Limits(stream_window=60_000, connection_window=60_000))
    pair.exchange()
    for _ in range(4):
        number = pair.client.open_stream(REQUEST)
        assert pair.client.send_data(number, bytes(40_000)) == 40_000
        pair.exchange()
        getattr(pair, who).reset(number)
        (event,) = (event for event in pair.exchange() if isinstance(event, StreamReset))
        assert event == StreamReset(number, ErrorCode.CANCEL, remote=True)
        pair.server.acknowledge(number, 40_000)  # too late, and of no effect


def test_a_stream_may_be_given_up_after_its_end_with_all_that_it_held() -> None:
    pair = Pair(client=Limits(stream_window=60_000, connection_window=60_000))
    pair.exchange()
    for _ in range(4):
        number = pair.client.open_stream(REQUEST, end_stream=True)
        pair.exchange()
        pair.server.send_headers(number, OK)
        assert pair.server.send_data(number, bytes(40_000), end_stream=True) == 40_000
        pair.exchange()
        pair.client.reset(number)
        assert pair.exchange() == []


def test_a_window_that_shrinks_while_acknowledgements_are_pending_opens_again() -> None:
    pair = Pair(server=Limits(stream_window=50))
    number = pair.client.open_stream(REQUEST)
    assert pair.client.send_data(number, bytes(100)) == 100  # the server's settings are not there yet
    pair.server.receive(pair.client.data_to_send())
    pair.server.acknowledge(number, 100)
    pair.exchange()
    assert pair.client.send_window(number) == 50


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


def test_a_client_opens_no_more_streams_than_the_server_takes() -> None:
    pair = Pair(server=Limits(max_concurrent_streams=2))
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


def test_streams_that_race_the_settings_are_refused_and_may_be_tried_again() -> None:
    pair = Pair(server=Limits(max_concurrent_streams=2))
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


def test_headers_longer_than_a_frame_arrive() -> None:
    pair = Pair(server=Limits(max_header_list_bytes=100_000, max_header_block_bytes=100_000))
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
    assert not pair.server._state.decoder._dynamic  # that nothing is entered is the promise


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
