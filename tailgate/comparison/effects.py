"""What changes between two runs: quality, its tail, its losses; and whether chance would do as much."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tailgate.comparison.measures import Measured, sample_quality
from tailgate.comparison.permutation import holm, paired_permutation
from tailgate.runs import Run

Factor = Literal["model", "condition", "device", "run"]

_OTHERS: dict[Factor, Callable[[Run], tuple[str, str]]] = {
    "model": lambda run: (run.condition, run.device),
    "condition": lambda run: (run.model, run.device),
    "device": lambda run: (run.model, run.condition),
}


@dataclass(frozen=True)
class Effect:
    """A change from one run to another at one threshold, all shares: the second's minus the first's.

    Attributes:
        factor: In which they differ alone; ``run`` where in several.
        before: Name of the first run.
        after: Name of the second.
        threshold_s: θ.
        mean: Change of the mean Q(θ); minus it is ``late + wrong``.
        worst: Change of the worst pass.
        p5: Change of the 5th percentile of passes; None where either has fewer than 21.
        p1: Change of the 1st; None where either has fewer than 101.
        late: Change of what was lost to lateness.
        wrong: Change of what was lost to the model.
        p_value: Of the change of the mean, by `paired_permutation`; None where the runs were made with other samples.
        p_adjusted: The same for one among all of the comparison (`holm`).
    """

    factor: Factor
    before: str
    after: str
    threshold_s: float
    mean: float
    worst: float
    p5: float | None
    p1: float | None
    late: float
    wrong: float
    p_value: float | None
    p_adjusted: float | None


def pairs_of(runs: Sequence[Run]) -> Iterator[tuple[Factor, Run, Run]]:
    """Which runs are compared: in each factor, with the others the same, the first with all that follow.

    A run that no factor brings together with another is compared with the first of all, as ``run``.
    """
    paired: set[str] = set()
    for factor, others in _OTHERS.items():
        groups: dict[tuple[str, str], list[Run]] = {}
        for run in runs:
            groups.setdefault(others(run), []).append(run)
        for first, *rest in groups.values():
            for run in rest:
                paired |= {first.name, run.name}
                yield factor, first, run
    first, *rest = runs
    for run in rest:
        if run.name not in paired:
            yield "run", first, run


def effects_of(
    runs: Sequence[Run], measured: dict[str, list[Measured]], *, permutations: int, seed: int
) -> list[Effect]:
    """Every pair's changes at every threshold.

    Args:
        runs: At least two, with different names.
        measured: Each run's numbers by its name, at the same thresholds.
        permutations: For `paired_permutation`, likewise `seed`.
        seed: Of the draws of each test.
    """
    found: list[Effect] = []
    for factor, before, after in pairs_of(runs):
        for then, now in zip(measured[before.name], measured[after.name], strict=True):
            found.append(
                Effect(
                    factor=factor,
                    before=before.name,
                    after=after.name,
                    threshold_s=then.threshold_s,
                    mean=now.mean - then.mean,
                    worst=now.worst - then.worst,
                    p5=_change(then.p5, now.p5),
                    p1=_change(then.p1, now.p1),
                    late=now.late - then.late,
                    wrong=now.wrong - then.wrong,
                    p_value=significance(before, after, then.threshold_s, permutations, seed),
                    p_adjusted=None,
                )
            )
    adjusted = iter(holm([effect.p_value for effect in found if effect.p_value is not None]))
    return [replace(e, p_adjusted=next(adjusted)) if e.p_value is not None else e for e in found]


def significance(one: Run, other: Run, threshold_s: float, permutations: int, seed: int) -> float | None:
    """P-value of the difference of two runs' mean Q(θ); None where they were made with other samples."""
    if one.dataset != other.dataset or not np.array_equal(one.passes.samples, other.passes.samples):
        return None
    return paired_permutation(sample_quality(one, threshold_s), sample_quality(other, threshold_s), permutations, seed)


def _change(then: float | None, now: float | None) -> float | None:
    return None if then is None or now is None else now - then
