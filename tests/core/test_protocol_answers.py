"""Which class an answer names, in every form a V2 server may give it, and that nothing else is ever taken for one."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.answers import (
    MAX_CLASS,
    NO_CONFIDENCE,
    UNKNOWN_CLASS,
    NotAnAnswer,
    predicted_class,
    read_answer,
    require_id,
)
from tailgate.protocol.envelope import read_envelope
from tailgate.protocol.tensors import DATATYPES, NUMPY_DTYPES, encode_bytes_elements

FLOATS = ["FP16", "FP32", "FP64"]
_CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
IDS = st.sampled_from(["", "a", "b"]) | st.text(_CHARACTERS, max_size=20)
INTEGERS = ["UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"]


def raw(datatype: str, shape: Sequence[int], values: Any, name: str = "scores") -> bytes:
    """An answer with one raw output; `values` may be bytes as they are."""
    response = pb.ModelInferResponse(model_name="digits")
    response.outputs.add(name=name, datatype=datatype, shape=shape)
    data = values if isinstance(values, bytes) else np.array(values, NUMPY_DTYPES[datatype]).tobytes()
    response.raw_output_contents.append(data)
    return response.SerializeToString()


def typed(datatype: str, shape: Sequence[int], **contents: Sequence[Any]) -> bytes:
    """An answer with one output written out element by element."""
    response = pb.ModelInferResponse(model_name="digits")
    tensor = response.outputs.add(name="scores", datatype=datatype, shape=shape)
    for field, values in contents.items():
        getattr(tensor.contents, field).extend(values)
    return response.SerializeToString()


@pytest.mark.parametrize("shape", [[4], [1, 4], [1, 4, 1, 1]])
@pytest.mark.parametrize("datatype", FLOATS)
def test_scores_name_the_class_with_the_highest(datatype: str, shape: list[int]) -> None:
    assert predicted_class(raw(datatype, shape, [0.5, -1, 2.5, 1])) == 2


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=30))
def test_of_equal_scores_the_first_one_counts(values: list[float]) -> None:
    assert predicted_class(raw("FP32", [1, len(values)], values)) == values.index(max(values))
    assert predicted_class(typed("FP32", [1, len(values)], fp32_contents=values)) == values.index(max(values))


@pytest.mark.parametrize("datatype", FLOATS)
@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_scores_of_which_one_is_worthless_name_no_class(datatype: str, odd: float) -> None:
    assert predicted_class(raw(datatype, [1, 3], [0.1, odd, 0.2])) == UNKNOWN_CLASS


@pytest.mark.parametrize("datatype", FLOATS)
def test_a_class_that_was_ruled_out_is_not_named_and_spoils_no_other(datatype: str) -> None:
    assert predicted_class(raw(datatype, [1, 3], [0.1, -math.inf, 0.2])) == 2
    assert predicted_class(raw(datatype, [1, 3], [-math.inf] * 3)) == UNKNOWN_CLASS


@pytest.mark.parametrize("shape", [[1], [1, 1], []])
@pytest.mark.parametrize("datatype", INTEGERS)
def test_a_single_integer_is_the_class(datatype: str, shape: list[int]) -> None:
    assert predicted_class(raw(datatype, shape, [7])) == 7


@pytest.mark.parametrize(
    ("datatype", "field"),
    [("INT8", "int_contents"), ("INT64", "int64_contents"), ("UINT16", "uint_contents"), ("UINT64", "uint64_contents")],
)
def test_a_single_integer_written_out_is_the_class(datatype: str, field: str) -> None:
    assert predicted_class(typed(datatype, [1], **{field: [7]})) == 7


def test_a_class_of_the_classification_extension_is_its_index() -> None:
    elements = encode_bytes_elements([b"11.5:672:tabby", b"2.0:1"])
    assert predicted_class(raw("BYTES", [1, 2], elements)) == 672
    assert predicted_class(typed("BYTES", [2], bytes_contents=[b"0.000000:3"])) == 3


@pytest.mark.parametrize(
    "element", [b"", b"7", b"0.5:", b"0.5:-1", b"0.5:seven", b"0.5:1.5", "0.5:٣".encode(), b"\xff:\xff"]
)
def test_text_of_another_form_names_no_class(element: bytes) -> None:
    assert predicted_class(raw("BYTES", [1], encode_bytes_elements([element]))) == UNKNOWN_CLASS


@pytest.mark.parametrize(
    "body",
    [
        raw("FP32", [2, 3], [1, 2, 3, 4, 5, 6]),
        raw("INT64", [2], [1, 2]),
        raw("INT64", [2, 1], [1, 2]),
        raw("BYTES", [2, 1], encode_bytes_elements([b"1:2", b"1:3"])),
    ],
)
def test_an_answer_for_several_samples_names_no_single_class(body: bytes) -> None:
    assert predicted_class(body) == UNKNOWN_CLASS


@pytest.mark.parametrize(
    "body",
    [
        raw("INT64", [1], [MAX_CLASS + 1]),
        raw("UINT64", [1], [2**64 - 1]),
        raw("INT32", [1], [-5]),
        raw("BYTES", [1], encode_bytes_elements([b"1:99999999999"])),
        raw("BYTES", [1], encode_bytes_elements([b"1:4294967296"])),
        raw("BYTES", [1], encode_bytes_elements([b"1:" + b"9" * 5000])),
    ],
)
def test_a_number_that_is_no_class_names_none_rather_than_breaking_a_trace(body: bytes) -> None:
    assert predicted_class(body) == UNKNOWN_CLASS


def test_the_largest_class_is_one() -> None:
    assert predicted_class(raw("INT64", [1], [MAX_CLASS])) == MAX_CLASS


@pytest.mark.parametrize(
    ("datatype", "values"), [("BOOL", [True]), ("FP32", [0.5]), ("BF16", b"\0\0\0\0"), ("made up", b"")]
)
def test_datatypes_and_sizes_that_name_no_class_are_no_error(datatype: str, values: Any) -> None:
    assert predicted_class(raw(datatype, [1], values)) == UNKNOWN_CLASS


def test_the_output_asked_for_is_read_and_otherwise_the_first() -> None:
    response = pb.ModelInferResponse()
    for name, values in (("a", [1, 0]), ("b", [0, 1])):
        response.outputs.add(name=name, datatype="FP32", shape=[1, 2])
        response.raw_output_contents.append(np.array(values, "<f4").tobytes())
    body = response.SerializeToString()
    assert [predicted_class(body, name) for name in ("", "a", "b", "c")] == [0, 0, 1, UNKNOWN_CLASS]


@pytest.mark.parametrize("datatype", FLOATS)
@pytest.mark.parametrize("values", [[2.5, -1.0, 0.0], [50.0, -800.0, 49.0], [0.0, -math.inf, 1.0], [3.0, 3.0]])
def test_the_confidence_of_scores_is_the_highest_softmax(datatype: str, values: list[float]) -> None:
    found = read_answer(raw(datatype, [1, len(values)], values), confident=True)
    assert found.confidence == pytest.approx(softmax(values).max(), rel=1e-3)
    assert found.predicted == int(np.argmax(values))


@pytest.mark.parametrize("datatype", FLOATS)
def test_the_confidence_of_probabilities_is_the_highest_of_them(datatype: str) -> None:
    probabilities = softmax(np.linspace(0, 6, 1000))
    found = read_answer(raw(datatype, [1, 1000], probabilities), confident=True)
    assert found.confidence == pytest.approx(probabilities.max(), rel=1e-3)


@pytest.mark.parametrize(
    ("body", "confidence"),
    [
        (raw("INT64", [1], [7]), NO_CONFIDENCE),
        (raw("BYTES", [1], encode_bytes_elements([b"0.75:3:cat"])), 0.75),
        (raw("BYTES", [1], encode_bytes_elements([b"12.5:3:cat"])), NO_CONFIDENCE),
        (raw("BYTES", [1], encode_bytes_elements([b"sure:3:cat"])), NO_CONFIDENCE),
        (raw("BYTES", [1], encode_bytes_elements([b"nan:3:cat"])), NO_CONFIDENCE),
        (raw("FP32", [1, 3], [0.1, math.nan, 0.2]), NO_CONFIDENCE),
        (raw("FP32", [2, 3], [0.0] * 6), NO_CONFIDENCE),
        (b"", NO_CONFIDENCE),
    ],
)
def test_an_answer_that_does_not_say_how_sure_it_is_has_no_confidence(body: bytes, confidence: float) -> None:
    assert read_answer(body, confident=True).confidence == confidence


def test_nobody_pays_for_a_confidence_that_was_not_asked_for() -> None:
    assert read_answer(raw("FP32", [1, 3], [0.1, 0.5, 0.2])).confidence == NO_CONFIDENCE


def test_an_answer_without_outputs_names_no_class() -> None:
    assert predicted_class(b"") == UNKNOWN_CLASS


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a\x05abc",
        raw("FP32", [1, 3], b""),  # seen in the field: status OK, the right shape, no bytes
        raw("FP32", [1, 3], bytes(11)),
        raw("FP32", [1, 3], bytes(16)),
        raw("FP32", [-1, 3], bytes(12)),
        raw("BYTES", [1], b"\x05\0\0\0abc"),
        raw("BYTES", [1], b"\x05\0"),
        raw("BYTES", [2], encode_bytes_elements([b"1:2"])),
        raw("BYTES", [1], encode_bytes_elements([b"1:2", b"1:3"])),
        typed("FP32", [1, 3], fp32_contents=[1, 2]),
        typed("FP32", [1, 3], fp64_contents=[1, 2, 3]),
        typed("FP16", [1, 3]),
        typed("UINT8", [1], uint_contents=[300]),
        typed("INT8", [1], int_contents=[-300]),
    ],
)
def test_bytes_that_contradict_themselves_are_no_answer(body: bytes) -> None:
    with pytest.raises(NotAnAnswer):
        predicted_class(body)


def test_an_answer_of_more_dimensions_than_a_tensor_can_have_is_none() -> None:
    """To multiply all of them would take as long as there are, squared."""
    with pytest.raises(NotAnAnswer, match="has 300 dimensions"):
        predicted_class(raw("FP32", [2**63 - 1] * 300, b""))


def test_raw_contents_that_do_not_match_the_outputs_are_no_answer() -> None:
    response = pb.ModelInferResponse.FromString(raw("FP32", [1, 2], [0, 1]))
    response.raw_output_contents.append(b"")
    with pytest.raises(NotAnAnswer, match="1 outputs but 2 raw contents"):
        predicted_class(response.SerializeToString())


def named(*names: str) -> bytes:
    """An answer with these ids; for protobuf the last counts."""
    ids = [pb.ModelInferResponse(id=name).SerializeToString() for name in names]
    return b"".join((*ids[:1], raw("FP32", [1, 3], [0.1, 0.5, 0.2]), *ids[1:]))


@given(st.lists(IDS, max_size=3), IDS)
def test_an_answer_is_taken_for_the_request_whose_id_it_repeats_and_for_any_where_either_has_none(
    names: list[str], asked: str
) -> None:
    body = named(*names)
    given_id = pb.ModelInferResponse.FromString(body).id
    ways: list[Callable[[], object]] = [
        lambda: read_answer(body, request_id=asked),
        lambda: read_answer(memoryview(body), request_id=asked),  # which only protobuf reads
        lambda: read_answer(body, "another output", request_id=asked),
        lambda: require_id(read_envelope(body).id, asked),  # as where an answer is large
    ]
    for way in ways:
        with (
            contextlib.nullcontext()
            if "" in (given_id, asked) or given_id == asked
            else pytest.raises(NotAnAnswer, match="its id is not the request's")
        ):
            way()


@pytest.mark.parametrize(("asked", "fits"), [("7\x008", True), ("7\0", True), ("78", False), ("8\x007", False)])
def test_of_an_id_with_a_nul_what_stands_before_it_is_enough(asked: str, fits: bool) -> None:
    """As servers give it back that hand it on as a string of C's."""
    with contextlib.nullcontext() if fits else pytest.raises(NotAnAnswer):
        read_answer(named("7"), request_id=asked)


