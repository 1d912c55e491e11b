"""All that a comparison says, gathered; and as JSON. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tailgate.comparison.crossovers import Crossover, crossovers_of
from tailgate.comparison.effects import Effect, effects_of
from tailgate.comparison.measures import Measured, default_thresholds_s, latency, measure
from tailgate.errors import UsageError
from tailgate.runs import Run
from tailgate.units import format_duration

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Comparison:
    """Several runs beside one another; attributes in the order of the runs, pairs and thresholds.

    Attributes:
        runs: Those compared.
        measured: Each run's numbers by its name.
        latency_s: Each run's latency by its name and percentile.
        effects: What changes between two.
        crossovers: Models whose order flips.
        permutations: That each p-value rests on.
        seed: Of their draws.
    """

    runs: tuple[Run, ...]
    measured: Mapping[str, list[Measured]]
    latency_s: Mapping[str, Mapping[float, float]]
    effects: tuple[Effect, ...]
    crossovers: tuple[Crossover, ...]
    permutations: int
    seed: int

    @property
    def warnings(self) -> list[str]:
        """Why figures of these runs are not to be relied on."""
        return [f"{run.name}: {doubt}" for run in self.runs for doubt in run.doubts]


def compare(runs: Sequence[Run], thresholds_s: Sequence[float], *, permutations: int, seed: int) -> Comparison:
    """Compare runs.

    Args:
        runs: At least two, with different names, each with a finished pass.
        thresholds_s: Where their quality is compared; none for `default_thresholds_s`.
        permutations: For each p-value.
        seed: Of their draws.

    Raises:
        UsageError: A run did not observe answers as late as a threshold, or no threshold is left.
    """
    for run in runs:
        for threshold_s in thresholds_s:
            if run.cut_at_s is not None and threshold_s > run.cut_at_s:
                raise UsageError(
                    f"--threshold is {format_duration(threshold_s)}, but {run.name} cut its answers at "
                    f"{format_duration(run.cut_at_s)}, so none later was observed; ask for that or less"
                )
    at = sorted(set(thresholds_s)) or default_thresholds_s(runs)
    if not at:
        raise UsageError("no threshold was observed by all runs; name one with --threshold")
    measured = {run.name: measure(run, at) for run in runs}
    return Comparison(
        runs=tuple(runs),
        measured=measured,
        latency_s={run.name: latency(run) for run in runs},
        effects=tuple(effects_of(runs, measured, permutations=permutations, seed=seed)),
        crossovers=tuple(crossovers_of(runs, measured, permutations=permutations, seed=seed)),
        permutations=permutations,
        seed=seed,
    )


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The same for programs, ready for `json.dumps(allow_nan=False)`; null for what is unknown, or never came."""
    return {
        "schema_version": SCHEMA_VERSION,
        "runs": [
            {
                "name": run.name,
                "model": run.model,
                "condition": run.condition,
                "device": run.device,
                "deadline_s": run.deadline_s,
                "passes": len(run.passes.indexes),
                "samples": len(run.passes.samples),
                "latency_s": {f"p{at:g}": _finite(value) for at, value in comparison.latency_s[run.name].items()},
                "at": [asdict(measured) for measured in comparison.measured[run.name]],
            }
            for run in comparison.runs
        ],
        "effects": [asdict(effect) for effect in comparison.effects],
        "crossovers": [_crossover(crossover) for crossover in comparison.crossovers],
        "permutations": comparison.permutations,
        "seed": comparison.seed,
        "warnings": comparison.warnings,
    }


def _crossover(crossover: Crossover) -> dict[str, Any]:
    told = asdict(crossover)
    for place in ("here", "there"):
        told[place] |= {which: _finite(told[place][which]) for which in ("first", "second")}
    return told


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
