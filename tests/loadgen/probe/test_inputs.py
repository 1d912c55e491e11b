"""Requests that fit a model of which only its metadata is known, and requests that are malformed in one way each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.errors import UsageError
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.tensors import DATATYPES, NUMPY_DTYPES, from_raw
from tailgate_loadgen.probe.inputs import Tensor, message, parse_shapes, tensors_of, with_timeout
from tailgate_loadgen.probe.malformed import malformed


def metadata(*inputs: tuple[str, str, list[int]]) -> pb.ModelMetadataResponse:
    response = pb.ModelMetadataResponse(name="m")
    for name, datatype, shape in inputs:
        response.inputs.add(name=name, datatype=datatype, shape=shape)
    return response


IMAGE = metadata(("image", "FP32", [-1, 3, 4, 4]))


def test_an_open_first_dimension_is_the_batch() -> None:
    assert tensors_of(IMAGE, {}, None) == (Tensor("image", "FP32", (1, 3, 4, 4)),)
    assert tensors_of(IMAGE, {}, 8) == (Tensor("image", "FP32", (8, 3, 4, 4)),)


def test_every_input_is_filled_and_the_users_shape_wins() -> None:
    two = metadata(("ids", "INT64", [-1, -1]), ("mask", "BOOL", [-1, -1]))
    shapes = {"ids": (2, 7), "mask": (2, 7)}
    assert [tensor.shape for tensor in tensors_of(two, shapes, None)] == [(2, 7), (2, 7)]


@pytest.mark.parametrize(
    ("described", "shapes", "batch", "sentence"),
    [
        (metadata(), {}, None, "names no inputs of model 'm'"),
        (metadata(("a", "FP32", [-1, -1, 3])), {}, None, "say what to send, such as --shape a=1,8,3"),
        (metadata(("a", "FP32", [])), {}, None, "leaves dimensions open"),
        (metadata(("a", "FP99", [1])), {}, None, "datatype 'FP99'"),
        (metadata(("a", "FP32", [2, 3])), {}, 4, "--batch is 4, but input 'a' has the fixed shape"),
        (metadata(("a", "FP32", [2, 3])), {"a": (2, 4)}, None, "--shape a=2,4 does not fit the model's"),
        (metadata(("a", "FP32", [2, 3])), {"a": (2,)}, None, "does not fit"),
        (metadata(("a", "FP32", [2, 3])), {"b": (2, 3)}, None, "which is no input of the model; it has a"),
        (metadata(("a", "FP32", [-1, 1000])), {}, 100_000, "give smaller ones"),
    ],
)
def test_what_the_metadata_leave_open_is_asked_of_the_user(
    described: pb.ModelMetadataResponse, shapes: dict[str, tuple[int, ...]], batch: int | None, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        tensors_of(described, shapes, batch)


@pytest.mark.parametrize("text", ["", "a", "a=", "a=1,,2", "a=-1", "a=1.5", "=1,2", "a=0,2", "a=x"])
def test_a_shape_that_is_none_is_named_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"--shape is"):
        parse_shapes([text])


@given(st.sampled_from(sorted(DATATYPES)), st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_contents_fit_datatype_and_shape(datatype: str, shape: list[int]) -> None:
    tensor = Tensor("a", datatype, tuple(shape))
    if datatype in NUMPY_DTYPES:
        assert from_raw(tensor.raw, datatype, tensor.shape, "a").shape == tensor.shape
    request = message("m", "", (tensor,))
    assert list(request.inputs[0].shape) == shape
    assert request.raw_input_contents[0] == tensor.raw


def test_a_timeout_is_a_parameter_in_whole_microseconds_of_a_copy() -> None:
    request = message("m", "", tensors_of(IMAGE, {}, None))
    assert with_timeout(request, 0.0505).parameters["timeout"].int64_param == 50_500
    assert with_timeout(request, 1e-9).parameters["timeout"].int64_param == 1
    assert not request.parameters


@pytest.mark.parametrize("datatype", sorted(DATATYPES))
def test_every_malformed_request_differs_from_the_good_one_and_from_all_others(datatype: str) -> None:
    tensors = (Tensor("a", datatype, (2, 3)), Tensor("b", "FP32", (1,)))
    good = message("m", "", tensors).SerializeToString(deterministic=True)
    cases = dict(malformed("m", "", tensors))
    made = [body for body in cases.values() if body is not None]
    assert len(made) >= 20
    assert good not in made
    assert len(set(made)) == len(made)


def test_a_case_changes_one_thing_only() -> None:
    tensors = (Tensor("a", "FP32", (2, 3)),)
    cases = dict(malformed("m", "7", tensors))
    renamed = pb.ModelInferRequest.FromString(cases["wrong name of an input"] or b"")
    renamed.inputs[0].name = "a"
    assert renamed == message("m", "7", tensors)
    longer = pb.ModelInferRequest.FromString(cases["one byte too many"] or b"")
    assert len(longer.raw_input_contents[0]) == 25
