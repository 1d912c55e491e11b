"""The dependent model: late responses come in stalls, stalls come at random. Distribution, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tailgate.prediction.clusters import Clusters, clusters_of
from tailgate.prediction.compound import Unseen, groups_of, losses
from tailgate.prediction.history import History

FloatArray = npt.NDArray[np.float64]

DRAWS = 400
_SIDE = 0.05  # left out on each side of an interval
_UNSEEN_SHAPE = 0.5
"""A stall that was not seen counts for half a one: Jeffreys' prior of a Poisson rate."""


@dataclass(frozen=True)
class Estimate:
    """A foretold quality, and where it lies with 90 %."""

    value: float
    lower: float
    upper: float

    @property
    def width(self) -> float:
        """Of the interval."""
        return self.upper - self.lower

    def holds(self, quality: float) -> bool:
        """Whether it lies within."""
        return self.lower <= quality <= self.upper


class Dependent:
    """Passes to come, as the stalls of a history foretell them."""

    def __init__(self, history: History, seed: int = 0) -> None:
        """Find the stalls, and the distribution of a pass under what is likely and under what is possible.

        Args:
            history: At least one pass.
            seed: Of the draws of what is possible; the same gives the same intervals.
        """
        self.clusters: Clusters = clusters_of(history)
        self._history = history
        self._generator = np.random.default_rng(seed)
        mean, most = float(history.loss.sum()) / history.passes, history.ceiling * history.samples
        _, counts = groups_of(self.clusters)
        alone = counts[None, :].astype(np.float64)
        self._likely = losses(self.clusters, mean, most, weights=alone, unseen=None)
        weights = self._generator.gamma(np.maximum(counts, 1), size=(DRAWS, len(counts)))
        self._possible = losses(self.clusters, mean, most, weights=weights, unseen=self._unseen())

    def quantile(self, level: float) -> Estimate:
        """The quality that a pass does not exceed with this probability; the interval is of that quality."""
        return self._estimate(self._likely.largest(level), self._possible.largest(level))

    def worst_of(self, passes: int) -> Estimate:
        """The worst of so many passes to come: its median, and an interval that it lies in itself."""
        chance = self._generator.random(DRAWS)
        return self._estimate(
            self._likely.largest(_of_worst(np.array([0.5]), passes)),
            self._possible.largest(_of_worst(chance, passes)),
        )

    def _estimate(self, likely: FloatArray, possible: FloatArray) -> Estimate:
        lower, upper = np.percentile(possible, (100 - 100 * _SIDE, 100 * _SIDE), method="inverted_cdf").tolist()
        value = self._quality(float(likely[0]))
        return Estimate(value, min(self._quality(lower), value), max(self._quality(upper), value))

    def _quality(self, loss: float) -> float:
        return max(self._history.ceiling - loss / self._history.samples, 0.0)

    def _unseen(self) -> Unseen:
        """One stall more, of any length that those seen make likely; where none was, of any length at all."""
        weight = self._generator.gamma(_UNSEEN_SHAPE, size=DRAWS)
        samples, clusters = self._history.samples, self.clusters
        if not len(clusters):
            length = samples ** self._generator.random(DRAWS)
            return Unseen(weight, length, self._history.ceiling)
        excess = np.array([float(part.sum()) for part in clusters.excess])
        density = max(float(excess.sum() / clusters.length.sum()), 0.0)
        # The length of the stall that a late response is in, on average: few long ones are not lost among many short.
        typical = float((clusters.length.astype(np.float64) ** 2).sum() / clusters.length.sum())
        return Unseen(weight, self._generator.exponential(typical, DRAWS), density)


def _of_worst(chance: FloatArray, passes: int) -> FloatArray:
    """The level of a single pass at which the worst of so many has this one."""
    return -np.expm1(np.log1p(-chance) / passes)
