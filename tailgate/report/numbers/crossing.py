"""Models under several conditions: which of two is better here and worse there. Over all systems of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tailgate.comparison.crossovers import Crossover, Order, crossovers_of
from tailgate.comparison.measures import default_thresholds_s, latency, measure
from tailgate.report.missing import Missing
from tailgate.report.table import Cell, Column, Table, known
from tailgate.runs import Run
from tailgate.units import format_duration

PERMUTATIONS, SEED = 2000, 0
_LATENCIES = (50.0, 99.0)

COLUMNS = (
    Column("measure", "Measure", "text"),
    Column("place", "Condition", "text"),
    Column("model", "Model", "text"),
    Column("unit", "Unit", "text"),
    Column("value", "Value", "either"),
)
FOUND_COLUMNS = (
    Column("measure", "Measure", "text"),
    Column("unit", "Unit", "text"),
    Column("first", "One model", "text"),
    Column("second", "The other", "text"),
    Column("here", "Here", "text"),
    Column("first_here", "One", "either"),
    Column("second_here", "Other", "either"),
    Column("there", "There", "text"),
    Column("first_there", "One", "either"),
    Column("second_there", "Other", "either"),
    Column("sure", "More than chance", "yes"),
)


@dataclass(frozen=True)
class Panel:
    """One measure of every model in every place.

    Attributes:
        measure: As `crossovers` name it.
        timed: Whether values are seconds, of which less is better; else shares.
        values: By model, one for each place of `Crossing.places`; None where it was not run, infinite where the
            answer never came.
    """

    measure: str
    timed: bool
    values: dict[str, tuple[float | None, ...]]


@dataclass(frozen=True)
class Crossing:
    """What the models of a report do under its conditions.

    Attributes:
        places: Conditions, with the device where there is one, in the order of the systems.
        panels: One a measure.
        crossovers: Pairs whose order flips, in these measures.
    """

    places: tuple[str, ...]
    panels: tuple[Panel, ...]
    crossovers: tuple[Crossover, ...]


def crossing_of(runs: Sequence[Run], threshold_s: float | None = None) -> Crossing | Missing:
    """Compare them.

    Args:
        runs: With names of their own, each with a complete pass.
        threshold_s: Where quality is compared; by default at the runs' deadline, where they have one in common.
    """
    by_place: dict[tuple[str, str], dict[str, Run]] = {}
    for run in runs:
        models = by_place.setdefault((run.condition, run.device), {})
        if run.model in models:
            return Missing(
                f"{models[run.model].name} and {run.name} are runs of one model ({run.model}) under one condition, so "
                "it is not clear which of them stands for it."
            )
        models[run.model] = run
    names = list(dict.fromkeys(run.model for run in runs))
    common = [name for name in names if sum(name in models for models in by_place.values()) > 1]
    if len(common) < 2:
        return Missing(
            "A crossover takes two models, each run under the same two conditions (`tailgate load --condition`); "
            "there are not as many here."
        )
    at = _threshold(runs, threshold_s)
    measured = {run.name: measure(run, [at]) for run in runs}
    latencies = {run.name: latency(run) for run in runs}
    places = tuple(by_place)

    def values(of: dict[str, float]) -> dict[str, tuple[float | None, ...]]:
        return {
            model: tuple(of[by_place[place][model].name] if model in by_place[place] else None for place in places)
            for model in common
        }

    panels = [
        Panel(
            f"p{level:g} of latency",
            timed=True,
            values=values({name: found[level] for name, found in latencies.items()}),
        )
        for level in _LATENCIES
    ]
    told = format_duration(at)
    panels.append(
        Panel(f"Q({told})", timed=False, values=values({name: found[0].mean for name, found in measured.items()}))
    )
    panels.append(
        Panel(
            f"worst Q({told})", timed=False, values=values({name: found[0].worst for name, found in measured.items()})
        )
    )
    shown = {panel.measure for panel in panels}
    found = crossovers_of(runs, measured, permutations=PERMUTATIONS, seed=SEED)
    return Crossing(
        places=tuple(_place(condition, device) for condition, device in places),
        panels=tuple(panels),
        crossovers=tuple(crossover for crossover in found if crossover.measure in shown),
    )


def table(found: Crossing) -> Table:
    """One row for each measure, place and model."""
    rows: list[tuple[Cell, ...]] = [
        (panel.measure, place, model, _unit(timed=panel.timed), None if value is None else known(value))
        for panel in found.panels
        for number, place in enumerate(found.places)
        for model, values in panel.values.items()
        for value in [values[number]]
    ]
    return Table(COLUMNS, tuple(rows))


def found_table(found: Crossing) -> Table:
    """One row for each crossover."""
    return Table(FOUND_COLUMNS, tuple(_row(crossover) for crossover in found.crossovers))


def _row(crossover: Crossover) -> tuple[Cell, ...]:
    def ordered(order: Order) -> tuple[Cell, ...]:
        return _place(order.condition, order.device), known(order.first), known(order.second)

    return (
        *(crossover.measure, _unit(timed=crossover.measure.endswith("latency"))),
        *(crossover.first, crossover.second),
        *(*ordered(crossover.here), *ordered(crossover.there), crossover.sure),
    )


def _unit(*, timed: bool) -> str:
    return "s" if timed else "share"


def _place(condition: str, device: str) -> str:
    return "/".join(filter(None, (condition, device))) or "no condition"


def _threshold(runs: Sequence[Run], asked_s: float | None) -> float:
    if asked_s is not None:
        return asked_s
    deadlines = [run.deadline_s for run in runs if run.deadline_s is not None]
    return min(deadlines) if deadlines else default_thresholds_s(runs)[0]
