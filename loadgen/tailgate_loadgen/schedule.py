"""The whole schedule of a run, computed before its clock starts: which sample is due when. Pure.

Open loop: no instant depends on an answer, so a slow target is asked as often as a fast one. Order, arrivals and
subset are drawn from seeds of their own, so changing the rate does not change the order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tailgate.errors import ConfigError
from tailgate_loadgen.arrivals import Arrivals
from tailgate_loadgen.options import MAX_REQUESTS
from tailgate_loadgen.seeds import generator
from tailgate_loadgen.sharing import Shard


@dataclass(frozen=True)
class Schedule:
    """Requests in the order in which they are due: all of a run, or the share of one of its processes.

    Attributes:
        due_s: float64 `[requests]`, seconds after the start, not falling.
        sample: int64 `[requests]`, rows of the data set.
        pass_index: int64 `[requests]`, from 0, not falling.
        seeds: The seeds by what was drawn from them.
        sha256: Of the three arrays of the whole run.
        total: Requests of the whole run.
    """

    due_s: npt.NDArray[np.float64]
    sample: npt.NDArray[np.int64]
    pass_index: npt.NDArray[np.int64]
    seeds: Mapping[str, int]
    sha256: str
    total: int

    def __len__(self) -> int:
        """How many requests."""
        return len(self.due_s)

    def share_of(self, shard: Shard | None) -> Schedule:
        """What one of several processes sends; everything for None."""
        if shard is None:
            return self
        rows = slice(shard.index, None, shard.of)
        return replace(self, due_s=self.due_s[rows], sample=self.sample[rows], pass_index=self.pass_index[rows])


def make_schedule(
    *,
    dataset_size: int,
    passes: int,
    rate: float,
    arrivals: Arrivals,
    seeds: Mapping[str, int],
    samples: int | None = None,
) -> Schedule:
    """Every pass one permutation of the labelled set, or of the same seeded subset of it.

    Args:
        dataset_size: Samples of the data set.
        passes: How often each is sent.
        rate: Requests a second, as `arrivals` takes it.
        arrivals: How they are spaced.
        seeds: As `derive_seeds` gives them; the same ones give the same schedule on every machine.
        samples: Size of the subset; None for all.

    Raises:
        ConfigError: The subset is larger than the set, or the run too long to be held in memory, or there are no such
            arrivals.
    """
    if samples is not None and samples > dataset_size:
        raise ConfigError(f"--samples is {samples}, but the data set has {dataset_size}; ask for at most so many")
    count = (samples or dataset_size) * passes
    if count > MAX_REQUESTS:
        raise ConfigError(f"--passes {passes} makes {count} requests; a run has at most {MAX_REQUESTS}")
    subset = np.arange(dataset_size, dtype=np.int64)
    if samples is not None:
        subset = np.sort(generator(seeds["subset"]).choice(dataset_size, samples, replace=False))
    order = generator(seeds["order"])
    sample = np.concatenate([order.permutation(subset) for _ in range(passes)])
    pass_index = np.repeat(np.arange(passes, dtype=np.int64), len(subset))
    due_s = arrivals.due_s(generator(seeds["arrivals"]), count, rate)
    digest = hashlib.sha256()
    for array, little_endian in ((due_s, "<f8"), (sample, "<i8"), (pass_index, "<i8")):
        digest.update(array.astype(little_endian).tobytes())
    return Schedule(due_s, sample, pass_index, seeds, digest.hexdigest(), count)


def kept_answers(schedule: Schedule, count: int) -> frozenset[tuple[int, int]]:
    """Passes and samples of the requests whose answers are kept: so many of the whole run, drawn without repetition."""
    chosen = generator(schedule.seeds["sampling"]).choice(len(schedule), min(count, len(schedule)), replace=False)
    return frozenset(zip(schedule.pass_index[chosen].tolist(), schedule.sample[chosen].tolist(), strict=True))
