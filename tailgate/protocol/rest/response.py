"""An upstream's answer to an inference, made into what a client over HTTP is given."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from tailgate.errors import InvalidRequest
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.answers import NotAnAnswer
from tailgate.protocol.rest.elements import (
    element_bytes,
    json_of_contents,
    json_of_raw,
    raw_of_contents,
)
from tailgate.protocol.rest.names import BINARY_SIZE
from tailgate.protocol.rest.parameters import write_parameters
from tailgate.protocol.rest.request import Wanted
from tailgate.protocol.tensors import MOST_DIMENSIONS


class InferAnswer(NamedTuple):
    """The body of an answer.

    Attributes:
        body: All of it.
        header_bytes: How much of it is JSON; None: all of it, for no tensor is binary.
    """

    body: bytes
    header_bytes: int | None


def write_answer(message: bytes | memoryview, wanted: Wanted, max_elements: int) -> InferAnswer:
    """The answer that a client is given.

    Args:
        message: A serialized ModelInferResponse.
        wanted: Which outputs are to be bytes.
        max_elements: So many may be written out in JSON: nothing else is done meanwhile.

    Raises:
        NotAnAnswer: The message is none, or contradicts itself.
        InvalidRequest: The answer cannot be in the form that the client wants.
    """
    try:
        response = pb.ModelInferResponse.FromString(message)  # type: ignore[arg-type]  # takes any buffer; the stubs do not know
    except DecodeError as error:
        raise NotAnAnswer("the upstream's bytes are no ModelInferResponse") from error
    raw: list[bytes] | list[None] = list(response.raw_output_contents) or [None] * len(response.outputs)
    if len(raw) != len(response.outputs):
        raise NotAnAnswer(f"{len(response.outputs)} outputs but {len(raw)} raw contents")
    document: dict[str, Any] = {"model_name": response.model_name}
    if response.model_version:
        document["model_version"] = response.model_version
    if response.id:
        document["id"] = response.id
    if response.parameters:
        document["parameters"] = write_parameters(response.parameters)
    document["outputs"] = outputs = []
    binary: list[bytes] = []
    for tensor, contents in zip(response.outputs, raw, strict=True):
        described, count = _describe(tensor)
        outputs.append(described)
        if wanted.is_binary(tensor.name):
            binary.append(_bytes_of(tensor, contents, count))
            described["parameters"] = {**described.get("parameters", {}), BINARY_SIZE: len(binary[-1])}
        else:
            max_elements -= count
            if max_elements < 0:
                raise InvalidRequest(
                    f"output {tensor.name!r} has {count} elements, which are too many to be written out in JSON; "
                    "ask for it with binary_data true"
                )
            described["data"] = _data_of(tensor, contents, count)
    text = json.dumps(document, separators=(",", ":")).encode()
    if not any(wanted.is_binary(tensor.name) for tensor in response.outputs):
        return InferAnswer(text, None)
    return InferAnswer(b"".join((text, *binary)), len(text))


def _describe(tensor: pb.ModelInferResponse.InferOutputTensor) -> tuple[dict[str, Any], int]:
    """An output without its elements, and how many there are."""
    shape = list(tensor.shape)
    if len(shape) > MOST_DIMENSIONS:
        raise NotAnAnswer(f"output {tensor.name!r} has {len(shape)} dimensions")
    if any(size < 0 for size in shape):
        raise NotAnAnswer(f"output {tensor.name!r} has the shape {shape}")
    described: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": shape}
    if tensor.parameters:
        described["parameters"] = write_parameters(tensor.parameters)
    return described, math.prod(shape)


def _bytes_of(tensor: pb.ModelInferResponse.InferOutputTensor, raw: bytes | None, count: int) -> bytes:
    if raw is None:
        return raw_of_contents(tensor.contents, tensor.datatype, count, tensor.name)
    size = element_bytes(tensor.datatype)
    if size is not None and len(raw) != count * size:
        raise NotAnAnswer(f"output {tensor.name!r}: {len(raw)} bytes for {tensor.datatype} {list(tensor.shape)}")
    return raw


def _data_of(tensor: pb.ModelInferResponse.InferOutputTensor, raw: bytes | None, count: int) -> list[Any]:
    if raw is None:
        return json_of_contents(tensor.contents, tensor.datatype, count, tensor.name)
    return json_of_raw(raw, tensor.datatype, count, tensor.name)
