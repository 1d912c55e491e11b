"""V2 over HTTP: what is written in JSON or as bytes means the same as a message, to the bit, both ways."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.errors import InvalidRequest, Status, TooLarge
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.answers import NotAnAnswer
from tailgate.protocol.rest.documents import document_of
from tailgate.protocol.rest.names import parse_header_length
from tailgate.protocol.rest.request import JSON_ONLY, Wanted, read_request
from tailgate.protocol.rest.response import write_answer
from tailgate.protocol.rest.statuses import http_status
from tailgate.protocol.tensors import CONTENTS_FIELD, DATATYPES, NUMPY_DTYPES

MIB = 1 << 20
FORMATS = {  # Python's own idea of the datatypes, none of ours
    "BOOL": "?", "INT8": "b", "UINT8": "B", "INT16": "<h", "UINT16": "<H", "INT32": "<i", "UINT32": "<I",
    "INT64": "<q", "UINT64": "<Q", "FP16": "<e", "FP32": "<f", "FP64": "<d",
}  # fmt: skip


def raw_of(datatype: str, elements: list[Any]) -> bytes:
    """What a tensor's elements are as bytes, element by element."""
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(e.encode())) + e.encode() for e in elements)
    if datatype == "BF16":  # these are exact: the upper half of a float
        return b"".join(struct.pack("<f", e)[2:] for e in elements)
    return b"".join(struct.pack(FORMATS[datatype], e) for e in elements)


def elements_of(datatype: str) -> st.SearchStrategy[Any]:
    if datatype == "BYTES":
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    if datatype == "BOOL":
        return st.booleans()
    if datatype == "BF16":
        return (
            st.integers(0, 2**16 - 1)
            .map(lambda n: struct.unpack("<f", b"\0\0" + struct.pack("<H", n))[0])
            .filter(lambda number: not math.isnan(number))
        )
    dtype = NUMPY_DTYPES[datatype]
    if dtype.kind == "f":
        if dtype.itemsize == 8:
            return st.floats(allow_nan=False)
        return st.floats(width=16 if dtype.itemsize == 2 else 32, allow_nan=False)
    limits = np.iinfo(dtype)
    return st.integers(int(limits.min), int(limits.max))


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, str, list[int], list[Any]]:
    """Name, datatype, shape and elements."""
    datatype = draw(st.sampled_from(sorted(DATATYPES)))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    count = math.prod(shape)
    elements = draw(st.lists(elements_of(datatype), min_size=count, max_size=count))
    return draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=5)), datatype, shape, elements


def nested(elements: list[Any], shape: list[int]) -> Any:
    if len(shape) <= 1:
        return elements
    step = len(elements) // shape[0] if shape[0] else 0
    return [nested(elements[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]


PARAMETERS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5).filter(lambda name: "binary" not in name),
    st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    max_size=3,
)


def value_of(parameter: pb.InferParameter) -> Any:
    choice = parameter.WhichOneof("parameter_choice")
    return None if choice is None else getattr(parameter, choice)


def message_of(body: bytes, header_bytes: int | None = None) -> tuple[pb.ModelInferRequest, Wanted]:
    found = read_request("m", "3", memoryview(body), header_bytes, MIB)
    return pb.ModelInferRequest.FromString(b"".join(found.pieces)), found.wanted


@given(st.lists(st.tuples(tensors(), st.booleans(), st.booleans(), PARAMETERS), max_size=4), PARAMETERS, st.booleans())
def test_a_request_becomes_the_message_it_stands_for_whichever_form_its_tensors_come_in(
    inputs: list[tuple[tuple[str, str, list[int], list[Any]], bool, bool, dict[str, Any]]],
    parameters: dict[str, Any],
    told: bool,
) -> None:
    described, behind, expected = [], b"", []
    for (name, datatype, shape, elements), binary, flat, own in inputs:
        raw = raw_of(datatype, elements)
        expected.append(raw)
        one = {"name": name, "datatype": datatype, "shape": shape, "parameters": dict(own)}
        if binary:
            one["parameters"]["binary_data_size"] = len(raw)  # type: ignore[index]  # it is a dictionary
            behind += raw
        else:
            one["data"] = elements if flat else nested(elements, shape)
        described.append(one)
    text = json.dumps({"id": "7", "inputs": described, "parameters": parameters}).encode()
    told = told or any(binary for _, binary, _, _ in inputs)
    message, wanted = message_of(text + behind, len(text) if told else None)
    assert (message.model_name, message.model_version, message.id) == ("m", "3", "7")
    assert [value_of(message.parameters[name]) for name in parameters] == list(parameters.values())
    assert len(message.parameters) == len(parameters)
    assert list(message.raw_input_contents) == expected
    for tensor, ((name, datatype, shape, _), _, _, own) in zip(message.inputs, inputs, strict=True):
        assert (tensor.name, tensor.datatype, list(tensor.shape)) == (name, datatype, shape)
        assert {key: value_of(value) for key, value in tensor.parameters.items()} == own
        assert not tensor.HasField("contents")
    assert wanted == JSON_ONLY


