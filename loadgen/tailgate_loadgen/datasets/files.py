"""Labelled image files, as a list; no image is read here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tailgate.errors import DatasetError

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"))
"""Of image files, in lower case."""


@dataclass(frozen=True)
class LabelledFiles:
    """Image files with their labels.

    Attributes:
        files: One for each sample.
        labels: int64 `[samples]`.
        class_names: By index; empty where only the indexes are known.
    """

    files: tuple[Path, ...]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]


def list_folder(folder: Path) -> list[Path]:
    """What lies in a folder, sorted.

    Raises:
        DatasetError: It is no folder, or may not be listed.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DatasetError(f"{folder} cannot be listed: {error.strerror}") from error


def image_files(folder: Path) -> Iterator[Path]:
    """Every image file at any depth below a folder, by its suffix.

    Raises:
        DatasetError: A folder may not be listed.
    """

    def refuse(error: OSError) -> None:
        raise DatasetError(f"{error.filename} cannot be listed: {error.strerror}") from error

    for directory, _, names in os.walk(folder, onerror=refuse, followlinks=True):
        yield from (Path(directory, name) for name in names if Path(name).suffix.lower() in SUFFIXES)


def read_text(path: Path) -> str:
    """A text file; bytes that are no UTF-8 become a mark that no label contains.

    Raises:
        DatasetError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error
