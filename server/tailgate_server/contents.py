"""The values of the input: raw or typed contents to an array or to encoded images. Pure functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tailgate.errors import InvalidRequest
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.tensors import CONTENTS_FIELD, NUMPY_DTYPES, decode_bytes_elements, from_raw
from tailgate_server.signature import INPUT

Tensor = pb.ModelInferRequest.InferInputTensor


def encoded_images(tensor: Tensor, raw: bytes | None, count: int) -> list[bytes]:
    """The elements of a BYTES input, none of them empty.

    Raises:
        InvalidRequest: There are more or fewer than `count`, or one is empty.
    """
    elements = list(_typed(tensor, count)) if raw is None else decode_bytes_elements(raw, count, INPUT)
    for index, element in enumerate(elements):
        if not element:
            raise InvalidRequest(f"input {INPUT!r}: element {index} is empty; expected a JPEG or PNG image")
    return elements


def pixels(tensor: Tensor, raw: bytes | None, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """The pixels of a UINT8 or FP32 input, of this shape.

    Raises:
        InvalidRequest: The number of values does not fit, or one is out of range.
    """
    if raw is not None:
        values = from_raw(raw, tensor.datatype, shape, INPUT)
    else:
        count = 1
        for size in shape:
            count *= size
        typed = _typed(tensor, count)
        if tensor.datatype == "UINT8":
            # The wire has 32 bits for each, so a value may be too large for its datatype.
            wide = np.array(typed, np.uint32)
            if wide.max() > 255:
                raise InvalidRequest(f"input {INPUT!r}: expected UINT8 values of 0 to 255, got {wide.max()}")
            values = wide.astype(np.uint8).reshape(shape)
        else:
            values = np.array(typed, NUMPY_DTYPES[tensor.datatype]).reshape(shape)
    if tensor.datatype == "FP32":
        low, high = values.min(), values.max()
        if not (low >= 0 and high <= 1):  # a NaN fails both comparisons
            raise InvalidRequest(
                f"input {INPUT!r}: expected FP32 pixels of 0 to 1, got {low:g} to {high:g}; "
                "mean and deviation are the model's business"
            )
    return values


def _typed(tensor: Tensor, count: int) -> Any:
    """The one list of the typed contents, `count` elements long. Its element type varies, so does the result's."""
    field = CONTENTS_FIELD[tensor.datatype]
    filled = [descriptor.name for descriptor, _ in tensor.contents.ListFields()]
    if filled not in ([], [field]):
        raise InvalidRequest(f"input {INPUT!r}: expected {field} for {tensor.datatype}, got {', '.join(filled)}")
    values = getattr(tensor.contents, field)
    if len(values) != count:
        raise InvalidRequest(
            f"input {INPUT!r}: expected {count} values in {field} for shape {list(tensor.shape)}, got {len(values)}"
        )
    return values