def body_of(**changes: Any) -> bytes:
    """A request that is right, but for these changes of its input."""
    tensor = {"name": "x", "datatype": "INT8", "shape": [2], "data": [1, 2]} | changes
    return json.dumps({"inputs": [{k: v for k, v in tensor.items() if v is not ...}]}).encode()


MALFORMED: dict[str, tuple[bytes, int | None, str]] = {
    "nothing": (b"", None, "no JSON"),
    "no JSON": (b"{", None, "no JSON"),
    "no UTF-8": (b'{"id": "\xff"}', None, "no UTF-8: .* at byte 8"),
    "UTF-16": ('{"inputs": []}'.encode("utf-16"), None, "no UTF-8"),
    "a list": (b"[]", None, "a list of 0; expected an object"),
    "a number": (b"7", None, "is 7; expected an object"),
    "thousands of digits": (b'{"inputs": [' + b"1" * 5000 + b"]}", None, "no JSON"),
    "nested without end": (b"[" * 100_000, None, "nested too deeply"),
    "no inputs": (b"{}", None, "inputs is missing"),
    "inputs are an object": (b'{"inputs": {}}', None, "inputs is an object of 0; expected a list"),
    "an input is none": (b'{"inputs": [null]}', None, r"inputs\[0\] is null; expected an object"),
    "id is a number": (b'{"id": 7, "inputs": []}', None, "id is 7; expected a string"),
    "id is half a pair": (b'{"id": "\\ud800", "inputs": []}', None, "surrogate"),
    "parameters are a list": (b'{"parameters": [], "inputs": []}', None, "parameters is a list of 0"),
    "a parameter is null": (b'{"parameters": {"p": null}, "inputs": []}', None, "parameters.p is null"),
    "a parameter is a list": (b'{"parameters": {"p": [1]}, "inputs": []}', None, "parameters.p is a list of 1"),
    "a parameter is too large": (b'{"parameters": {"p": 18446744073709551616}, "inputs": []}', None, "64 bits"),
    "a parameter is NaN": (b'{"parameters": {"p": NaN}, "inputs": []}', None, "parameters.p is NaN"),
    "binary_data_output is no flag": (b'{"parameters": {"binary_data_output": 1}, "inputs": []}', None, "is 1; exp"),
    "no name": (body_of(name=...), None, r"inputs\[0\].name is missing"),
    "name is a number": (body_of(name=1), None, r"inputs\[0\].name is 1; expected a string"),
    "no datatype": (body_of(datatype=...), None, "datatype is missing"),
    "unknown datatype": (body_of(datatype="FP8"), None, 'datatype is "FP8"; expected one of BF16, BOOL'),
    "datatype is a list": (body_of(datatype=[]), None, "datatype is a list of 0"),
    "no shape": (body_of(shape=...), None, "shape is missing"),
    "shape is a number": (body_of(shape=2), None, "shape is 2; expected a list"),
    "shape has a fraction": (body_of(shape=[2.0]), None, "expected a list of whole numbers"),
    "shape has a flag": (body_of(shape=[True, 2]), None, "expected a list of whole numbers"),
    "shape is negative": (body_of(shape=[-2, -1]), None, "none below 0"),
    "shape is beyond all": (body_of(shape=[2**63]), None, "expected a list of whole numbers"),
    "shape has no end": (body_of(shape=[2**63 - 1] * 300), None, "has 300 dimensions; at most 64"),
    "no data": (body_of(data=...), None, "data is missing"),
    "data is a number": (body_of(data=1), None, "data is 1; expected a list"),
    "too many elements": (body_of(data=[1, 2, 3]), None, "has 3 elements; expected 2"),
    "too few elements": (body_of(data=[[1]]), None, "has 1 elements; expected 2"),
    "mixed depths": (body_of(data=[[1], 2]), None, "mixes lists and elements"),
    "a fraction for an integer": (body_of(data=[1, 2.5]), None, "the element 2.5; expected whole numbers"),
    "a string for an integer": (body_of(data=["1", 2]), None, 'the element "1"'),
    "null for an integer": (body_of(data=[None, 2]), None, "the element null"),
    "a flag for an integer": (body_of(data=[True, 2]), None, "the element true"),
    "an integer that does not fit": (body_of(data=[1, 128]), None, "does not fit INT8"),
    "an integer for a flag": (body_of(datatype="BOOL"), None, "expected true or false"),
    "a flag for a float": (body_of(datatype="FP32", data=[True, 1]), None, "expected numbers"),
    "a float that does not fit": (body_of(datatype="FP32", data=[1, 1e300]), None, "does not fit FP32"),
    "a half that does not fit": (body_of(datatype="FP16", data=[1, 65520]), None, "does not fit FP16"),
    "a bfloat that does not fit": (body_of(datatype="BF16", data=[1, 3.4e38]), None, "does not fit BF16"),
    "an integer that no float holds": (body_of(datatype="FP64", data=[1, 10**400]), None, "does not fit FP64"),
    "a number for a string": (body_of(datatype="BYTES", data=["a", 2]), None, "is 2; expected a string"),
    "half a pair for a string": (body_of(datatype="BYTES", shape=[1], data=["\ud800"]), None, "surrogate"),
    "shared memory": (body_of(parameters={"shared_memory_region": "r"}), None, "shared memory"),
    "bytes and no header": (body_of(data=..., parameters={"binary_data_size": 2}), None, "give it"),
    "an output is a number": (b'{"inputs": [], "outputs": [7]}', None, r"outputs\[0\] is 7"),
    "an output has no name": (b'{"inputs": [], "outputs": [{}]}', None, r"outputs\[0\].name is missing"),
    "an output's flag is none": (
        b'{"inputs": [], "outputs": [{"name": "y", "parameters": {"binary_data": "yes"}}]}',
        None,
        'binary_data is "yes"; expected true or false',
    ),
    "an output in shared memory": (
        b'{"inputs": [], "outputs": [{"name": "y", "parameters": {"shared_memory_region": "r"}}]}',
        None,
        "shared memory",
    ),
    "a header beyond the body": (b"{}", 3, "is 3, but the body has only 2 bytes"),
    "bytes of nobody": (b'{"inputs": []}xy', 14, "2 bytes follow the JSON, but .* 0"),
}  # fmt: skip


