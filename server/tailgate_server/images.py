"""Encoded images to pixels, as torchvision's `ImageClassification` transform does it, with limits on what is decoded.

Synchronous and slow (milliseconds): called in `decoding`'s threads, never on the event loop.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from tailgate.errors import InvalidRequest
from tailgate_server.signature import INPUT, Preprocessing

MAX_PIXELS = 16_000_000
"""Most pixels of an image, before and after resizing: 48 MB as RGB. A few kilobytes can claim a hundred times that."""

_FORMATS = ("JPEG", "PNG")


def forbid_warnings() -> None:
    """Make PIL's warnings errors, for the whole process: each tells of a file that should not be trusted."""
    warnings.filterwarnings("error", module=r"PIL\.")


def decode_image(encoded: bytes, preprocessing: Preprocessing, element: int) -> npt.NDArray[np.uint8]:
    """The pixels of one JPEG or PNG image, resized and cropped.

    Args:
        encoded: The file's bytes.
        preprocessing: The model's.
        element: Which element of the request's tensor this is, for the error.

    Returns:
        uint8 `[3, crop_size, crop_size]`.

    Raises:
        InvalidRequest: It is no such image, is damaged, or has too many pixels.
    """
    what = f"input {INPUT!r}: element {element}"
    try:
        with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
            # Only the header has been read so far.
            _check_size(image.size, f"{what} is an image")
            resized = _resized_size(image.size, preprocessing.resize_size)
            _check_size(resized, f"{what} is so long and thin that it becomes an image")
            return _cropped(_rgb(image).resize(resized, _filter(preprocessing)), preprocessing.crop_size)
    except InvalidRequest:
        raise
    except UnidentifiedImageError as error:
        raise InvalidRequest(f"{what} ({len(encoded)} bytes) is no JPEG or PNG image; send one, or pixels") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidRequest(f"{what} has more pixels than the {MAX_PIXELS:,} taken; send it smaller") from error
    except Exception as error:  # PIL raises whatever it stumbles over in a damaged file
        raise InvalidRequest(f"{what} is a damaged image: {error}; send it whole") from error


def _check_size(size: tuple[int, int], what: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise InvalidRequest(f"{what} of {width} × {height} pixels; at most {MAX_PIXELS:,} are taken: send it smaller")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16 bits of grey: PIL would clip them to the brightest of 8 bits.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def _resized_size(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    width, height = size
    if width <= height:
        return shorter, int(shorter * height / width)
    return int(shorter * width / height), shorter


def _filter(preprocessing: Preprocessing) -> Image.Resampling:
    return Image.Resampling[preprocessing.interpolation.upper()]


def _cropped(image: Image.Image, side: int) -> npt.NDArray[np.uint8]:
    left, top = round((image.width - side) / 2), round((image.height - side) / 2)
    centre = image.crop((left, top, left + side, top + side))
    return np.ascontiguousarray(np.asarray(centre, np.uint8).transpose(2, 0, 1))
