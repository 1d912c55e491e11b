"""Crossovers: two models of which one is better here and the other there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from tailgate.comparison.effects import significance
from tailgate.comparison.measures import Measured, latency
from tailgate.runs import Run
from tailgate.units import format_duration

SURE = 0.05
"""P-value up to which an order of two models is taken for more than chance."""


@dataclass(frozen=True)
class Order:
    """Two models in one place: the condition and the device, and each one's value."""

    condition: str
    device: str
    first: float
    second: float


@dataclass(frozen=True)
class Crossover:
    """A pair of models whose order flips between two places.

    Attributes:
        measure: By what: a percentile of latency (seconds, less is better), Q(θ) or its worst pass (more is better).
        first: One model.
        second: The other.
        here: Where one of them is better.
        there: Where the other is.
        sure: Whether both orders are more than chance at `SURE`, each by itself; known of Q(θ) over the same samples
            only.
    """

    measure: str
    first: str
    second: str
    here: Order
    there: Order
    sure: bool | None


def crossovers_of(
    runs: Sequence[Run], measured: dict[str, list[Measured]], *, permutations: int, seed: int
) -> list[Crossover]:
    """Every crossover between any two models and any two places in which both were run; arguments as for `effects`."""
    places: dict[tuple[str, str], dict[str, Run]] = {}
    for run in runs:
        places.setdefault((run.condition, run.device), {})[run.model] = run
    values = {run.name: _values(run, measured[run.name]) for run in runs}
    found: list[Crossover] = []
    for here, there in combinations(places, 2):
        common = [model for model in places[here] if model in places[there]]
        for first, second in combinations(common, 2):
            for name, (_, less_is_better, threshold_s) in values[places[here][first].name].items():
                one, two = (
                    Order(*place, *(values[places[place][model].name][name][0] for model in (first, second)))
                    for place in (here, there)
                )
                if not _flips(one, two):
                    continue
                sure: bool | None = None
                if threshold_s is not None and not less_is_better:
                    tests = [
                        significance(places[place][first], places[place][second], threshold_s, permutations, seed)
                        for place in (here, there)
                    ]
                    sure = None if None in tests else all(p is not None and p <= SURE for p in tests)
                found.append(Crossover(name, first, second, one, two, sure))
    return found


def _flips(one: Order, two: Order) -> bool:
    return (one.first < one.second and two.first > two.second) or (one.first > one.second and two.first < two.second)


def _values(run: Run, measured: Sequence[Measured]) -> dict[str, tuple[float, bool, float | None]]:
    """What models are ordered by: value, whether less is better, and the threshold of a Q(θ) that can be tested."""
    found: dict[str, tuple[float, bool, float | None]] = {
        f"p{percentile:g} of latency": (value, True, None) for percentile, value in latency(run).items()
    }
    for at in measured:
        found[f"Q({format_duration(at.threshold_s)})"] = (at.mean, False, at.threshold_s)
        found[f"worst Q({format_duration(at.threshold_s)})"] = (at.worst, False, None)
    return found