def binary_of(size: Any, behind: bytes, **changes: Any) -> tuple[bytes, int]:
    text = body_of(data=..., parameters={"binary_data_size": size}, **changes)
    return text + behind, len(text)


MALFORMED |= {
    "size is a string": (*binary_of("2", b"ab"), 'binary_data_size is "2"'),
    "size is a flag": (*binary_of(True, b"ab"), "binary_data_size is true"),
    "size is negative": (*binary_of(-1, b"ab"), "binary_data_size is -1"),
    "more than there is": (*binary_of(3, b"ab"), "is 3, but only 2 bytes are left"),
    "less than there is": (*binary_of(2, b"abc"), "3 bytes follow the JSON, but by binary_data_size the inputs have 2"),
    "not as many as the shape says": (*binary_of(3, b"abc"), r"is 3; expected 2 for INT8 \[2\]"),
    "both ways at once": (
        body_of(parameters={"binary_data_size": 2}) + b"ab",
        len(body_of(parameters={"binary_data_size": 2})),
        "both data and binary_data_size",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_request_is_refused_with_the_field_the_value_and_the_remedy(case: str) -> None:
    body, header_bytes, expected = MALFORMED[case]
    with pytest.raises(InvalidRequest, match=expected) as caught:
        read_request("m", "", memoryview(body), header_bytes, MIB)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=60), st.none() | st.integers(0, 60))
def test_any_bytes_are_a_request_or_refused(body: bytes, header_bytes: int | None) -> None:
    try:
        message, _ = message_of(body, header_bytes)
    except InvalidRequest:
        return
    assert message.model_name == "m"


def test_json_beyond_the_limit_is_refused_before_it_is_read() -> None:
    body = b" " * (MIB + 1)
    with pytest.raises(TooLarge, match="above the limit of 1048576; send large tensors as binary data"):
        read_request("m", "", memoryview(body), None, MIB)
    with pytest.raises(TooLarge):
        read_request("m", "", memoryview(body), MIB + 1, MIB)


def test_a_large_binary_tensor_is_not_copied() -> None:
    text, behind = body_of(data=..., shape=[MIB], parameters={"binary_data_size": MIB}), bytes(MIB)
    body = memoryview(text + behind)
    piece = read_request("m", "", body, len(text), MIB).pieces[-1]
    assert isinstance(piece, memoryview)
    assert piece.obj is body.obj