def test_what_is_said_of_an_answer_to_another_request_names_neither_id() -> None:
    with pytest.raises(NotAnAnswer) as caught:
        read_answer(named("of somebody else"), request_id="my own")
    assert "somebody" not in str(caught.value)
    assert "my own" not in str(caught.value)
    assert "profile kserve" in str(caught.value)  # the remedy, where it is the server's way


@settings(max_examples=500)
@given(
    st.sampled_from(sorted(DATATYPES)),
    st.lists(st.integers(-2, 5) | st.just(2**62), max_size=3),
    st.binary(max_size=48),
    st.lists(st.integers(0, 2**32 - 1), max_size=3),
)
def test_no_answer_whatever_ends_in_anything_but_a_class_or_a_refusal(
    datatype: str, shape: list[int], data: bytes, numbers: list[int]
) -> None:
    for body in (raw(datatype, shape, data), typed(datatype, shape, uint_contents=numbers, bytes_contents=[data])):
        with contextlib.suppress(NotAnAnswer):
            assert UNKNOWN_CLASS <= predicted_class(body) <= MAX_CLASS


@settings(max_examples=300)
@given(st.data())
def test_no_mutation_of_an_answer_ends_in_anything_but_a_class_or_a_refusal(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from([
        raw("FP32", [1, 3], [1, 2, 3]), raw("BYTES", [1], encode_bytes_elements([b"1:2:x"])),
        typed("INT64", [1], int64_contents=[5]), typed("FP64", [2], fp64_contents=[1, 2]),
    ])))  # fmt: skip
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body)))
        body[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    with contextlib.suppress(NotAnAnswer):
        assert UNKNOWN_CLASS <= predicted_class(bytes(body)) <= MAX_CLASS
