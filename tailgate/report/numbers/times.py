"""Histogram of response times in bins of equal width, with the cumulative share: the paper's second figure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tailgate.pass_tail import thresholds_by_density
from tailgate.report.missing import Missing
from tailgate.report.table import Cell, Column, Table, known

FloatArray = npt.NDArray[np.float64]

BINS = 60
DENSITIES = (0.5, 0.1, 0.05, 0.01, 0.001)

COLUMNS = (
    Column("system", "System", "text"),
    Column("from_s", "From", "time"),
    Column("to_s", "To", "time"),
    Column("answers", "Answers", "count"),
    Column("cumulative", "Answered by then", "share"),
)
MARK_COLUMNS = (
    Column("system", "System", "text"),
    Column("density", "Exceeded by", "share"),
    Column("threshold_s", "Threshold", "time"),
)


@dataclass(frozen=True)
class Times:
    """Response times of one system.

    Attributes:
        edges_s: Between bins, seconds, `[bins + 1]`; a bin has its left edge, the last one its right edge too.
        answers: In each bin, int `[bins]`.
        cumulative: Share of all arrivals that were answered by the right edge, `[bins]`.
        unanswered: Arrivals that never were; they are in no bin.
        densities: Shares.
        marks_s: The thresholds that these shares of all arrivals exceed, `[densities]`; infinite where as many never
            were answered.
    """

    edges_s: FloatArray
    answers: npt.NDArray[np.int64]
    cumulative: FloatArray
    unanswered: int
    densities: tuple[float, ...]
    marks_s: FloatArray


def times_of(response_s: FloatArray, bins: int = BINS, densities: tuple[float, ...] = DENSITIES) -> Times | Missing:
    """The histogram.

    Args:
        response_s: Seconds, float `[arrivals]`, at least one; `inf` where no answer came.
        bins: How many.
        densities: Where marks are.
    """
    answered = response_s[np.isfinite(response_s)]
    if not answered.size:
        return Missing("No answer was seen, so there are no times to count.")
    low, high = float(answered.min()), float(answered.max())
    if low == high:
        return Missing("All answers took the same time, to the last digit, so there is nothing to spread over bins.")
    answers, edges = np.histogram(answered, bins=bins, range=(low, high))
    return Times(
        edges_s=edges,
        answers=answers.astype(np.int64),
        cumulative=np.cumsum(answers) / response_s.size,
        unanswered=int(response_s.size - answered.size),
        densities=densities,
        marks_s=thresholds_by_density(response_s, densities),
    )


def table(named: list[tuple[str, Times]]) -> Table:
    """One row for each bin of each system."""
    rows: list[tuple[Cell, ...]] = []
    for name, found in named:
        edges, answers, shares = found.edges_s.tolist(), found.answers.tolist(), found.cumulative.tolist()
        rows += [
            (name, start, end, count, share)
            for start, end, count, share in zip(edges[:-1], edges[1:], answers, shares, strict=True)
        ]
    return Table(COLUMNS, tuple(rows))


def mark_table(named: list[tuple[str, Times]]) -> Table:
    """One row for each mark of each system."""
    return Table(
        MARK_COLUMNS,
        tuple(
            (name, density, known(at))
            for name, found in named
            for density, at in zip(found.densities, found.marks_s.tolist(), strict=True)
        ),
    )
