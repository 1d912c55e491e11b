"""When are there enough passes? The paper's rule, and ours.

The paper's (arXiv 2212.13925 v3) asks whether the times still change their distribution: after each second pass a
kernel density is fitted to all times so far (Gaussian kernel, Improved Sheather–Jones bandwidth) and compared with the
last five fits; rJSD is the square root of the mean Jensen–Shannon distance, and at 0.05 or less there are enough. Ours
asks whether what is wanted is known: the foretold p1, to within a tolerance. Lives here: both rules. Must not live
here: making passes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tailgate.kernel_density import density_on_grid, improved_sheather_jones
from tailgate.prediction.dependent import Estimate

FloatArray = npt.NDArray[np.float64]

STABLE = 0.05
"""The paper's bound on rJSD."""
_EVERY, _FITS, _GRID = 2, 5, 1000


class Stability:
    """The paper's rule, fed pass by pass with one kind of time (it asks for the inference's and the total one)."""

    def __init__(self) -> None:
        """Nothing has been seen."""
        self._times: list[FloatArray] = []
        self._earlier: deque[_Fit] = deque(maxlen=_FITS)
        self.rjsd: float | None = None
        """Of the last fit that could be compared; None as long as there was none."""

    def feed(self, times_s: npt.ArrayLike) -> float | None:
        """Take the times of one more pass.

        Args:
            times_s: Seconds, of any shape; infinite ones, of responses that never came, are left out.

        Returns:
            rJSD, if this pass was followed by a fit, and five earlier ones were there to compare with.

        Raises:
            ValueError: A time is NaN.
        """
        times = np.asarray(times_s, np.float64).ravel()
        if np.isnan(times).any():
            raise ValueError("times_s holds a NaN; write inf where no answer came")
        self._times.append(times[np.isfinite(times)])
        if len(self._times) % _EVERY:
            return None
        so_far = np.concatenate(self._times)
        bandwidth = improved_sheather_jones(so_far)
        if bandwidth is None:
            return None  # of too few times, or of equal ones, there is no density
        fit = _Fit(len(so_far), bandwidth)
        if len(self._earlier) == _FITS:
            self.rjsd = _relative_distance(so_far, fit, self._earlier)
        self._earlier.append(fit)
        return self.rjsd

    @property
    def stable(self) -> bool:
        """Whether there are enough passes."""
        return self.rjsd is not None and self.rjsd <= STABLE


@dataclass(frozen=True)
class _Fit:
    """A kernel density: of the first so many times, with this bandwidth."""

    count: int
    bandwidth: float


def _relative_distance(times: FloatArray, fit: _Fit, earlier: Iterable[_Fit]) -> float:
    low, high = float(times.min()), float(times.max())

    def density(of: _Fit) -> FloatArray:
        return density_on_grid(times[: of.count], of.bandwidth, low, high, _GRID)

    now = density(fit)
    return math.sqrt(float(np.mean([_jensen_shannon_distance(density(before), now) for before in earlier])))


def _jensen_shannon_distance(one: FloatArray, other: FloatArray) -> float:
    """Square root of the Jensen–Shannon divergence, with natural logarithms."""
    middle = (one + other) / 2
    divergence = 0.0
    for density in (one, other):
        there = density > 0
        divergence += float((density[there] * np.log(density[there] / middle[there])).sum()) / 2
    return math.sqrt(max(divergence, 0.0))


def known_within(p1: Estimate, tolerance: float) -> bool:
    """Whether the foretold p1 lies within an interval narrower than this.

    Args:
        p1: As `tailgate.prediction.predict` foretells it.
        tolerance: In shares: 0.01 is one percentage point.
    """
    return p1.width < tolerance
