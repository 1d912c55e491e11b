"""The paper's model: every batch is late or not by itself, whatever happens to its neighbours.

Then the number of right answers in time is a sum of independent numbers, for 0 and 1 scores a weighted Poisson
binomial, and its exact distribution follows from the discrete Fourier transform of its characteristic function
(Hong, "On computing the distribution function for the Poisson binomial distribution", 2013; arXiv 2212.13925 v3 draws
Monte Carlo samples instead). Stalls make neighbours late together, so this model's tail is too good where there are
any.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_AT_ONCE = 64  # distinct items that are transformed together: bounds memory


@dataclass(frozen=True)
class Counts:
    """The distribution of a whole number.

    Attributes:
        probability: Of 0, 1, 2, …; float `[counts]`, adds up to 1.
    """

    probability: FloatArray

    def quantile(self, level: float) -> int:
        """The smallest count that is not exceeded with at least this probability."""
        reached = np.cumsum(self.probability) >= level - _NOISE
        return int(reached.argmax()) if reached.any() else len(self.probability) - 1

    def worst_of(self, draws: int, level: float = 0.5) -> int:
        """A quantile of the smallest of so many independent draws; by default its median."""
        return self.quantile(-float(np.expm1(np.log1p(-level) / draws)))


_NOISE = 1e-13  # what the transforms leave behind of a probability of zero


def sum_of_independent(values: npt.ArrayLike) -> Counts:
    """The exact distribution of a sum to which every item adds one of the values seen of it, each as likely.

    Args:
        values: Whole numbers ≥ 0, int `[draws, items]`: what was seen of each item.

    Raises:
        ValueError: There is nothing, or a value is negative.

    >>> sum_of_independent([[1, 1], [0, 1]]).probability.round(3)
    array([0. , 0.5, 0.5])
    """
    seen = np.asarray(values, np.int64)
    if seen.ndim != 2 or not seen.size or seen.min() < 0:
        raise ValueError(f"values have shape {seen.shape}; expected whole numbers ≥ 0, [draws, items]")
    draws, _ = seen.shape
    length = int(seen.max(axis=0).sum()) + 1
    # Items of which the same was seen have the same factor, whatever the order in which it was seen.
    distinct, repeated = np.unique(np.sort(seen, axis=0), axis=1, return_counts=True)
    transform = np.ones(length // 2 + 1, np.complex128)
    for start in range(0, distinct.shape[1], _AT_ONCE):
        some = distinct[:, start : start + _AT_ONCE]
        chances = np.zeros((some.shape[1], int(some.max()) + 1))
        np.add.at(chances, (np.arange(some.shape[1])[None, :], some), 1 / draws)
        factors = np.fft.rfft(chances, length, axis=1)
        for factor, power in zip(factors, repeated[start : start + _AT_ONCE].tolist(), strict=True):
            transform *= factor**power
    probability = np.clip(np.fft.irfft(transform, length), 0, 1)
    return Counts(probability / probability.sum())


def right_in_time(counted: FloatArray, batch: int = 1) -> Counts:
    """The distribution of how many right answers in time a pass has.

    Args:
        counted: What each response counted, 0 or 1, float `[passes, samples]`, by sample.
        batch: How many neighbouring samples form a batch, where every pass has the same batches.

    Raises:
        ValueError: A score is not 0 or 1, so that nothing can be counted.
    """
    if not ((counted == 0) | (counted == 1)).all():
        raise ValueError("the independent model counts answers, so every score must be 0 or 1")
    starts = np.arange(0, counted.shape[1], batch)
    return sum_of_independent(np.add.reduceat(counted.astype(np.int64), starts, axis=1))
