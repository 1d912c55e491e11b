"""The distribution of pass quality as it is foretold, beside the passes that were made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tailgate.prediction.dependent import Dependent, Estimate
from tailgate.prediction.history import history_of
from tailgate.prediction.independent import right_in_time
from tailgate.prediction.predict import Doubt, doubts_of
from tailgate.report.missing import Missing
from tailgate.report.table import Cell, Column, Table

FloatArray = npt.NDArray[np.float64]

RARE = 1000
"""The headline speaks of the pass that comes once in so many."""
FEWEST_PASSES = 5
"""Fewer cannot show whether stalls come evenly over time (`Doubt.FEW_PASSES`), so nothing is foretold from them."""
LEVELS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5),
    *(0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99),
)

COLUMNS = (
    Column("system", "System", "text"),
    Column("level", "Share of passes at or under", "share"),
    Column("foretold", "Foretold", "share"),
    Column("lower", "From (90 %)", "share"),
    Column("upper", "To (90 %)", "share"),
    Column("independent", "If lateness came singly", "share"),
    Column("observed", "Observed", "share"),
)


@dataclass(frozen=True)
class Foretold:
    """One system's passes at one threshold.

    Attributes:
        threshold_s: θ.
        samples: Responses in a pass.
        observed: Quality of each pass that was made, rising, `[passes]`.
        levels: Shares of passes, `LEVELS`.
        quality: What a pass does not exceed with each of them, and where that lies with 90 %.
        independent: The same by the model in which responses are late singly; None where scores are no 0 and 1.
        rare: At one in `RARE`.
        doubts: What limits all this.
    """

    threshold_s: float
    samples: int
    observed: tuple[float, ...]
    levels: tuple[float, ...]
    quality: tuple[Estimate, ...]
    independent: tuple[float, ...] | None
    rare: Estimate
    doubts: tuple[Doubt, ...]

    def observed_at(self, level: float) -> float | None:
        """The smallest quality that at least this share of passes does not exceed; None below one pass in all."""
        if level * len(self.observed) < 1 - 1e-9:
            return None
        return float(np.percentile(self.observed, 100 * level, method="inverted_cdf"))


def foretold_of(
    response_s: FloatArray, score: FloatArray, threshold_s: float, arrival_s: FloatArray | None
) -> Foretold | Missing:
    """Foretell from all passes; arguments as for `tailgate.prediction.history.history_of`."""
    passes = len(response_s)
    if passes < FEWEST_PASSES:
        count = f"{passes} complete {'pass' if passes == 1 else 'passes'}"
        return Missing(f"From {count} no other can be foretold; it takes {FEWEST_PASSES} at least.")
    history = history_of(response_s, score, threshold_s, arrival_s)
    model = Dependent(history)
    independent = None
    if ((history.counted == 0) | (history.counted == 1)).all():
        counts = right_in_time(history.counted)
        independent = tuple(counts.quantile(level) / history.samples for level in LEVELS)
    return Foretold(
        threshold_s=threshold_s,
        samples=history.samples,
        observed=tuple(np.sort(history.quality).tolist()),
        levels=LEVELS,
        quality=tuple(model.quantile(level) for level in LEVELS),
        independent=independent,
        rare=model.quantile(1 / RARE),
        doubts=tuple(doubts_of(history, model)),
    )


def table(named: list[tuple[str, Foretold]]) -> Table:
    """One row for each level of each system."""
    rows: list[tuple[Cell, ...]] = []
    for name, found in named:
        for place, (level, at) in enumerate(zip(found.levels, found.quality, strict=True)):
            alone = None if found.independent is None else found.independent[place]
            rows.append((name, level, at.value, at.lower, at.upper, alone, found.observed_at(level)))
    return Table(COLUMNS, tuple(rows))
