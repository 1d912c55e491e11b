"""The tail of windows: how sure a window's quality is, low quantiles, and what chance alone would make of the worst.

Lives here: mathematics of counts, on numbers and arrays. Must not live here: windows as they come about (`window.py`),
or a decision about them.

A window's quality varies by sampling even where nothing is wrong: at an accuracy of 0.7613 the worst of a day's 1440
windows of 1000 labelled responses lies near 0.715. So a tail figure of windows is shown with its *null*: the quantile
that as many windows would show if binomial noise alone were at work.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tailgate.binomial import distributions

FloatArray = npt.NDArray[np.float64]

Z95: Final = 1.96
"""The standard normal's two-sided 95 %."""

_ROUNDING = 1e-9  # how far k / n · n may lie from k
_LITTLE = 0.3  # a binomial is at most its most likely count and two more with a probability of 1/2 or more
_GRID = 64  # places at which a search looks at once


class Interval(NamedTuple):
    """Where a share may lie."""

    lower: float
    upper: float


def wilson(share: float, labelled: float, z: float = Z95) -> Interval:
    """Wilson's score interval of a share that was seen in so many.

    It keeps to 0..1 and stays honest for few responses and for shares near 0 and 1, where the normal one does not.

    Args:
        share: Seen, 0 to 1.
        labelled: In how many; need not be whole. Of none, nothing is known: the interval is all of 0 to 1.
        z: Quantile of the standard normal; 1.96 leaves out 2.5 % on each side.

    >>> wilson(0.9, 100)
    Interval(lower=0.8256326956323347, upper=0.9447714583868639)
    >>> wilson(0.0, 0)
    Interval(lower=0.0, upper=1.0)
    """
    if labelled <= 0:
        return Interval(0.0, 1.0)
    weight = z * z / labelled
    middle = (share + weight / 2) / (1 + weight)
    half = math.sqrt(weight * (share * (1 - share) + weight / 4)) / (1 + weight)
    # At 0 and 1 one side is the share itself, from which rounding may stray.
    return Interval(max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share)))


def wilson_intervals(share: npt.ArrayLike, labelled: npt.ArrayLike, z: float = Z95) -> tuple[FloatArray, FloatArray]:
    """`wilson` for arrays that broadcast: lower and upper ends. A share of none may be NaN."""
    shares, counts = np.broadcast_arrays(np.asarray(share, np.float64), np.asarray(labelled, np.float64))
    some = counts > 0
    seen, weight = np.where(some, shares, 0.0), z * z / np.where(some, counts, 1.0)
    middle = (seen + weight / 2) / (1 + weight)
    half = np.sqrt(weight * (seen * (1 - seen) + weight / 4)) / (1 + weight)
    lower, upper = np.minimum(middle - half, seen), np.maximum(middle + half, seen)
    return np.where(some, np.clip(lower, 0.0, 1.0), 0.0), np.where(some, np.clip(upper, 0.0, 1.0), 1.0)


def low_quantile(values: Sequence[float], quantile: float) -> float:
    """The smallest of these values that at least such a share of them does not exceed (numpy's ``inverted_cdf``).

    Args:
        values: At least one.
        quantile: 0 to 1; 0.01 for p1.

    >>> low_quantile([0.9, 0.7, 0.8], 0.01)
    0.7
    """
    rank = math.ceil(quantile * len(values) - _ROUNDING)
    return sorted(values)[max(rank, 1) - 1]


def null_of_worst(labelled: npt.ArrayLike, share: float, quantiles: npt.ArrayLike) -> FloatArray:
    """Quantiles of the worst window's share, if each window is an independent binomial sample of one quality.

    Exact: the worst exceeds x if every window does, so ``P(worst ≤ x) = 1 − Π (1 − F_i(x))`` with F_i the distribution
    function of the i-th window's share. For m windows of one size that is the binomial's first order statistic.

    Args:
        labelled: Labelled responses in each window, whole numbers above 0; at least one window.
        share: Quality of all windows, 0 to 1.
        quantiles: Above 0 and below 1, `[quantiles]`.

    Returns:
        For each quantile the smallest share that the worst window does not exceed with at least that probability.

    Raises:
        ValueError: There is no window, one holds nothing, or a share or quantile is out of its range.

    >>> null_of_worst([1000] * 1440, 0.7613, [0.5])
    array([0.716])
    """
    counts, levels = np.asarray(labelled), np.atleast_1d(np.asarray(quantiles, np.float64))
    if not counts.size or not (counts > 0).all():
        raise ValueError("labelled must name at least one window, and at least one response in each")
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; expected 0 to 1")
    if not ((levels > 0) & (levels < 1)).all():
        raise ValueError("quantiles must lie above 0 and below 1")
    if share in (0.0, 1.0):
        return np.full(len(levels), share)
    sizes, windows = np.unique(counts.astype(np.int64), return_counts=True)
    # Where there are many windows, and each need only be this unlikely, what lies above the most likely is not needed.
    each = -np.expm1(np.log1p(-levels.max()) / counts.size)
    first, at_most = distributions(sizes, share, above=2 if each < _LITTLE else None)
    # log(1 − F) of each size, times how many windows have it; a certainty has the logarithm −∞, as it should.
    with np.errstate(divide="ignore"):
        log_above = windows[:, None] * np.log1p(-at_most)
    rows, last = np.arange(len(sizes)), at_most.shape[1] - 1

    def log_none(shares: FloatArray) -> FloatArray:
        """Logarithm of the probability that no window's share is at most each of these."""
        place = np.floor(shares[:, None] * sizes + _ROUNDING).astype(np.int64) - first
        summed: FloatArray = np.where(place < 0, 0.0, log_above[rows, np.minimum(np.maximum(place, 0), last)]).sum(
            axis=1
        )
        return summed

    return np.array([_attained(log_none, np.log1p(-level), sizes) for level in levels])


def _attained(log_none: Callable[[FloatArray], FloatArray], enough: float, sizes: npt.NDArray[np.int64]) -> float:
    """The smallest share that windows of these sizes can have, at which `log_none` has come down to `enough`."""
    low, high = -1.0 / _GRID, 1.0  # below 0 nothing is, at 1 all is certain
    while (high - low) * sizes[-1] >= 1:
        grid = np.linspace(low, high, _GRID + 1)
        place = max(int((log_none(grid) <= enough).argmax()), 1)
        low, high = float(grid[place - 1]), float(grid[place])
    # It falls in steps, at the shares that can be had; between the two lies at most one of each size.
    can_be = np.sort(np.floor(high * sizes + _ROUNDING) / sizes)
    return float(can_be[(log_none(can_be) <= enough).argmax()])
