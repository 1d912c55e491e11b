"""What `Connection` promises its callers of calls: what is taken, what windows hold back, what is given back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tailgate.http2.codes import ErrorCode
from tailgate.http2.errors import Misuse
from tailgate.http2.events import DataReceived, HeadersReceived, StreamReset, WindowOpened
from tailgate.http2.limits import Limits

Pair = Any  # a client and a server of ours, by the fixture
REQUEST = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/s/m"), (b":authority", b"h"))
OK = ((b":status", b"200"),)
TRAILERS = ((b"grpc-status", b"0"),)


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


def test_what_windows_hold_back_is_left_to_the_caller(pair_of: Callable[..., Pair]) -> None:
    pair = pair_of(server=Limits(stream_window=10, connection_window=100_000))
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


def test_the_end_of_a_stream_needs_no_window(pair_of: Callable[..., Pair]) -> None:
    pair = pair_of(server=Limits(stream_window=1))
    pair.exchange()
    number = pair.client.open_stream(REQUEST)
    pair.client.send_data(number, b"x")
    assert pair.client.send_window(number) == 0
    assert pair.client.send_data(number, b"", end_stream=True) == 0
    last = pair.exchange()[-1]
    assert isinstance(last, DataReceived)
    assert last.end_stream


def test_one_stream_that_is_not_read_holds_up_no_other(pair_of: Callable[..., Pair]) -> None:
    pair = pair_of(server=Limits(stream_window=1000, connection_window=70_000))
    pair.exchange()
    stuck, other = pair.client.open_stream(REQUEST), pair.client.open_stream(REQUEST)
    assert pair.client.send_data(stuck, bytes(5000)) == 1000
    for _ in range(200):
        assert pair.client.send_data(other, bytes(1000)) == 1000
        pair.exchange()
        pair.server.acknowledge(other, 1000)
        pair.exchange()


def test_data_is_acknowledged_after_the_end_of_its_stream_too(pair_of: Callable[..., Pair]) -> None:
    pair = pair_of(client=Limits(stream_window=60_000, connection_window=60_000))
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
def test_a_reset_gives_back_what_its_stream_held(pair_of: Callable[..., Pair], who: str) -> None:
    pair = pair_of(server=Limits(stream_window=60_000, connection_window=60_000))
    pair.exchange()
    for _ in range(4):
        number = pair.client.open_stream(REQUEST)
        assert pair.client.send_data(number, bytes(40_000)) == 40_000
        pair.exchange()
        getattr(pair, who).reset(number)
        (event,) = (event for event in pair.exchange() if isinstance(event, StreamReset))
        assert event == StreamReset(number, ErrorCode.CANCEL, remote=True)
        pair.server.acknowledge(number, 40_000)  # too late, and of no effect


def test_a_stream_may_be_given_up_after_its_end_with_all_that_it_held(pair_of: Callable[..., Pair]) -> None:
    pair = pair_of(client=Limits(stream_window=60_000, connection_window=60_000))
    pair.exchange()
    for _ in range(4):
        number = pair.client.open_stream(REQUEST, end_stream=True)
        pair.exchange()
        pair.server.send_headers(number, OK)
        assert pair.server.send_data(number, bytes(40_000), end_stream=True) == 40_000
        pair.exchange()
        pair.client.reset(number)
        assert pair.exchange() == []


def test_a_window_that_shrinks_while_acknowledgements_are_pending_opens_again(pair_of: Callable[..., Pair]) -> None:
    pair = pair_of(server=Limits(stream_window=50))
    number = pair.client.open_stream(REQUEST)
    assert pair.client.send_data(number, bytes(100)) == 100  # the server's settings are not there yet
    pair.server.receive(pair.client.data_to_send())
    pair.server.acknowledge(number, 100)
    pair.exchange()
    assert pair.client.send_window(number) == 50
