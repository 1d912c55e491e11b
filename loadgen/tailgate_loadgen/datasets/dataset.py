"""What the sender takes from a data set: a label and a payload for every sample."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


class Rows(Protocol):
    """Byte strings by number, in memory or mapped from a file, so that none costs more than a copy."""

    @property
    def digest(self) -> str:
        """SHA-256 of their content, the same on every machine."""
        ...

    def __len__(self) -> int:
        """How many."""
        ...

    def __getitem__(self, index: int) -> memoryview:
        """The bytes of one."""
        ...


@dataclass(frozen=True)
class Dataset:
    """A labelled data set in the form in which it is sent.

    Attributes:
        rows: Raw tensor contents of every sample.
        labels: int64 `[samples]`, the index of the right class.
        class_names: By index; empty where only the indexes are known.
        datatype: Of the tensor: UINT8, FP32 or BYTES.
        shape: Of the tensor, with a batch of one in front.
    """

    rows: Rows
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    datatype: str
    shape: tuple[int, ...]

    def __len__(self) -> int:
        """How many samples."""
        return len(self.labels)

    def payload(self, sample: int) -> memoryview:
        """Raw tensor contents of one sample."""
        return self.rows[sample]

    @property
    def digest(self) -> str:
        """SHA-256 of what is sent and of the labels: runs with the same one scored the same things."""
        digest = hashlib.sha256(f"{self.datatype} {self.shape} {self.class_names} {self.rows.digest}".encode())
        digest.update(self.labels.astype("<i8").tobytes())
        return digest.hexdigest()


class MemoryRows:
    """Rows held in memory."""

    def __init__(self, rows: Sequence[bytes]) -> None:
        """Keep these."""
        self._rows = tuple(memoryview(row) for row in rows)
        self.digest = hashlib.sha256(b"".join(hashlib.sha256(row).digest() for row in self._rows)).hexdigest()

    def __len__(self) -> int:
        """How many."""
        return len(self._rows)

    def __getitem__(self, index: int) -> memoryview:
        """The bytes of one."""
        return self._rows[index]


class Fp32Rows:
    """Rows of pixels 0 to 255 as FP32 of 0 to 1, made anew for each request: four times the bytes, never stored."""

    def __init__(self, pixels: Rows) -> None:
        """Wrap rows of uint8."""
        self._pixels = pixels
        self.digest = pixels.digest

    def __len__(self) -> int:
        """How many."""
        return len(self._pixels)

    def __getitem__(self, index: int) -> memoryview:
        """The bytes of one."""
        pixels = np.frombuffer(self._pixels[index], np.uint8)
        return np.divide(pixels, 255, dtype=np.float32).data.cast("B")