@pytest.mark.parametrize(
    ("value", "bits"),
    [(1.0, 0x3F80), (1.00390625, 0x3F80), (1.01171875, 0x3F82), (-0.0, 0x8000), (math.inf, 0x7F80), (math.nan, 0x7FC0)],
)
def test_a_bfloat_is_the_nearest_one_and_of_two_the_even_one(value: float, bits: int) -> None:
    message, _ = message_of(body_of(datatype="BF16", shape=[1], data=[value]))
    assert message.raw_input_contents[0] == struct.pack("<H", bits)


def test_outputs_say_themselves_whether_they_are_binary_and_else_the_request_does() -> None:
    outputs = [{"name": "a"}, {"name": "b", "parameters": {"binary_data": False, "classification": 3}}]
    request = {"inputs": [], "outputs": outputs, "parameters": {"binary_data_output": True}}
    message, wanted = message_of(json.dumps(request).encode())
    assert [wanted.is_binary(name) for name in ("a", "b", "c")] == [True, False, True]
    assert [output.name for output in message.outputs] == ["a", "b"]
    assert message.outputs[1].parameters["classification"].int64_param == 3
    assert set(message.outputs[1].parameters) == {"classification"}
    assert not message.parameters


def test_the_length_of_the_json_is_a_count() -> None:
    assert parse_header_length("0") == 0
    for text in ("", "-1", "1.0", "0x10", "१२", "9" * 13, " 1"):
        with pytest.raises(InvalidRequest, match="Inference-Header-Content-Length is"):
            parse_header_length(text)


# -- answers -----------------------------------------------------------------------------------------------------------


def fill_in(contents: pb.InferTensorContents, datatype: str, elements: list[Any]) -> None:
    field = getattr(contents, CONTENTS_FIELD[datatype])
    field.extend([element.encode() for element in elements] if datatype == "BYTES" else elements)


def read_answer(body: bytes, header_bytes: int | None) -> tuple[dict[str, Any], list[bytes]]:
    """Document and raw contents, as a client reads them."""
    end = len(body) if header_bytes is None else header_bytes
    document, at, raws = json.loads(body[:end]), end, []
    for output in document["outputs"]:
        size = output.get("parameters", {}).pop("binary_data_size", None)
        if size is None:
            raws.append(raw_of(output["datatype"], output["data"]))
        else:
            assert "data" not in output
            raws.append(body[at : at + size])
            at += size
    assert at == len(body)
    return document, raws


@given(st.lists(st.tuples(tensors(), PARAMETERS, st.booleans()), max_size=4), st.booleans(), st.booleans(), PARAMETERS)
def test_an_answer_says_the_same_in_json_as_in_bytes_and_as_in_its_message(
    outputs: list[tuple[tuple[str, str, list[int], list[Any]], dict[str, Any], bool]],
    raw: bool,
    named: bool,
    parameters: dict[str, Any],
) -> None:
    response = pb.ModelInferResponse(model_name="m", model_version="3" if named else "", id="7" if named else "")
    expected = []
    raw = raw or any(datatype in ("FP16", "BF16") for (_, datatype, _, _), _, _ in outputs)
    for (name, datatype, shape, elements), own, _ in outputs:
        tensor = response.outputs.add(name=name, datatype=datatype, shape=shape)
        for key, value in own.items():
            kind = {bool: "bool_param", float: "double_param", str: "string_param"}.get(
                type(value), "int64_param" if value_fits(value) else "uint64_param"
            )
            setattr(tensor.parameters[key], kind, value)
        expected.append(raw_of(datatype, elements))
        if raw:
            response.raw_output_contents.append(expected[-1])
        else:
            fill_in(tensor.contents, datatype, elements)
    by_name = {name: binary for (name, _, _, _), _, binary in outputs}
    body, header_bytes = write_answer(response.SerializeToString(), Wanted(named, by_name), 1000)
    assert (header_bytes is not None) == any(by_name.values())
    document, raws = read_answer(body, header_bytes)
    assert raws == expected
    assert document["model_name"] == "m"
    assert ("model_version" in document, "id" in document) == (named, named)
    for found, ((name, datatype, shape, _), own, _) in zip(document["outputs"], outputs, strict=True):
        assert (found["name"], found["datatype"], found["shape"]) == (name, datatype, shape)
        assert found.get("parameters", {}) == own


def value_fits(value: Any) -> bool:
    return not isinstance(value, int) or value < 2**63


