"""A comparison as tables on a terminal."""

from __future__ import annotations

import math

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

from tailgate.comparison.crossovers import Order
from tailgate.comparison.report import Comparison
from tailgate.units import format_duration

UNKNOWN = "–"


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print runs, changes and crossovers."""
    several = len(next(iter(comparison.measured.values()))) > 1
    console.print(Group(_runs(comparison), "", _effects(comparison), ""))
    console.print(
        f"p: paired permutation over samples, {comparison.permutations:,} draws, seed {comparison.seed}; "
        "adjusted for the number of tests (Holm). Shares in percent, changes in points.",
        style="dim",
    )
    if comparison.crossovers:
        console.print(Group("", _crossovers(comparison)))
    else:
        console.print(f"no crossover: no two models change places at {'these thresholds' if several else 'it'}")


def _runs(comparison: Comparison) -> Table:
    table = _table("run", "at", "passes", "mean", "std", "worst", "p5", "p1", "late", "wrong", left=1)
    for run in comparison.runs:
        for place, at in enumerate(comparison.measured[run.name]):
            table.add_row(
                escape(run.name) if not place else "",
                format_duration(at.threshold_s),
                f"{len(run.passes.indexes)}" if not place else "",
                *map(_share, (at.mean, at.std, at.worst, at.p5, at.p1, at.late, at.wrong)),
            )
    return table


def _effects(comparison: Comparison) -> Table:
    table = _table("factor", "from", "to", "at", "mean", "worst", "p5", "p1", "late", "wrong", "p", left=3)
    before = None
    for effect in comparison.effects:
        pair = (effect.factor, effect.before, effect.after)
        table.add_row(
            *((escape(name) for name in pair) if pair != before else ("", "", "")),
            format_duration(effect.threshold_s),
            *map(_change, (effect.mean, effect.worst, effect.p5, effect.p1, effect.late, effect.wrong)),
            UNKNOWN if effect.p_adjusted is None else f"{effect.p_adjusted:.2g}",
        )
        before = pair
    return table


def _crossovers(comparison: Comparison) -> Table:
    table = _table("crossover in", "models", "here", "", "there", "", "sure", left=2)
    for crossover in comparison.crossovers:
        timed = crossover.measure.endswith("latency")
        table.add_row(
            crossover.measure,
            escape(f"{crossover.first} / {crossover.second}"),
            *_order(crossover.here, timed=timed),
            *_order(crossover.there, timed=timed),
            {True: "yes", False: "no", None: UNKNOWN}[crossover.sure],
        )
    return table


def _order(order: Order, *, timed: bool) -> tuple[str, str]:
    place = escape("/".join(filter(None, (order.condition, order.device))))
    return place, " / ".join(_time(value) if timed else _share(value) for value in (order.first, order.second))


def _table(*columns: str, left: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place < left else "right", overflow="fold")
    return table


def _time(seconds: float) -> str:
    return format_duration(seconds) if math.isfinite(seconds) else "no answer"


def _share(share: float | None) -> str:
    return UNKNOWN if share is None else f"{100 * share:.2f}"


def _change(share: float | None) -> str:
    return UNKNOWN if share is None else f"{100 * share:+.2f}"
