"""V2 tensors as numpy arrays: datatypes, raw contents, typed contents, BYTES elements."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tailgate.errors import InvalidRequest

NUMPY_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""Datatypes whose elements numpy has; BYTES elements vary in length, and BF16 has no numpy type."""

DATATYPES: Final = frozenset(NUMPY_DTYPES) | {"BYTES", "BF16"}

MOST_DIMENSIONS: Final = 64
"""Of a tensor, as numpy's. Whoever multiplied a hundred thousand large sizes would do nothing else for a minute."""

CONTENTS_FIELD: Final = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Which list of InferTensorContents holds a datatype; FP16 and BF16 travel raw only."""


def encode_bytes_elements(elements: Iterable[bytes]) -> bytes:
    """Raw contents of a BYTES tensor: each element after its length as four little-endian bytes."""
    return b"".join(part for element in elements for part in (struct.pack("<I", len(element)), element))


def decode_bytes_elements(raw: bytes | memoryview, count: int, name: str) -> list[bytes]:
    """The elements of a BYTES tensor.

    Args:
        raw: Its raw contents.
        count: How many elements its shape says there are.
        name: The input's name, for the error.

    Raises:
        InvalidRequest: The lengths do not add up, or there are more or fewer elements.
    """
    view, position = memoryview(raw), 0
    elements: list[bytes] = []
    while position < len(view):
        if len(elements) == count:  # at once: 64 MiB of empty elements would take seconds to count
            raise InvalidRequest(
                f"input {name!r}: expected {count} BYTES elements by its shape, got {len(view) - position} bytes more"
            )
        end = position + 4
        length = int.from_bytes(view[position:end], "little")
        if end > len(view) or end + length > len(view):
            raise InvalidRequest(
                f"input {name!r}: element {len(elements)} of its BYTES contents runs past the end "
                f"({len(view)} bytes); each element is its length in 4 little-endian bytes, then its bytes"
            )
        elements.append(bytes(view[end : end + length]))
        position = end + length
    if len(elements) != count:
        raise InvalidRequest(f"input {name!r}: expected {count} BYTES elements by its shape, got {len(elements)}")
    return elements


def from_raw(raw: bytes | memoryview, datatype: str, shape: tuple[int, ...], name: str) -> npt.NDArray[Any]:
    """A read-only array over raw contents, without copying them.

    Raises:
        InvalidRequest: The number of bytes does not fit datatype and shape.
    """
    dtype = NUMPY_DTYPES[datatype]
    elements = 1
    for size in shape:
        elements *= size  # Python's integers: no overflow to hide behind
    expected = elements * dtype.itemsize
    if len(raw) != expected:
        raise InvalidRequest(
            f"input {name!r}: expected {expected} bytes for {datatype} {list(shape)}, got {len(raw)} bytes"
        )
    return np.frombuffer(raw, dtype).reshape(shape)
