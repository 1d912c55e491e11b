"""The elements of a tensor: numbers, booleans and strings in JSON, bytes in a message."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tailgate.errors import InvalidRequest
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.answers import NotAnAnswer
from tailgate.protocol.rest.parameters import shown, text
from tailgate.protocol.tensors import (
    CONTENTS_FIELD,
    NUMPY_DTYPES,
    decode_bytes_elements,
    encode_bytes_elements,
)

BF16_BYTES: Final = 2

_FLOAT32: Final = NUMPY_DTYPES["FP32"]
_UINT16: Final = NUMPY_DTYPES["UINT16"]
_UINT32: Final = NUMPY_DTYPES["UINT32"]


def element_bytes(datatype: str) -> int | None:
    """Bytes of one element; None where they vary in length, or the datatype is not known."""
    if datatype == "BF16":
        return BF16_BYTES
    dtype = NUMPY_DTYPES.get(datatype)
    return None if dtype is None else dtype.itemsize


def raw_of_json(data: object, datatype: str, count: int, where: str) -> bytes:
    """Raw contents of a tensor that is written out in JSON, flat or nested, row-major.

    Args:
        data: The value of `data`.
        datatype: One of the protocol's.
        count: How many elements its shape says there are.
        where: What has it, for the error: `inputs[0]`, say.

    Raises:
        InvalidRequest: The elements are too many or too few, of another type, or do not fit the datatype.
    """
    elements = _flat(data, where)
    if len(elements) != count:
        raise InvalidRequest(f"{where}.data has {len(elements)} elements; expected {count} by its shape")
    if datatype == "BYTES":
        return encode_bytes_elements([text(one, f"an element of {where}.data").encode() for one in elements])
    dtype = NUMPY_DTYPES.get(datatype)
    if datatype == "BOOL":
        _require(elements, {bool}, where, "true or false")
        return np.array(elements, np.bool_).tobytes()
    if dtype is not None and dtype.kind in "iu":
        _require(elements, {int}, where, f"whole numbers, by its datatype {datatype}")
        limits = np.iinfo(dtype)
        if elements and not (limits.min <= min(elements) and max(elements) <= limits.max):
            raise InvalidRequest(f"{where}.data has an element that does not fit {datatype}")
        return np.array(elements, dtype).tobytes()
    _require(elements, {int, float}, where, f"numbers, by its datatype {datatype}")
    return _raw_of_floats(elements, datatype, where)


def json_of_raw(raw: bytes | memoryview, datatype: str, count: int, name: str) -> list[Any]:
    """The elements of an answer's tensor, as JSON can hold them.

    Args:
        raw: Its raw contents.
        datatype: Of the answer.
        count: How many elements its shape says there are.
        name: The output's name, for the error.

    Raises:
        NotAnAnswer: The bytes do not fit datatype and shape.
        InvalidRequest: JSON cannot hold them; the client has to ask for bytes.
    """
    if datatype == "BYTES":
        try:
            elements = decode_bytes_elements(raw, count, name)
        except InvalidRequest as error:
            raise NotAnAnswer(str(error).replace("input", "output", 1)) from error
        return _texts(elements, name)
    size = element_bytes(datatype)
    if size is None:
        raise NotAnAnswer(f"output {name!r}: datatype {datatype!r} is none of the protocol's")
    if len(raw) != count * size:
        raise NotAnAnswer(f"output {name!r}: {len(raw)} bytes for {count} elements of {datatype}")
    return _numbers(raw, datatype)


def json_of_contents(contents: pb.InferTensorContents, datatype: str, count: int, name: str) -> list[Any]:
    """The same of a tensor that the answer writes out element by element.

    Raises:
        NotAnAnswer: There are more or fewer elements.
        InvalidRequest: As above.
    """
    elements = _typed(contents, datatype, count, name)
    return _texts(elements, name) if datatype == "BYTES" else elements


def raw_of_contents(contents: pb.InferTensorContents, datatype: str, count: int, name: str) -> bytes:
    """Raw contents of such a tensor.

    Raises:
        NotAnAnswer: There are more or fewer elements, or one does not fit the datatype.
    """
    elements = _typed(contents, datatype, count, name)
    if datatype == "BYTES":
        return encode_bytes_elements(elements)
    dtype = NUMPY_DTYPES[datatype]
    if dtype.kind in "iu" and elements:
        limits = np.iinfo(dtype)
        if not (limits.min <= min(elements) and max(elements) <= limits.max):
            raise NotAnAnswer(f"output {name!r}: an element does not fit {datatype}")
    return np.array(elements, dtype).tobytes()


def _flat(data: object, where: str) -> list[Any]:
    """All elements of lists within lists, in order."""
    if not isinstance(data, list):
        raise InvalidRequest(f"{where}.data is {shown(data)}; expected a list")
    elements: list[Any] = data
    while elements and isinstance(elements[0], list):
        if set(map(type, elements)) != {list}:
            raise InvalidRequest(f"{where}.data mixes lists and elements at one depth")
        elements = [element for part in elements for element in part]
    return elements


def _require(elements: list[Any], types: set[type], where: str, expected: str) -> None:
    if not set(map(type, elements)) <= types:
        other = next(element for element in elements if type(element) not in types)
        raise InvalidRequest(f"{where}.data has the element {shown(other)}; expected {expected}")


def _raw_of_floats(elements: list[Any], datatype: str, where: str) -> bytes:
    try:
        exact = np.array(elements, np.float64)
    except OverflowError:
        raise InvalidRequest(f"{where}.data has an element that does not fit {datatype}") from None
    with np.errstate(over="ignore"):
        values = exact.astype(_FLOAT32 if datatype == "BF16" else NUMPY_DTYPES[datatype])
        if datatype == "BF16":
            values = _float32_of_bf16(_bf16_of_float32(values))
    if (np.isinf(values) & ~np.isinf(exact)).any():
        raise InvalidRequest(f"{where}.data has an element that does not fit {datatype}")
    return (_bf16_of_float32(values) if datatype == "BF16" else values).tobytes()


def _bf16_of_float32(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The nearest, of two the even one; what is no number stays none."""
    bits = values.view(_UINT32)
    rounded = (bits.astype(np.uint64) + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), 0x7FC0, rounded).astype(_UINT16)


def _float32_of_bf16(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return (values.astype(_UINT32) << 16).astype(_UINT32).view(_FLOAT32)


def _numbers(raw: bytes | memoryview, datatype: str) -> list[Any]:
    if datatype == "BOOL":  # a byte that is neither 0 nor 1 is true, too
        values: npt.NDArray[Any] = np.frombuffer(raw, np.uint8) != 0
    elif datatype == "BF16":
        values = _float32_of_bf16(np.frombuffer(raw, _UINT16))
    else:
        values = np.frombuffer(raw, NUMPY_DTYPES[datatype])
    elements: list[Any] = values.tolist()
    return elements


def _texts(elements: list[bytes], name: str) -> list[str]:
    try:
        return [element.decode() for element in elements]
    except UnicodeDecodeError:
        raise InvalidRequest(
            f"output {name!r} holds bytes that are no UTF-8, which JSON cannot hold; ask for it with binary_data true"
        ) from None


def _typed(contents: pb.InferTensorContents, datatype: str, count: int, name: str) -> list[Any]:
    field = CONTENTS_FIELD.get(datatype)
    if field is None:
        raise NotAnAnswer(f"output {name!r}: {datatype!r} has no contents but raw ones")
    elements = list(getattr(contents, field))
    if len(elements) != count:
        raise NotAnAnswer(f"output {name!r}: {len(elements)} elements; expected {count} by its shape")
    return elements
