"""The envelope read from the wire is what protobuf's own parser finds, for any bytes."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tailgate.errors import InvalidRequest
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.envelope import Envelope, RequestFrame, read_envelope

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def _top_level() -> type[Message]:
    """A ModelInferRequest whose nested messages are opaque bytes: protobuf's own word on the top level alone."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="top_level.proto", package="top_level", syntax="proto3")
    message = file.message_type.add(name="ModelInferRequest")
    for number, name in enumerate(("model_name", "model_version", "id"), 1):
        message.field.add(name=name, number=number, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    for number, name in enumerate(("parameters", "inputs", "outputs", "raw_input_contents"), 4):
        message.field.add(name=name, number=number, type=field.TYPE_BYTES, label=field.LABEL_REPEATED)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("top_level.ModelInferRequest"))


TOP_LEVEL = _top_level()


@st.composite
def requests(draw: st.DrawFn) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name=draw(text), model_version=draw(text), id=draw(text))
    for _ in range(draw(st.integers(0, 2))):
        tensor = request.inputs.add(name=draw(text), datatype="UINT8", shape=draw(st.lists(st.integers(-1, 300))))
        tensor.parameters["p"].int64_param = draw(st.integers(-5, 5))
        request.outputs.add(name=draw(text))
    request.parameters["q"].string_param = draw(text)
    request.raw_input_contents.extend(draw(st.lists(st.binary(max_size=300), max_size=3)))
    return request


def protobufs_word(body: bytes) -> Envelope | None:
    try:
        parsed = TOP_LEVEL.FromString(body)
    except DecodeError:
        return None
    return Envelope(*(getattr(parsed, name) for name in ("model_name", "model_version", "id")))


def agrees_with_protobuf(body: bytes) -> None:
    expected = protobufs_word(body)
    try:
        found = read_envelope(body)
    except InvalidRequest:
        # Stricter than protobuf in one thing only: groups, which proto3 has no way to write.
        assert expected is None or has_a_group(body), (body.hex(), expected)
    else:
        assert found == expected, body.hex()


def has_a_group(body: bytes) -> bool:
    unknown = UnknownFieldSet(TOP_LEVEL.FromString(body))
    return any(unknown[place].wire_type == 3 for place in range(len(unknown)))


@given(requests())
def test_the_envelope_of_any_request_is_what_protobuf_parses(request_message: pb.ModelInferRequest) -> None:
    expected = Envelope(request_message.model_name, request_message.model_version, request_message.id)
    body = request_message.SerializeToString()
    assert read_envelope(body) == read_envelope(memoryview(body)) == expected


@given(requests(), requests())
def test_of_a_field_given_twice_the_last_one_counts(first: pb.ModelInferRequest, second: pb.ModelInferRequest) -> None:
    agrees_with_protobuf(first.SerializeToString() + second.SerializeToString())


@given(requests(), st.data())
def test_a_truncated_request_is_read_as_protobuf_reads_it_or_refused(
    request_message: pb.ModelInferRequest, data: st.DataObject
) -> None:
    body = request_message.SerializeToString()
    agrees_with_protobuf(body[: data.draw(st.integers(0, len(body)))])


def test_every_truncation_of_one_request_is_read_as_protobuf_reads_it_or_refused() -> None:
    request_message = pb.ModelInferRequest(model_name="digits", model_version="1", id="äöü", raw_input_contents=[b"x"])
    request_message.inputs.add(name="image", datatype="UINT8", shape=[1, 3, 32, 32])
    body = request_message.SerializeToString()
    for length in range(len(body) + 1):
        agrees_with_protobuf(body[:length])


@settings(max_examples=500)
@given(requests(), st.data())
def test_a_mutated_request_is_read_as_protobuf_reads_it_or_refused(
    request_message: pb.ModelInferRequest, data: st.DataObject
) -> None:
    body = bytearray(request_message.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body)))
        body[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    agrees_with_protobuf(bytes(body))


@settings(max_examples=500)
@given(st.binary(max_size=40))
@example(bytes.fromhex("808080807f01"))  # a field number beyond 32 bits
@example(bytes.fromhex("8a808080800000"))  # a field header of more than five bytes
@example(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")  # a length of 2^64 - 1
@example(b"\x0a\x02\xed\xa0")  # a surrogate cut in half
@example(b"\x0a\x03\xed\xa0\x80")  # a surrogate
@example(bytes.fromhex("128080808080808080800201ff"))  # a length whose bits beyond the 64th are lost
@example(bytes.fromhex("0a01641b1c"))  # a group
@example(b"\x08" + b"\xff" * 10)  # a number without an end
def test_any_bytes_are_read_as_protobuf_reads_them_or_refused(body: bytes) -> None:
    agrees_with_protobuf(body)


@pytest.mark.parametrize(
    "body", [b"\x00\x01", b"\x0a", b"\x0a\x05abc", b"\x09\x01", b"\x0d\x01", b"\x0f", b"\xff" * 12]
)
def test_what_is_no_protobuf_is_refused_with_a_place(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"not a ModelInferRequest: malformed protobuf near byte \d+"):
        read_envelope(body)


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="must be UTF-8"):
        read_envelope(b"\x0a\x01\xff")


def test_tensors_are_stepped_over_and_not_looked_into() -> None:
    assert read_envelope(b"\x0a\x01m" + b"\x2a\x03\xff\xff\xff") == Envelope("m", "", "")


@given(st.lists(text, min_size=4, max_size=4), st.lists(st.integers(-1, 10**6), max_size=5), st.binary(max_size=5000))
def test_a_frames_bytes_parse_to_the_request_that_was_meant(texts: list[str], shape: list[int], payload: bytes) -> None:
    model, version, name, request_id = texts
    frame = RequestFrame(model, name, "UINT8", shape, version)
    expected = pb.ModelInferRequest(model_name=model, model_version=version, id=request_id)
    expected.inputs.add(name=name, datatype="UINT8", shape=shape)
    expected.raw_input_contents.append(payload)
    for form in (payload, memoryview(payload)):
        assert pb.ModelInferRequest.FromString(frame.build(request_id, form)) == expected


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_payloads_at_the_edges_of_their_lengths_encoding_are_framed_right(size: int) -> None:
    body = RequestFrame("m", "i", "UINT8", [size]).build("7", bytes(size))
    assert len(pb.ModelInferRequest.FromString(body).raw_input_contents[0]) == size
    assert read_envelope(body) == Envelope("m", "", "7")
