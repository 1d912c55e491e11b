"""The tail over passes: what the best and the worst traversal of a labelled set show at each threshold.

Lives here: statistics of `Q_r(θ)` over passes r, and the thresholds to take them at. All that fluctuates between
passes comes from time, because their samples are the same. Must not live here: what passes that were not made would
show (`tailgate.prediction`), windows of live traffic (`tailgate.tail`), files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tailgate.quality import pass_quality

FloatArray = npt.NDArray[np.float64]

_ROUNDING = 1e-9  # how far a share times a count may lie from the whole number it means


@dataclass(frozen=True)
class PassTail:
    """Q(θ) over passes; each attribute is float `[thresholds]`.

    Attributes:
        thresholds_s: θ in seconds.
        best: The highest pass.
        worst: The lowest pass.
        mean: Over passes.
        std: The population's standard deviation.
        p1: The smallest quality that at least 1 % of the passes do not exceed (``inverted_cdf``); of fewer than 101
            passes it is the worst.
        p5: The same of 5 %.
    """

    thresholds_s: FloatArray
    best: FloatArray
    worst: FloatArray
    mean: FloatArray
    std: FloatArray
    p1: FloatArray
    p5: FloatArray


def pass_tail(latency_s: npt.ArrayLike, score: npt.ArrayLike, thresholds_s: npt.ArrayLike) -> PassTail:
    """Statistics over passes at every threshold.

    Args:
        latency_s: As for `tailgate.quality.pass_quality`; at least one pass.
        score: As there.
        thresholds_s: As there.

    Raises:
        ValueError: As there, or there is no pass.
    """
    quality = pass_quality(latency_s, score, thresholds_s)
    if not quality.shape[1]:
        raise ValueError("latency_s holds no pass; at least one is needed")
    return tail_of(quality, np.asarray(thresholds_s, np.float64))


def tail_of(quality: FloatArray, thresholds_s: FloatArray) -> PassTail:
    """The same, of qualities `[thresholds, passes]` that are known, such as those of a set metric."""
    low = np.percentile(quality, (1, 5), axis=1, method="inverted_cdf")
    return PassTail(
        thresholds_s=thresholds_s,
        best=quality.max(axis=1),
        worst=quality.min(axis=1),
        mean=quality.mean(axis=1),
        std=quality.std(axis=1),
        p1=low[0],
        p5=low[1],
    )


def thresholds_by_density(latency_s: npt.ArrayLike, densities: npt.ArrayLike) -> FloatArray:
    """The thresholds that a share of all inferences exceeds; infinite where that many never came.

    With ties there may be no such time; then it is the smallest time that at most that share exceeds.

    Args:
        latency_s: Seconds, of any shape, not empty; `inf` where no answer came.
        densities: Shares, 0 to 1, `[densities]`.

    Raises:
        ValueError: There is no time, or a density lies outside 0 to 1.

    >>> thresholds_by_density([0.01, 0.02, 0.03, 0.04], [0.25, 0.0])
    array([0.03, 0.04])
    """
    ascending = np.sort(np.asarray(latency_s, np.float64), axis=None)
    shares = np.atleast_1d(np.asarray(densities, np.float64))
    if not ascending.size:
        raise ValueError("latency_s is empty; a threshold by density needs times")
    if not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError(f"densities are {shares.tolist()}; expected shares within 0 to 1")
    within = [max(math.ceil((1 - share) * ascending.size - _ROUNDING), 1) for share in shares.tolist()]
    return ascending[np.array(within, np.int64) - 1]
