"""The labelled images every demonstration runs on: 1,797 real handwritten digits, halved once and for all.

The images are scikit-learn's copy of the test set of Alpaydin and Kaynak's "Optical Recognition of Handwritten
Digits" (UCI, 1998): 8 × 8 pixels of 17 grey levels. One stratified half trains the built-in network, the other is
replayed by the load generator; server and load generator both take the halves from here, so no sample is ever in both.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

CLASSES = 10
SIDE = 32
"""Height and width of an image as the model takes it: each original pixel is a square of 4 × 4."""

_SPLIT_SEED = 2212_13925
_FILE = Path("datasets", "data", "digits.csv.gz")
"""Within scikit-learn: a line for each image, its 64 grey levels and its label."""


@dataclass(frozen=True)
class Digits:
    """One half of the digits.

    Attributes:
        images: uint8 `[samples, 3, 32, 32]`, grey in all three channels, 0 to 240.
        labels: int64 `[samples]`, 0 to 9.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


def load_digits(half: Literal["training", "validation"]) -> Digits:
    """The training half (899 images) or the validation half (898 images)."""
    levels, labels = _read_all()
    rows = stratified_halves(labels, _SPLIT_SEED)[half == "validation"]
    grey = (levels.reshape(-1, 8, 8)[rows] * 15).astype(np.uint8)
    scale = SIDE // grey.shape[1]
    enlarged = grey.repeat(scale, axis=1).repeat(scale, axis=2)
    return Digits(np.repeat(enlarged[:, None], 3, axis=1), labels[rows])


def _read_all() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Grey levels `[samples, 64]`, 0 to 16, and labels of all images.

    From scikit-learn's file, for importing scikit-learn takes two seconds of a core; where another version of it keeps
    the file somewhere else, by asking it.
    """
    package = find_spec("sklearn")
    file = Path(package.origin).parent / _FILE if package is not None and package.origin is not None else None
    if file is not None and file.exists():
        with gzip.open(file, "rt", encoding="ascii") as lines:
            table = np.loadtxt(lines, delimiter=",")
        return table[:, :-1], table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits as load_all

    levels, labels = load_all(return_X_y=True)
    return np.asarray(levels), np.asarray(labels, np.int64)


def stratified_halves(labels: npt.NDArray[np.int64], seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Two disjoint sets of rows, in rising order, that share every class as evenly as its size allows.

    Args:
        labels: int64 `[samples]`.
        seed: Of the draw; the same seed gives the same halves on every machine.

    Returns:
        The rows of the first and of the second half. Classes of odd size give their odd sample to the halves in turn.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    halves: tuple[list[int], list[int]] = ([], [])
    turn = 0
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        cut = len(rows) // 2
        halves[0].extend(rows[:cut])
        halves[1].extend(rows[cut : 2 * cut])
        if len(rows) % 2:
            halves[turn].append(rows[-1])
            turn = 1 - turn
    return np.sort(np.array(halves[0], np.int64)), np.sort(np.array(halves[1], np.int64))