def response_of(datatype: str, shape: list[int], raw: bytes | None = None) -> bytes:
    response = pb.ModelInferResponse(model_name="m")
    response.outputs.add(name="y", datatype=datatype, shape=shape)
    if raw is not None:
        response.raw_output_contents.append(raw)
    return response.SerializeToString()


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"\xff", "no ModelInferResponse"),
        (response_of("FP32", [2], bytes(7)), r"output 'y': 7 bytes for"),
        (response_of("FP32", [-2], b""), r"has the shape \[-2\]"),
        (response_of("FP32", [2**63 - 1] * 300, b""), "'y' has 300 dimensions"),
        (response_of("FP32", [2]), "0 elements; expected 2"),
        (response_of("FP16", [2]), "'FP16' has no contents but raw ones"),
        (pb.ModelInferResponse(raw_output_contents=[b""]).SerializeToString(), "0 outputs but 1 raw"),
    ],
)
def test_an_answer_that_contradicts_itself_is_none(message: bytes, expected: str, binary: bool) -> None:
    with pytest.raises(NotAnAnswer, match=expected):
        write_answer(message, Wanted(binary, {}), 1000)


def test_an_element_that_its_datatype_does_not_hold_is_no_answer() -> None:
    response = pb.ModelInferResponse()
    response.outputs.add(name="y", datatype="INT8", shape=[1]).contents.int_contents.append(300)
    with pytest.raises(NotAnAnswer, match="does not fit INT8"):
        write_answer(response.SerializeToString(), Wanted(True, {}), 1000)


def test_strings_that_run_past_the_end_and_unknown_datatypes_are_no_answer_in_json() -> None:
    with pytest.raises(NotAnAnswer, match="output 'y': element 0"):
        write_answer(response_of("BYTES", [1], b"\5\0\0\0ab"), JSON_ONLY, 1000)
    with pytest.raises(NotAnAnswer, match="'FP8' is none"):
        write_answer(response_of("FP8", [1], b"a"), JSON_ONLY, 1000)
    assert write_answer(response_of("FP8", [1], b"a"), Wanted(True, {}), 1000).body.endswith(b"a")


def test_what_json_cannot_hold_is_to_be_asked_for_as_bytes() -> None:
    with pytest.raises(InvalidRequest, match=r"no UTF-8.*ask for it with binary_data true") as caught:
        write_answer(response_of("BYTES", [1], b"\1\0\0\0\xff"), JSON_ONLY, 1000)
    assert caught.value.status is Status.INVALID_ARGUMENT
    with pytest.raises(InvalidRequest, match="has 1001 elements, which are too many"):
        write_answer(response_of("INT8", [1001], bytes(1001)), JSON_ONLY, 1000)
    assert write_answer(response_of("INT8", [1001], bytes(1001)), Wanted(True, {}), 1000).header_bytes


def test_numbers_that_are_none_are_written_as_tritons_clients_read_them() -> None:
    body = write_answer(response_of("FP32", [3], struct.pack("<3f", math.nan, math.inf, -math.inf)), JSON_ONLY, 9).body
    assert body.endswith(b'"data":[NaN,Infinity,-Infinity]}]}')


def test_other_messages_become_documents_with_numbers_as_numbers() -> None:
    metadata = pb.ModelMetadataResponse(name="m", versions=["1"])
    metadata.inputs.add(name="x", datatype="INT64", shape=[-1, 2**40])
    assert document_of(metadata) == {
        "name": "m",
        "versions": ["1"],
        "platform": "",
        "inputs": [{"name": "x", "datatype": "INT64", "shape": [-1, 2**40]}],
        "outputs": [],
    }
    config = pb.ModelConfig(name="m")
    config.parameters["k"].string_value = "v"
    config.input.add(name="x", data_type=pb.TYPE_FP32)
    document = document_of(config)
    assert document["parameters"] == {"k": {"string_value": "v"}}
    assert document["input"][0]["data_type"] == "TYPE_FP32"
    assert "dynamic_batching" not in document


def test_every_status_has_one_of_http() -> None:
    assert {status.name: http_status(status) for status in Status if status is not Status.OK} == {
        "CANCELLED": 499, "UNKNOWN": 500, "INVALID_ARGUMENT": 400, "DEADLINE_EXCEEDED": 504, "NOT_FOUND": 404,
        "ALREADY_EXISTS": 409, "PERMISSION_DENIED": 403, "RESOURCE_EXHAUSTED": 429, "FAILED_PRECONDITION": 400,
        "ABORTED": 409, "OUT_OF_RANGE": 400, "UNIMPLEMENTED": 501, "INTERNAL": 500, "UNAVAILABLE": 503,
        "DATA_LOSS": 500, "UNAUTHENTICATED": 401,
    }  # fmt: skip
