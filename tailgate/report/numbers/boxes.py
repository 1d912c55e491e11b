"""Box and whiskers of pass quality at thresholds of given densities: the paper's fourth figure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tailgate.pass_tail import thresholds_by_density
from tailgate.quality import pass_quality
from tailgate.report.missing import SINGLE, Missing
from tailgate.report.table import Cell, Column, Table

FloatArray = npt.NDArray[np.float64]

DENSITIES = (0.1, 0.05, 0.01)
REACH = 1.5
"""Whiskers end at the furthest pass within so many times the box's length of it."""

COLUMNS = (
    Column("density", "Exceeded by", "share"),
    Column("system", "System", "text"),
    Column("threshold_s", "Threshold", "time"),
    Column("passes", "Passes", "count"),
    Column("whisker_low", "Lower whisker", "share"),
    Column("q1", "First quartile", "share"),
    Column("median", "Median", "share"),
    Column("mean", "Mean", "share"),
    Column("q3", "Third quartile", "share"),
    Column("whisker_high", "Upper whisker", "share"),
    Column("outliers", "Outliers", "count"),
    Column("worst", "Worst", "share"),
)


@dataclass(frozen=True)
class Box:
    """The passes of one system at one threshold.

    Attributes:
        density: Share of the system's own responses that exceed the threshold.
        threshold_s: Seconds.
        passes: How many.
        q1: First quartile of their quality, interpolated linearly.
        median: The second.
        q3: The third.
        mean: Of all.
        whisker_low: The lowest pass at most `REACH` times ``q3 − q1`` below the box.
        whisker_high: The highest one as far above.
        outliers: Passes beyond, rising.
        worst: The lowest of all.
    """

    density: float
    threshold_s: float
    passes: int
    q1: float
    median: float
    q3: float
    mean: float
    whisker_low: float
    whisker_high: float
    outliers: tuple[float, ...]
    worst: float


def boxes_of(
    response_s: FloatArray, score: FloatArray, densities: tuple[float, ...] = DENSITIES
) -> tuple[Box, ...] | Missing:
    """A box for each density; for those at which the threshold is infinite, because as many never came, there is none.

    Args:
        response_s: Seconds, float `[passes, samples]`; `inf` where no answer came.
        score: 0 to 1, of the same shape.
        densities: Shares.
    """
    if len(response_s) < 2:
        return Missing(SINGLE)
    thresholds = thresholds_by_density(response_s, densities)
    finite = np.isfinite(thresholds)
    if not finite.any():
        return Missing(
            f"More than {max(densities):.0%} of the requests got no answer, so no threshold has such a share."
        )
    quality = pass_quality(response_s, score, thresholds[finite])
    shares = np.array(densities)[finite].tolist()
    return tuple(
        _box(density, threshold_s, row)
        for density, threshold_s, row in zip(shares, thresholds[finite].tolist(), quality, strict=True)
    )


def _box(density: float, threshold_s: float, quality: FloatArray) -> Box:
    q1, median, q3 = np.percentile(quality, (25, 50, 75)).tolist()
    reach = REACH * (q3 - q1)
    within = quality[(quality >= q1 - reach) & (quality <= q3 + reach)]
    beyond = quality[(quality < q1 - reach) | (quality > q3 + reach)]
    return Box(
        density=density,
        threshold_s=threshold_s,
        passes=len(quality),
        q1=q1,
        median=median,
        q3=q3,
        mean=float(quality.mean()),
        # Of few passes a quartile lies between two of them, and none may be left on its other side.
        whisker_low=min(float(within.min()), q1),
        whisker_high=max(float(within.max()), q3),
        outliers=tuple(np.sort(beyond).tolist()),
        worst=float(quality.min()),
    )


def table(named: list[tuple[str, tuple[Box, ...]]]) -> Table:
    """One row for each density and system."""
    rows: list[tuple[Cell, ...]] = []
    for density in sorted({box.density for _, boxes in named for box in boxes}, reverse=True):
        for name, boxes in named:
            rows += [_row(name, box) for box in boxes if box.density == density]
    return Table(COLUMNS, tuple(rows))


def _row(name: str, box: Box) -> tuple[Cell, ...]:
    return (
        *(box.density, name, box.threshold_s, box.passes, box.whisker_low, box.q1, box.median, box.mean, box.q3),
        *(box.whisker_high, len(box.outliers), box.worst),
    )
