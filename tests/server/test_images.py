"""Decoding, held against torchvision's own transforms, and its limits."""

from __future__ import annotations

import asyncio
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import functional
from torchvision.transforms.functional import InterpolationMode

from tailgate.errors import InvalidRequest, Overloaded
from tailgate_server.decoding import Decoder
from tailgate_server.images import decode_image, forbid_warnings
from tailgate_server.signature import Preprocessing


@pytest.fixture(autouse=True)
def as_in_the_server() -> Iterator[None]:
    with warnings.catch_warnings():
        forbid_warnings()
        yield


def preprocessing(resize: int, crop: int, interpolation: str = "bilinear") -> Preprocessing:
    return Preprocessing(resize, crop, interpolation, (0.0,) * 3, (1.0,) * 3)


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "box"])
@pytest.mark.parametrize("size", [(300, 200), (200, 301), (97, 97), (256, 256), (40, 333)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_image_becomes_the_pixels_torchvision_makes_of_it(
    kind: str, size: tuple[int, int], interpolation: str
) -> None:
    encoded = saved(noise(*size), kind)
    with Image.open(io.BytesIO(encoded)) as image:
        rgb: Any = image.convert("RGB")
        resized = functional.resize(rgb, [64], InterpolationMode(interpolation))
        expected = functional.pil_to_tensor(functional.center_crop(resized, [57]))
    decoded = decode_image(encoded, preprocessing(64, 57, interpolation), 0)
    assert torch.equal(torch.from_numpy(decoded), expected)


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "1", "P"])
def test_other_kinds_of_pixels_become_red_green_and_blue(mode: str) -> None:
    encoded = saved(noise(20, 20, mode), "JPEG" if mode == "CMYK" else "PNG")
    with Image.open(io.BytesIO(encoded)) as image:
        expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(decode_image(encoded, preprocessing(20, 20), 0), expected)


def test_a_palette_with_transparency_is_taken() -> None:
    encoded = saved(noise(20, 20, "P"), transparency=b"\x00\x80")
    assert decode_image(encoded, preprocessing(20, 20), 0).shape == (3, 20, 20)


def test_sixteen_bits_of_grey_keep_their_brightness() -> None:
    grey = Image.fromarray(np.full((8, 8), 40_000, np.uint16))
    assert set(decode_image(saved(grey), preprocessing(8, 8), 0).ravel().tolist()) == {40_000 >> 8}


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize("side", [4_001, 12_000, 60_000])
def test_a_header_that_claims_too_many_pixels_is_refused_before_any_is_decoded(side: int) -> None:
    # Nothing follows the header: had decoding begun, the sentence would be about damage.
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    with pytest.raises(InvalidRequest, match=r"element 3 .*16,000,000"):
        decode_image(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b""), preprocessing(224, 224), 3)


def test_an_image_that_would_become_too_large_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="so long and thin that it becomes an image of 100000 × 200 pixels"):
        decode_image(saved(noise(2_000, 4)), preprocessing(200, 200), 0)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "WEBP"])
def test_other_formats_are_refused(kind: str) -> None:
    with pytest.raises(InvalidRequest, match="no JPEG or PNG"):
        decode_image(saved(noise(8, 8), kind), preprocessing(8, 8), 0)


@given(
    st.sampled_from(["JPEG", "PNG"]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    st.floats(0, 1),
)
@settings(max_examples=150, deadline=None)
def test_damaged_files_never_raise_anything_but_a_refusal(
    kind: str, edits: list[tuple[float, int]], keep: float
) -> None:
    encoded = bytearray(saved(noise(24, 16), kind))
    for place, value in edits:
        encoded[int(place * (len(encoded) - 1))] = value
    try:
        decoded = decode_image(bytes(encoded[: int(keep * len(encoded)) + 1]), preprocessing(16, 16), 0)
    except InvalidRequest:
        return
    assert decoded.shape == (3, 16, 16)


async def test_decoding_has_a_bound_on_what_waits_and_gives_its_places_back() -> None:
    decoder = Decoder(threads=1, max_waiting=2)
    try:
        encoded = [saved(noise(40, 40))]
        calls = [asyncio.create_task(decoder.decode(encoded, preprocessing(8, 8))) for _ in range(3)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [np.ndarray, np.ndarray, Overloaded]
        assert (await decoder.decode(encoded * 3, preprocessing(8, 8))).shape == (3, 3, 8, 8)
    finally:
        decoder.close()
