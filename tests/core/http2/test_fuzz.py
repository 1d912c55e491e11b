"""Whatever comes in, nothing is raised: it ends in events, at worst in the end of the connection, with its reason."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailgate.http2.codes import PREFACE, Role
from tailgate.http2.connection import Connection
from tailgate.http2.events import ConnectionTerminated, DataReceived, HeadersReceived, Kind
from tailgate.http2.limits import Limits

REQUEST = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/s/m"), (b"te", b"trailers"))
LIMITS = Limits(stream_window=2000, connection_window=5000, max_frame_bytes=20_000)
SETTINGS = bytes.fromhex("000000 04 00 00000000")


def check(connection: Connection, data: bytes) -> list[object]:
    """Feed, and hold the promises; the application of a server answers and reads what comes."""
    said = connection.receive(data)
    for event in said:
        if isinstance(event, DataReceived) and not connection.terminated:
            connection.acknowledge(event.stream_id, 0)
        if isinstance(event, HeadersReceived) and event.kind is Kind.REQUEST:
            connection.send_headers(event.stream_id, ((b":status", b"200"),))
            connection.send_data(event.stream_id, b"answer", end_stream=True)
    sent = connection.data_to_send()
    ends = [event for event in said if isinstance(event, ConnectionTerminated)]
    assert bool(ends) <= connection.terminated
    if ends:
        assert said[-1] is ends[0]
        assert ends[0].reason
        assert ends[0].code
        assert b"\x07\x00\x00\x00\x00\x00" in sent  # type, flags and stream of GOAWAY
    state = connection._state  # that memory is bounded is the promise
    assert len(connection._reader._held) <= 9 + 2**15
    assert len(state.streams.open) <= LIMITS.max_concurrent_streams
    assert sum(stream.held for stream in state.streams.open.values()) <= LIMITS.connection_window + 65_535
    assert state.decoder._size <= 4096
    return list(said)


@pytest.fixture(scope="module")
def conversation() -> dict[Role, bytes]:
    """What a real client, and a real server, sent in a short conversation, by receiver."""
    client, server = Connection(Role.CLIENT), Connection(Role.SERVER)
    sent = {Role.CLIENT: b"", Role.SERVER: b""}

    def exchange() -> None:
        for _ in range(3):
            there, back = client.data_to_send(), server.data_to_send()
            sent[Role.SERVER] += there
            sent[Role.CLIENT] += back
            server.receive(there)
            client.receive(back)

    for size in (10, 1500, 0):
        number = client.open_stream((*REQUEST, (b"x", b"y" * size)))
        client.send_data(number, bytes(size), end_stream=True)
        exchange()
        server.send_headers(number, ((b":status", b"200"), (b"content-type", b"application/grpc")))
        server.send_data(number, bytes(size))
        server.send_headers(number, ((b"grpc-status", b"0"),), end_stream=True)
        exchange()
    client.ping()
    client.reset(client.open_stream(REQUEST))
    exchange()
    server.go_away()
    exchange()
    return sent


def start(role: Role) -> Connection:
    connection = Connection(role, LIMITS)
    if role is Role.CLIENT:
        for _ in range(4):
            connection.open_stream(REQUEST, end_stream=True)
    return connection


@given(st.sampled_from(Role), st.lists(st.binary(max_size=300), max_size=10), st.booleans())
def test_any_bytes_are_taken(role: Role, chunks: list[bytes], started: bool) -> None:
    connection = start(role)
    if started:
        check(connection, (PREFACE if role is Role.SERVER else b"") + SETTINGS)
    for chunk in chunks:
        check(connection, chunk)


frames = st.tuples(
    st.sampled_from([0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255]),
    st.sampled_from([0, 1, 4, 5, 8, 9, 0xC, 0x2D, 0xFF]) | st.integers(0, 255),
    st.sampled_from([0, 1, 1, 1, 3, 5, 2, 2**31 - 1]),
    st.sampled_from([b"", bytes(4), bytes(8), b"\0\0\0\1", bytes.fromhex("838684"), b"\x88", b"\x40\1a\1b"])
    | st.binary(max_size=40),
)


@settings(max_examples=250)
@given(st.sampled_from(Role), st.lists(frames, min_size=1, max_size=25))
def test_any_frames_are_taken(role: Role, sequence: list[tuple[int, int, int, bytes]]) -> None:
    connection = start(role)
    check(connection, (PREFACE if role is Role.SERVER else b"") + SETTINGS)
    for kind, flags, number, payload in sequence:
        check(connection, len(payload).to_bytes(3) + bytes((kind, flags)) + number.to_bytes(4) + payload)


@pytest.mark.parametrize("role", Role)
def test_a_conversation_with_damaged_bytes_is_taken(conversation: dict[Role, bytes], role: Role) -> None:
    rng, ended = random.Random(7), 0
    for _ in range(1500):
        damaged = bytearray(conversation[role])
        for _ in range(rng.choice([1, 1, 1, 2, 5])):
            at = rng.randrange(len(damaged))
            match rng.randrange(3):
                case 0:
                    damaged[at] ^= 1 << rng.randrange(8)
                case 1:
                    del damaged[at : at + rng.randint(1, 20)]
                case _:
                    damaged[at:at] = rng.randbytes(rng.randint(1, 20))
        connection = start(role)
        cut = rng.randrange(len(damaged))
        check(connection, bytes(damaged[:cut]))
        check(connection, bytes(damaged[cut:]))
        ended += connection.terminated
    assert 0 < ended < 1500


@pytest.mark.parametrize("role", Role)
def test_a_conversation_cut_anywhere_says_the_same(conversation: dict[Role, bytes], role: Role) -> None:
    def headers_and_bytes(chunk: int) -> tuple[list[object], bytes]:
        connection, data, content = start(role), conversation[role], b""
        others: list[object] = []
        for at in range(0, len(data), chunk):
            for event in connection.receive(data[at : at + chunk]):
                if isinstance(event, DataReceived):
                    content += event.data
                else:
                    others.append(event)
        return others, content

    whole = headers_and_bytes(1 << 20)
    assert len(whole[1]) >= 1500
    for chunk in (1, 2, 3, 8, 9, 10, 100, 1000):
        assert headers_and_bytes(chunk) == whole
