"""The answer of the usual form is read off the wire, and what is found in it is what a parser finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.answers import NotAnAnswer, read_answer
from tailgate.protocol.plain_answer import read_plain_answer
from tailgate.protocol.tensors import NUMPY_DTYPES

NAMES = st.sampled_from(["", "a", "b"]) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCORES = st.floats(width=16) | st.sampled_from([0.0, -0.0, 1.0])
TYPES = ("FP16", "FP32", "FP64")


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Answers of the usual form, or nearly so."""
    response = pb.ModelInferResponse(model_name=draw(NAMES), model_version=draw(NAMES), id=draw(NAMES))
    for _ in range(draw(st.sampled_from([1, 1, 1, 1, 0, 2]))):
        count = draw(st.sampled_from([2, 3, 10, 32, 33, 40, 0, 1]))
        shape = draw(st.sampled_from([[count], [1, count], [1, count], [count, 1], [1, count, 1], [-1, -count], []]))
        datatype = draw(st.sampled_from([*TYPES, *TYPES, "INT64", "BF16", "BYTES", "ÿ"]))
        tensor = response.outputs.add(name=draw(NAMES), datatype=datatype, shape=shape)
        if draw(st.integers(0, 9)) == 0:
            tensor.contents.fp32_contents.extend([1.0, 2.0])
        scores = draw(st.lists(SCORES, min_size=count, max_size=count))
        dtype = NUMPY_DTYPES.get(datatype, np.dtype("f4")) if datatype in TYPES else np.dtype("f4")
        if draw(st.integers(0, 9)):
            response.raw_output_contents.append(np.array(scores, dtype).tobytes())
    return response.SerializeToString()


def read(body: bytes | memoryview, output: str, at: int, request_id: str) -> str:
    """What is found, or why nothing is, in words: a number that is none equals no other."""
    try:
        return repr(read_answer(body, output, at=at, confident=True, request_id=request_id))
    except NotAnAnswer as error:
        return f"no answer: {error}"


@settings(max_examples=1000)
@given(answers(), st.data())
def test_an_answer_says_the_same_with_and_without_a_parser(body: bytes, data: st.DataObject) -> None:
    """What is no object of bytes goes through the parser."""
    mutated = bytearray(body)
    for _ in range(data.draw(st.sampled_from([0, 0, 1, 2]))):
        place = data.draw(st.integers(0, len(mutated)))
        mutated[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    front, output, asked = data.draw(st.binary(max_size=5)), data.draw(NAMES), data.draw(NAMES)
    whole = front + bytes(mutated)
    assert read(whole, output, len(front), asked) == read(memoryview(whole), output, len(front), asked)


def scores_of(count: int, version: str = "", name: str = "") -> pb.ModelInferResponse:
    response = pb.ModelInferResponse(model_name="digits", model_version=version, id=name)
    response.outputs.add(name="scores", datatype="FP32", shape=[1, count])
    response.raw_output_contents.append(np.arange(count, dtype="<f4").tobytes())
    return response


@pytest.mark.parametrize("count", [2, 10, 32, 33, 1000, 100_000])
def test_scores_of_one_sample_need_no_parser(count: int) -> None:
    body = scores_of(count, "3", "7").SerializeToString()
    found = read_plain_answer(b"12345" + body, 5)
    assert found is not None
    assert (found.version, found.id, found.output.name, found.best()) == ("3", "7", "scores", count - 1)
    assert found.scores().tolist() == list(range(count))


def test_what_says_more_or_less_is_left_to_the_parser() -> None:
    plain = scores_of(3)
    for changed in (
        pb.ModelInferResponse(raw_output_contents=[b"", b""]),
        pb.ModelInferResponse(outputs=plain.outputs),
        pb.ModelInferResponse(parameters={"a": pb.InferParameter(bool_param=True)}),
    ):
        assert read_plain_answer(plain.SerializeToString() + changed.SerializeToString()) is None
    assert read_plain_answer(b"") is None


def test_as_many_outputs_as_servers_may_make_up_are_all_read_right() -> None:
    for count in (*range(2, 200), *range(2, 200)):
        assert read_answer(scores_of(count).SerializeToString()).predicted == count - 1
