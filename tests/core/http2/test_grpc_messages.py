"""gRPC's messages: cut anywhere they are the same, and a reader keeps no more than has arrived."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.errors import InvalidRequest, TooLarge
from tailgate.http2.grpc_messages import Message, MessageReader, frame_message, message_prefix

messages = st.lists(st.builds(Message, st.binary(max_size=3000), st.booleans()), max_size=6)


@given(messages, st.lists(st.integers(1, 2000), min_size=1, max_size=50), st.sampled_from([bytes, bytearray]))
def test_messages_cut_anywhere_are_the_same(
    sent: list[Message], cuts: list[int], kind: type[bytes | bytearray]
) -> None:
    body = b"".join(frame_message(message.data, compressed=message.compressed) for message in sent)
    reader, at, turn = MessageReader(3000), 0, 0
    got: list[Message] = []
    while at < len(body):
        buffer = kind(body[at : at + cuts[turn % len(cuts)]])
        got += reader.feed(memoryview(buffer))
        if isinstance(buffer, bytearray):
            buffer[:] = bytes(len(buffer))  # as a read buffer is used again
        at, turn = at + len(buffer), turn + 1
    assert got == sent
    assert reader.idle


def test_a_read_buffer_may_be_used_again_at_once() -> None:
    reader, buffer = MessageReader(100), bytearray(frame_message(b"x" * 50)[:30])
    assert list(reader.feed(memoryview(buffer))) == []
    buffer[:] = bytes(30)
    assert list(reader.feed(b"x" * 25)) == [Message(b"x" * 50, compressed=False)]


def test_a_body_that_ends_within_a_message_is_not_idle() -> None:
    reader, body = MessageReader(10), frame_message(b"abc")
    assert reader.idle
    for end in range(1, len(body)):
        partial = MessageReader(10)
        assert list(partial.feed(body[:end])) == []
        assert not partial.idle
    assert list(reader.feed(body)) == [Message(b"abc", compressed=False)]
    assert reader.idle


def test_a_message_beyond_the_limit_is_refused_by_its_prefix_alone() -> None:
    assert list(MessageReader(5).feed(frame_message(b"12345")))
    with pytest.raises(TooLarge, match="6 bytes is above the limit of 5"):
        list(MessageReader(5).feed(message_prefix(6)))


def test_a_flag_that_means_nothing_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="begins with 2"):
        list(MessageReader(5).feed(b"\2\0\0\0\1x"))


@pytest.mark.parametrize(("piece_bytes", "pieces"), [(1, 3000), (1000, 200), (65_536, 4)])
def test_memory_follows_what_has_arrived_not_what_was_announced(piece_bytes: int, pieces: int) -> None:
    reader = MessageReader(1 << 30)
    tracemalloc.start()
    try:
        assert list(reader.feed(message_prefix(1 << 30))) == []
        for _ in range(pieces):  # each from a long read, of which the rest is somebody else's
            assert list(reader.feed(memoryview(bytes(1 << 18))[:piece_bytes])) == []
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 5 * piece_bytes * pieces + 50_000
