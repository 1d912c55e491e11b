"""The dependent model: late responses come in stalls, stalls come at random. Distribution, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tailgate.prediction.between import changes_of_rate
from tailgate.prediction.clusters import Clusters, clusters_of, cumulant
from tailgate.prediction.compound import groups_of, losses
from tailgate.prediction.history import History
from tailgate.prediction.sizes import largest_kind
from tailgate.prediction.unseen import shapes_of, unseen

FloatArray = npt.NDArray[np.float64]

DRAWS = 256
_SIDE = 0.05  # left out on each side of an interval
_CERTAIN = 1e-9


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
        self.kind: FloatArray = largest_kind(self.clusters.sizes)
        self._history = history
        self._generator = np.random.default_rng(seed)
        clusters, lost = self.clusters, history.loss.sum(axis=1)
        mean, most = float(lost.mean()), history.ceiling * history.samples
        group, counts = groups_of(clusters)
        alone = counts[None, :].astype(np.float64)
        self._likely = losses(clusters, mean, most, weights=alone)
        self.changing: FloatArray = changes_of_rate(
            lost, cumulant(clusters, 2), cumulant(clusters, 4), DRAWS, self._generator
        )
        shapes = shapes_of(clusters.sizes, self.kind, group)
        weights = self._generator.gamma(shapes, size=(DRAWS, len(counts)))
        more = unseen(clusters, self.kind, history.ceiling, DRAWS, self._generator)
        # If the rate changes from pass to pass, so few passes do not show its mean either.
        unsure = np.maximum(self.changing / history.passes, _CERTAIN)
        factor = self._generator.gamma(1 / unsure) * unsure
        self._worse, self._better = (
            losses(clusters, mean, most, weights=weights * factor[:, None], unseen=some, changing=self.changing)
            for some in (more, more.no_worse())
        )

    @property
    def passes_differ(self) -> float:
        """How likely it is that the rate of stalls changes from pass to pass."""
        return float((self.changing > 0).mean())

    def quantile(self, level: float) -> Estimate:
        """The quality that a pass does not exceed with this probability; the interval is of that quality."""
        return self._estimate(self._likely.largest(level), self._worse.largest(level), self._better.largest(level))

    def worst_of(self, passes: int) -> Estimate:
        """The worst of so many passes to come: its median, and an interval that it lies in itself."""
        chance = self._generator.random(DRAWS)
        level = _of_worst(chance, passes)
        likely = self._likely.largest(_of_worst(np.array([0.5]), passes))
        return self._estimate(likely, self._worse.largest(level), self._better.largest(level))

    def _estimate(self, likely: FloatArray, worse: FloatArray, better: FloatArray) -> Estimate:
        value = self._quality(float(likely[0]))
        lower = self._quality(float(np.percentile(worse, 100 - 100 * _SIDE, method="inverted_cdf")))
        upper = self._quality(float(np.percentile(better, 100 * _SIDE, method="inverted_cdf")))
        return Estimate(value, min(lower, value), max(upper, value))

    def _quality(self, loss: float) -> float:
        return max(self._history.ceiling - loss / self._history.samples, 0.0)


def _of_worst(chance: FloatArray, passes: int) -> FloatArray:
    """The level of a single pass at which the worst of so many has this one."""
    return -np.expm1(np.log1p(-chance) / passes)
