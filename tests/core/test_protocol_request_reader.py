"""A request read from pieces, cut anywhere, says what the whole says, and keeps none of its tensors."""

from __future__ import annotations

import tracemalloc
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.errors import InvalidRequest, TooLarge
from tailgate.http2.grpc_messages import frame_message
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.envelope import MAX_FIELDS, MAX_NAME_BYTES, Envelope, RequestFrame, read_envelope
from tailgate.protocol.request_reader import RequestReader

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
fields = st.one_of(  # top-level fields in any order, known and unknown, again and again
    st.builds(lambda name, n: bytes((n << 3 | 2, len(name.encode()))) + name.encode(), text, st.integers(1, 3)),
    st.builds(lambda data, n: bytes((n << 3 | 2, len(data))) + data, st.binary(max_size=120), st.integers(4, 12)),
    st.builds(lambda n, value: bytes((n << 3, value)), st.integers(1, 12), st.integers(0, 127)),
    st.builds(lambda n: bytes((n << 3 | 1,)) + b"12345678", st.integers(1, 12)),
    st.builds(lambda n: bytes((n << 3 | 5,)) + b"1234", st.integers(1, 12)),
)
cuts = st.lists(st.integers(1, 60), min_size=1, max_size=30)


def feed(reader: RequestReader, body: bytes, sizes: list[int]) -> None:
    at, buffer = 0, bytearray(64)
    for size in cycle(sizes):
        piece = body[at : at + size]
        buffer[: len(piece)] = piece
        reader.feed(memoryview(buffer)[: len(piece)])
        buffer[:] = b"\xff" * len(buffer)  # as a read buffer is used again
        at += size
        if at >= len(body):
            break
    reader.end()


@given(st.lists(fields, max_size=12), cuts)
def test_pieces_say_what_the_whole_says(parts: list[bytes], sizes: list[int]) -> None:
    message = b"".join(parts)
    reader = RequestReader(1 << 20)
    feed(reader, frame_message(message), sizes)
    assert reader.envelope == read_envelope(message)
    assert reader.complete


@given(st.lists(fields, max_size=4), st.binary(max_size=80), cuts)
def test_pieces_are_refused_where_the_whole_is(parts: list[bytes], noise: bytes, sizes: list[int]) -> None:
    message = b"".join(parts) + noise
    reader = RequestReader(1 << 20)
    try:
        wanted = read_envelope(message)
    except InvalidRequest:
        with pytest.raises(InvalidRequest):
            feed(reader, frame_message(message), sizes)
    else:
        feed(reader, frame_message(message), sizes)
        assert reader.envelope == wanted


def test_the_model_is_known_before_its_tensor_is_here() -> None:
    body = frame_message(RequestFrame("digits", "image", "UINT8", (1, 100_000)).build("7", bytes(100_000)))
    reader = RequestReader(1 << 20)
    reader.feed(memoryview(body)[:200])
    assert reader.envelope == Envelope("digits", "", "7")
    assert not reader.complete


def test_a_tensor_is_never_kept() -> None:
    piece = memoryview(bytes(1 << 16))
    message = pb.ModelInferRequest(model_name="m").SerializeToString() + b"\x3a" + b"\x80\x80\x80\x08"
    length = len(message) + (1 << 24)
    reader = RequestReader(1 << 25)
    tracemalloc.start()
    reader.feed(memoryview(b"\0" + length.to_bytes(4) + message))
    for _ in range(256):
        reader.feed(piece)
    reader.end()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reader.envelope.model == "m"
    assert peak < 1 << 16


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"\x02\0\0\0\0", "begins with 2"),
        (frame_message(b"") * 2, "more than one message"),
        (frame_message(b"\x0a\x01m") + b"\0", "more than one message"),
        (b"\0\0\0", "before its message was complete"),
        (frame_message(b"\x0a\x05model")[:-1], "before its message was complete"),
        (frame_message(b"\x0a\x05mode"), "malformed protobuf"),
        (b"\0\0\1\1\0\x0a\x81\x80\x04", f"{MAX_NAME_BYTES} are allowed"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_body_that_is_no_single_message_is_refused_in_words(body: bytes, sentence: str, size: int) -> None:
    def read() -> None:
        reader = RequestReader(1 << 20)
        for at in range(0, len(body), size):
            reader.feed(memoryview(body)[at : at + size])
        reader.end()

    with pytest.raises(InvalidRequest, match=sentence):
        read()


@pytest.mark.parametrize("size", [1000, 1 << 20])
def test_a_name_has_the_same_bound_at_once_and_in_pieces(size: int) -> None:
    def read(length: int) -> Envelope:
        body = frame_message(pb.ModelInferRequest(model_name="m", id="x" * length).SerializeToString())
        reader = RequestReader(1 << 20)
        for at in range(0, len(body), size):
            reader.feed(memoryview(body)[at : at + size])
        reader.end()
        return reader.envelope

    assert read(MAX_NAME_BYTES) == Envelope("m", "", "x" * MAX_NAME_BYTES)
    with pytest.raises(InvalidRequest, match=f"{MAX_NAME_BYTES} are allowed"):
        read(MAX_NAME_BYTES + 1)


@pytest.mark.parametrize("size", [1000, 1 << 20])
def test_so_many_fields_are_stepped_over_and_no_more(size: int) -> None:
    def read(fields: int) -> Envelope:
        body = frame_message(b"\x0a\1m" + b"\x40\0" * (fields - 1))
        reader = RequestReader(1 << 20)
        for at in range(0, len(body), size):
            reader.feed(memoryview(body)[at : at + size])
        reader.end()
        return reader.envelope

    assert read(MAX_FIELDS) == Envelope("m", "", "")
    with pytest.raises(InvalidRequest, match=f"more than {MAX_FIELDS} fields"):
        read(MAX_FIELDS + 1)


def test_a_message_above_the_limit_is_refused_by_its_prefix() -> None:
    with pytest.raises(TooLarge, match="above the limit of 10"):
        RequestReader(10).feed(memoryview(b"\0\0\0\0\x0b"))


def test_a_compressed_message_is_not_looked_into() -> None:
    reader = RequestReader(100)
    feed(reader, frame_message(b"\xff\xff\xff", compressed=True), [2])
    assert reader.compressed
    assert reader.envelope == Envelope("", "", "")
