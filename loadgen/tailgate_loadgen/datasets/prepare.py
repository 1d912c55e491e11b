"""From labelled images to payloads ready to be sent: all that is slow is done here, before any clock starts."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from tailgate.digits import CLASSES, load_digits
from tailgate.errors import DatasetError
from tailgate.protocol.tensors import encode_bytes_elements
from tailgate_loadgen.datasets.cache import Report, cached_rows
from tailgate_loadgen.datasets.dataset import Dataset, Fp32Rows, MemoryRows, Rows
from tailgate_loadgen.datasets.files import LabelledFiles
from tailgate_loadgen.datasets.transform import Transform, decode_file

Payload = Literal["uint8", "jpeg", "fp32"]

_ONE_IMAGE = (1, 1)  # shape of a BYTES tensor of one element


def prepare_digits(payload: Payload) -> Dataset:
    """The validation half of the digits, as it is: 898 images of 32 × 32; encoded ones are PNG.

    Raises:
        ModuleNotFoundError: scikit-learn, which brings the images, is not installed.
    """
    digits = load_digits("validation")
    names = tuple(str(digit) for digit in range(CLASSES))
    if payload == "jpeg":
        rows = MemoryRows([encode_bytes_elements([_png(image)]) for image in digits.images])
        return Dataset(rows, digits.labels, names, "BYTES", _ONE_IMAGE)
    pixels = MemoryRows([image.tobytes() for image in digits.images])
    return _pixel_dataset(pixels, payload, digits.labels, names, digits.images.shape[1:])


def prepare_files(
    source: LabelledFiles, payload: Payload, transform: Transform, cache: Path, report: Report
) -> Dataset:
    """Images of files: resized, cropped and cached as pixels, or for `jpeg` cached as they are.

    Args:
        source: The files and their labels.
        payload: Form in which they are sent.
        transform: What is done to them; nothing is where they are sent encoded.
        cache: Folder of prepared images.
        report: Told of progress.

    Raises:
        DatasetError: A file is unreadable, or the cache cannot be written.
    """
    if payload == "jpeg":
        encoded = cached_rows(cache, source.files, ["encoded"], _read_encoded, report)
        return Dataset(encoded, source.labels, source.class_names, "BYTES", _ONE_IMAGE)
    recipe = ["pixels", transform.resize, transform.crop, transform.interpolation]
    pixels = cached_rows(cache, source.files, recipe, partial(decode_file, transform=transform), report)
    return _pixel_dataset(pixels, payload, source.labels, source.class_names, transform.shape)


def _pixel_dataset(
    pixels: Rows, payload: Payload, labels: np.ndarray, names: tuple[str, ...], shape: tuple[int, ...]
) -> Dataset:
    if payload == "fp32":
        return Dataset(Fp32Rows(pixels), labels, names, "FP32", (1, *shape))
    return Dataset(pixels, labels, names, "UINT8", (1, *shape))


def _read_encoded(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            image.verify()
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DatasetError(
            f"{path} cannot be read as an image ({error}); replace the file or take it out of the data set"
        ) from error
    return encode_bytes_elements([data])


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(buffer, "PNG")
    return buffer.getvalue()
