"""V2 tensors: raw contents to arrays and back, and the one sentence where they do not fit."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.errors import InvalidRequest
from tailgate.protocol.tensors import (
    CONTENTS_FIELD,
    DATATYPES,
    NUMPY_DTYPES,
    decode_bytes_elements,
    encode_bytes_elements,
    from_raw,
)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_bytes_elements_read_back_as_they_were_written(elements: list[bytes]) -> None:
    encoded = encode_bytes_elements(elements)
    assert decode_bytes_elements(encoded, len(elements), "text") == elements
    assert decode_bytes_elements(memoryview(encoded), len(elements), "text") == elements


@given(st.binary(max_size=60), st.integers(-1, 6))
def test_any_bytes_are_elements_that_write_back_the_same_or_are_refused(raw: bytes, count: int) -> None:
    with contextlib.suppress(InvalidRequest):
        elements = decode_bytes_elements(raw, count, "text")
        assert len(elements) == count
        assert encode_bytes_elements(elements) == raw


@given(st.lists(st.binary(max_size=10), min_size=1, max_size=5), st.data())
def test_a_truncated_element_never_comes_out_shorter(elements: list[bytes], data: st.DataObject) -> None:
    encoded = encode_bytes_elements(elements)
    with pytest.raises(InvalidRequest):
        decode_bytes_elements(encoded[: data.draw(st.integers(0, len(encoded) - 1))], len(elements), "text")


def test_a_length_beyond_all_memory_is_refused_at_once() -> None:
    with pytest.raises(InvalidRequest, match="runs past the end"):
        decode_bytes_elements(b"\xff\xff\xff\xffabc", 1, "text")


@pytest.mark.parametrize("datatype", sorted(NUMPY_DTYPES))
@given(shape=st.lists(st.integers(0, 4), max_size=4).map(tuple), data=st.data())
def test_raw_contents_become_an_array_of_their_shape_without_a_copy(
    datatype: str, shape: tuple[int, ...], data: st.DataObject
) -> None:
    size = int(np.prod(shape, dtype=int)) * NUMPY_DTYPES[datatype].itemsize
    raw = data.draw(st.binary(min_size=size, max_size=size))
    array = from_raw(raw, datatype, shape, "image")
    assert (array.shape, array.dtype) == (shape, NUMPY_DTYPES[datatype])
    assert array.tobytes() == raw
    assert not array.flags.writeable
    assert not array.flags.owndata


@pytest.mark.parametrize(
    ("shape", "size"), [((2, 3), 5), ((2, 3), 7), ((0,), 1), ((2**62, 2**62), 8), ((2**32, 2**32, 0), 1), ((-1, -6), 5)]
)
def test_contents_that_do_not_fit_the_shape_are_refused_with_both_sizes(shape: tuple[int, ...], size: int) -> None:
    with pytest.raises(InvalidRequest, match=f"input 'image': expected .* bytes for UINT8 .*, got {size} bytes"):
        from_raw(bytes(size), "UINT8", shape, "image")


def test_every_datatype_has_a_place_in_typed_contents_or_travels_raw_only() -> None:
    assert set(CONTENTS_FIELD) | {"FP16", "BF16"} == set(DATATYPES) == set(NUMPY_DTYPES) | {"BYTES", "BF16"}
    assert all(dtype.byteorder in "<|=" for dtype in NUMPY_DTYPES.values())
