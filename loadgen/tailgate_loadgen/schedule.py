"""The whole schedule of a run, computed before its clock starts: which sample is due when. Pure.

Open loop: no instant depends on an answer, so a slow target is asked as often as a fast one. Order, arrivals and
subset are drawn from seeds of their own, so changing the rate does not change the order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tailgate.errors import ConfigError
from tailgate_loadgen.options import MAX_REQUESTS


@dataclass(frozen=True)
class Schedule:
    """Requests in the order in which they are due.

    Attributes:
        due_s: float64 `[requests]`, seconds after the start, not falling.
        sample: int64 `[requests]`, rows of the data set.
        pass_index: int64 `[requests]`, from 0, not falling.
        seeds: The derived seeds by what was drawn from them.
        sha256: Of the three arrays.
    """

    due_s: npt.NDArray[np.float64]
    sample: npt.NDArray[np.int64]
    pass_index: npt.NDArray[np.int64]
    seeds: Mapping[str, int]
    sha256: str

    def __len__(self) -> int:
        """How many requests."""
        return len(self.due_s)


def make_schedule(
    *,
    dataset_size: int,
    passes: int,
    rate: float,
    arrivals: Literal["poisson", "constant"],
    seed: int,
    samples: int | None = None,
) -> Schedule:
    """Every pass one permutation of the labelled set, or of the same seeded subset of it.

    Args:
        dataset_size: Samples of the data set.
        passes: How often each is sent.
        rate: Mean requests a second.
        arrivals: `constant` spaces them evenly; `poisson` has independent exponential gaps.
        seed: The same seed gives the same schedule on every machine.
        samples: Size of the subset; None for all.

    Raises:
        ConfigError: The subset is larger than the set, or the run too long to be held in memory.
    """
    if samples is not None and samples > dataset_size:
        raise ConfigError(f"--samples is {samples}, but the data set has {dataset_size}; ask for at most so many")
    count = (samples or dataset_size) * passes
    if count > MAX_REQUESTS:
        raise ConfigError(f"--passes {passes} makes {count} requests; a run has at most {MAX_REQUESTS}")
    seeds = derive_seeds(seed)
    subset = np.arange(dataset_size, dtype=np.int64)
    if samples is not None:
        subset = np.sort(_generator(seeds["subset"]).choice(dataset_size, samples, replace=False))
    order = _generator(seeds["order"])
    sample = np.concatenate([order.permutation(subset) for _ in range(passes)])
    pass_index = np.repeat(np.arange(passes, dtype=np.int64), len(subset))
    if arrivals == "constant":
        due_s = np.arange(count) / rate
    else:
        due_s = np.cumsum(_generator(seeds["arrivals"]).exponential(1 / rate, count))
    digest = hashlib.sha256()
    for array, little_endian in ((due_s, "<f8"), (sample, "<i8"), (pass_index, "<i8")):
        digest.update(array.astype(little_endian).tobytes())
    return Schedule(due_s, sample, pass_index, seeds, digest.hexdigest())


def derive_seeds(seed: int) -> dict[str, int]:
    """Independent seeds out of one."""
    children = np.random.SeedSequence(seed).spawn(3)
    names = ("order", "arrivals", "subset")
    return {
        name: int.from_bytes(child.generate_state(2, np.uint64).astype("<u8").tobytes(), "little")
        for name, child in zip(names, children, strict=True)
    }


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))
