"""The relative Jensen–Shannon distance against the number of passes: whether there are enough (the paper's v3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tailgate.report.missing import Missing
from tailgate.report.table import Cell, Column, Table
from tailgate.stopping import STABLE, Stability

FloatArray = npt.NDArray[np.float64]

FEWEST_PASSES = 12
"""A fit after every second pass, and five earlier ones to compare with."""
MOST_TIMES = 200_000
"""Beyond so many, every k-th response is taken: the densities of a hundred thousand times hardly differ from those of
millions, and a fit of fewer is the more careful, because it moves more."""

COLUMNS = (
    Column("system", "System", "text"),
    Column("passes", "Passes", "count"),
    Column("rjsd", "rJSD", "number"),
    Column("stable", f"At most {STABLE:g}", "yes"),
)


@dataclass(frozen=True)
class Settling:
    """How the distribution of times settles.

    Attributes:
        passes: After how many passes, int `[fits]`.
        rjsd: Then, float `[fits]`.
        every: Every how many-th response was taken; 1 where all were.
    """

    passes: tuple[int, ...]
    rjsd: tuple[float, ...]
    every: int

    @property
    def enough(self) -> int | None:
        """The first number of passes at which the rule says stop; None where it never did."""
        return next((at for at, value in zip(self.passes, self.rjsd, strict=True) if value <= STABLE), None)


def settling_of(response_s: FloatArray, most_times: int = MOST_TIMES) -> Settling | Missing:
    """The distance after each fit.

    Args:
        response_s: Seconds, float `[passes, places]`, passes in time order, columns in the order of arrival.
        most_times: How many times to fit at most.
    """
    passes, places = response_s.shape
    if passes < FEWEST_PASSES:
        return Missing(
            f"rJSD compares a fit after every second pass with the five fits before it, which takes {FEWEST_PASSES} "
            f"complete passes; there {'is 1' if passes == 1 else f'are {passes}'}."
        )
    every = max(-(-response_s.size // most_times), 1)
    every = min(every, places)
    rule, found = Stability(), list[tuple[int, float]]()
    for number, row in enumerate(response_s[:, ::every], 1):
        distance = rule.feed(row)
        if distance is not None:
            found.append((number, distance))
    if not found:
        return Missing("There are too few different times for a density to be fitted to them.")
    return Settling(tuple(number for number, _ in found), tuple(distance for _, distance in found), every)


def table(named: list[tuple[str, Settling]]) -> Table:
    """One row for each fit of each system."""
    rows: list[tuple[Cell, ...]] = [
        (name, at, value, value <= STABLE)
        for name, found in named
        for at, value in zip(found.passes, found.rjsd, strict=True)
    ]
    return Table(COLUMNS, tuple(rows))
