"""Mean response time by place in the pass, over passes, with the standard deviation: the paper's first figure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tailgate.report.missing import SINGLE, Missing
from tailgate.report.table import Cell, Column, Table, known

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_POINTS = 100
"""A longer pass has neighbouring places joined, evenly: more points than this, nobody can tell apart in a figure."""

COLUMNS = (
    Column("system", "System", "text"),
    Column("first", "From place", "count"),
    Column("last", "To place", "count"),
    Column("answers", "Answers", "count"),
    Column("mean_s", "Mean", "time"),
    Column("std_s", "Std. deviation", "time"),
)


@dataclass(frozen=True)
class ByBatch:
    """Over all passes, each attribute `[points]`.

    Attributes:
        first: First place in the pass that a point stands for, from 0, int.
        last: The last one.
        answers: Responses with an answer among them.
        mean_s: Of these, seconds; NaN where there is none.
        std_s: The population's standard deviation, likewise.
    """

    first: IntArray
    last: IntArray
    answers: IntArray
    mean_s: FloatArray
    std_s: FloatArray

    @property
    def joined(self) -> int:
        """How many places a point stands for, the last one perhaps for fewer."""
        return int(self.last[0] - self.first[0]) + 1


def by_batch(response_s: FloatArray, most_points: int = MOST_POINTS) -> ByBatch | Missing:
    """Mean and deviation of each place.

    Args:
        response_s: Seconds, float `[passes, places]`, columns in the order of arrival; `inf` where no answer came.
        most_points: How many there may be.
    """
    passes, places = response_s.shape
    if passes < 2:
        return Missing(SINGLE)
    if not np.isfinite(response_s).any():
        return Missing("No answer was seen, so there are no times to show.")
    joined = -(-places // most_points)
    first = np.arange(0, places, joined)
    answered = np.isfinite(response_s)

    def summed(values: npt.NDArray[np.float64]) -> FloatArray:
        return np.asarray(np.add.reduceat(values.sum(axis=0), first), np.float64)

    answers = np.add.reduceat(answered.sum(axis=0), first)
    with np.errstate(invalid="ignore"):
        mean = summed(np.where(answered, response_s, 0.0)) / answers
        of_place = mean[np.arange(places) // joined]
        deviation = np.where(answered, response_s, of_place) - of_place
        std = np.sqrt(summed(np.nan_to_num(deviation) ** 2) / answers)
    return ByBatch(first, np.append(first[1:], places) - 1, answers, mean, std)


def table(named: list[tuple[str, ByBatch]]) -> Table:
    """One row for each point of each system."""
    rows: list[tuple[Cell, ...]] = []
    for name, found in named:
        columns = (found.first, found.last, found.answers, found.mean_s, found.std_s)
        for first, last, answers, mean, std in zip(*(column.tolist() for column in columns), strict=True):
            rows.append((name, first, last, answers, known(mean), known(std)))
    return Table(COLUMNS, tuple(rows))
