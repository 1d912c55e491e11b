"""Which class an answer names, so that it can be held against a label."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from tailgate.errors import InvalidRequest
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.tensors import CONTENTS_FIELD, NUMPY_DTYPES, decode_bytes_elements

UNKNOWN_CLASS = -1
"""Stands where an answer names no class, or no label is known."""

MAX_CLASS = 2**31 - 1
"""Largest class there can be; a trace keeps it in four bytes. An answer that names a larger one names none."""


class NotAnAnswer(ValueError):
    """The bytes are no ModelInferResponse, or its tensors contradict themselves."""


def predicted_class(body: bytes, output: str = "") -> int:
    """The class an answer to a single sample names.

    Scores (FP16, FP32, FP64) name the class with the highest, the first of equals; a BYTES tensor of the
    classification extension (``score:index[:label]``) names the index of its first element; a single integer is the
    class itself.

    Args:
        body: A serialized ModelInferResponse.
        output: Which output to read; empty means the first one.

    Returns:
        The class, or `UNKNOWN_CLASS` where the answer is well-formed but names none: another output, several
        samples, no finite score.

    Raises:
        NotAnAnswer: The bytes cannot be an answer, whatever the model.
    """
    try:
        response = pb.ModelInferResponse.FromString(body)
    except DecodeError as error:
        raise NotAnAnswer("the upstream's bytes are no ModelInferResponse") from error
    raw_count = len(response.raw_output_contents)
    if raw_count not in (0, len(response.outputs)):
        raise NotAnAnswer(f"{len(response.outputs)} outputs but {raw_count} raw contents")
    for index, tensor in enumerate(response.outputs):
        if not output or tensor.name == output:
            return _class_of(tensor, response.raw_output_contents[index] if raw_count else None)
    return UNKNOWN_CLASS


def _class_of(tensor: pb.ModelInferResponse.InferOutputTensor, raw: bytes | None) -> int:
    values = _values(tensor, raw)
    if values is None or (len(tensor.shape) > 1 and tensor.shape[0] != 1):
        return UNKNOWN_CLASS
    if isinstance(values, list):
        return _class_of_text(values)
    if values.dtype.kind in "iu":
        return int(values[0]) if values.size == 1 and 0 <= values[0] <= MAX_CLASS else UNKNOWN_CLASS
    if values.dtype.kind != "f" or values.size < 2 or not np.isfinite(values).all():
        return UNKNOWN_CLASS
    return int(values.argmax())


def _values(
    tensor: pb.ModelInferResponse.InferOutputTensor, raw: bytes | None
) -> npt.NDArray[Any] | list[bytes] | None:
    """The elements of an output: an array, a list of byte strings, or None for a datatype that names no class."""
    count = 1
    for size in tensor.shape:
        count *= size
    if tensor.datatype == "BYTES":
        if raw is None:
            return list(tensor.contents.bytes_contents)
        try:
            return decode_bytes_elements(raw, count, tensor.name)
        except InvalidRequest as error:
            raise NotAnAnswer(str(error).replace("input", "output", 1)) from error
    dtype = NUMPY_DTYPES.get(tensor.datatype)
    if dtype is None:
        return None
    if raw is None:
        field = CONTENTS_FIELD.get(tensor.datatype)
        try:
            values = np.array(getattr(tensor.contents, field) if field else [], dtype)
        except OverflowError as error:
            raise NotAnAnswer(f"output {tensor.name!r}: an element does not fit {tensor.datatype}") from error
    elif len(raw) != count * dtype.itemsize:
        # Seen in the field: an answer with status OK, the right shape, and no bytes at all.
        raise NotAnAnswer(f"output {tensor.name!r}: {len(raw)} bytes for {tensor.datatype} {list(tensor.shape)}")
    else:
        values = np.frombuffer(raw, dtype)
    if values.size != count:
        raise NotAnAnswer(f"output {tensor.name!r}: {values.size} elements for shape {list(tensor.shape)}")
    return values


def _class_of_text(elements: list[bytes]) -> int:
    fields = elements[0].split(b":") if elements else []
    # Up to ten digits: whoever writes more has no class in mind, and Python refuses to read 5,000.
    if len(fields) < 2 or not fields[1].isdigit() or len(fields[1]) > 10:
        return UNKNOWN_CLASS
    index = int(fields[1])
    return index if index <= MAX_CLASS else UNKNOWN_CLASS
