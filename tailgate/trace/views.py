"""What the mathematics takes, out of records: passes as matrices, scores, response times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tailgate.outcome import ANSWER_SEEN
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.trace.format import Records


def response_times_s(records: Records) -> npt.NDArray[np.float64]:
    """Seconds until the complete answer of each record; `inf` where none was seen (`Observation.response_time_s`)."""
    seen = np.isin(records["outcome"], ANSWER_SEEN)
    return np.where(seen, records["latency_s"], np.inf)


def scores(records: Records) -> npt.NDArray[np.float64]:
    """1 where the answer names the label, else 0; whether it was in time is not asked here."""
    right = (records["predicted"] == records["label"]) & (records["label"] != UNKNOWN_CLASS)
    return np.asarray(right, np.float64)


@dataclass(frozen=True)
class Passes:
    """The complete passes of a run.

    Attributes:
        indexes: int `[passes]`, rising: which passes these are.
        samples: int `[samples]`, rising: which samples of the data set the columns are.
        response_s: float `[passes, samples]`, seconds until the complete answer, `inf` where none came.
        score: float `[passes, samples]`, 0 or 1.
        incomplete: Passes left out because they do not hold every sample exactly once.
    """

    indexes: npt.NDArray[np.int64]
    samples: npt.NDArray[np.int64]
    response_s: npt.NDArray[np.float64]
    score: npt.NDArray[np.float64]
    incomplete: int


def passes_of(records: Records, samples: int | None = None) -> Passes:
    """Records of a load run as matrices, one row a pass, one column a sample.

    A run that was cut short leaves a pass without some samples; its quality would rest on other samples than that of
    the rest, so it is counted and left out.

    Args:
        records: Observations of one run, in any order.
        samples: How many samples a pass has, as the run planned it. By default as many as were seen in all passes
            together, which a run that was cut short in its first pass did not see.
    """
    numbered = np.flatnonzero(records["pass_index"] >= 0)
    pass_index, sample = records["pass_index"][numbered], records["sample"][numbered]
    order = np.lexsort((sample, pass_index))
    pass_index, sample, numbered = pass_index[order], sample[order], numbered[order]
    seen = sample[np.unique(sample, return_index=True)[1]]
    indexes, starts, sizes = np.unique(pass_index, return_index=True, return_counts=True)
    complete = [
        place
        for place, (start, size) in enumerate(zip(starts, sizes, strict=True))
        if samples in (None, len(seen)) and np.array_equal(sample[start : start + size], seen)
    ]
    cells = starts[complete][:, None] + np.arange(len(seen))
    kept = numbered[cells]
    return Passes(
        indexes=indexes[complete].astype(np.int64),
        samples=seen.astype(np.int64),
        response_s=response_times_s(records)[kept],
        score=scores(records)[kept],
        incomplete=len(indexes) - len(complete),
    )
