"""Every figure of a report, in the order of the page: what it says, its numbers, and why a system is not in it.

Nothing is drawn here, so that numbers can be had without matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tailgate.report.labelled import Quality
from tailgate.report.missing import NOT_COMPLETE, OF_A_PROXY, UNLABELLED, Missing
from tailgate.report.numbers import boxes, by_batch, causes, crossing, curves, foretold, stability, times
from tailgate.report.system import System
from tailgate.report.table import Table
from tailgate.report.words import CAPTIONS


@dataclass(frozen=True)
class Exhibit:
    """One figure.

    Attributes:
        key: Its name in files and anchors; figures of one number with several pictures have several exhibits.
        title: What it shows.
        caption: How to read it.
        shown: What is drawn: a list of names and numbers, one a system, or what is about all of them; empty where
            nothing can be.
        tables: The numbers under it, by the name of their file.
        missing: Systems that are not in it, by name, and why; the name is empty for a reason about all of them.
    """

    key: str
    title: str
    caption: str
    shown: Any
    tables: dict[str, Table]
    missing: tuple[tuple[str, str], ...]


KEYS = (
    *("passes", "time_by_batch", "times", "quality_by_threshold", "quality_bands", "boxes", "stability", "foretold"),
    *("causes", "crossovers"),
)
"""All that there can be."""
TABLES = (
    *("passes", "time_by_batch", "times", "times_marks", "quality_by_threshold", "boxes", "stability", "foretold"),
    *("causes", "orders", "crossovers"),
)


def exhibits_of(systems: Sequence[System], threshold_s: float | None = None) -> list[Exhibit]:
    """What the report of these systems shows.

    Args:
        systems: With different names.
        threshold_s: Where models are compared, if one was asked for.
    """
    found = [
        _passes(systems),
        _of_each("time_by_batch", systems, "by_batch", {"time_by_batch": by_batch.table}),
        _of_each("times", systems, "times", {"times": times.table, "times_marks": times.mark_table}),
        _quality(systems),
    ]
    if len(found[-1].shown) > 1:
        found.append(_exhibit("quality_bands", found[-1].shown, {}, ()))
    found += [
        _of_each("boxes", systems, "boxes", {"boxes": boxes.table}),
        _of_each("stability", systems, "settling", {"stability": stability.table}),
        _of_each("foretold", systems, "foretold", {"foretold": foretold.table}),
        _of_each("causes", systems, "causes", {"causes": causes.table}),
        _crossovers(systems, threshold_s),
    ]
    return found


def _exhibit(key: str, shown: Any, tables: dict[str, Table], missing: Sequence[tuple[str, str]]) -> Exhibit:
    title, caption = CAPTIONS[key]
    return Exhibit(key, title, caption, shown, tables, tuple(missing))


def _of_each(key: str, systems: Sequence[System], field: str, tables: dict[str, Callable[..., Table]]) -> Exhibit:
    shown, missing = list[tuple[str, Any]](), list[tuple[str, str]]()
    for system in systems:
        match getattr(system, field):
            case Missing(why):
                missing.append((system.name, why))
            case numbers:
                shown.append((system.name, numbers))
    return _exhibit(key, shown, {name: table(shown) for name, table in tables.items()} if shown else {}, missing)


def _passes(systems: Sequence[System]) -> Exhibit:
    shown, missing = list[tuple[Any, Quality]](), list[tuple[str, str]]()
    for system in systems:
        quality = system.analysis.quality
        if quality is not None and quality.passes:
            shown.append((system.analysis, quality))
        elif quality is None:
            missing.append((system.name, UNLABELLED))
        else:
            missing.append((system.name, OF_A_PROXY if system.analysis.source.vantage == "proxy" else NOT_COMPLETE))
    named = [(analysis.source.name, quality) for analysis, quality in shown]
    return _exhibit("passes", shown, {"passes": curves.pass_table(named)} if shown else {}, missing)


def _quality(systems: Sequence[System]) -> Exhibit:
    shown, missing = list[tuple[Any, Quality]](), list[tuple[str, str]]()
    for system in systems:
        quality = system.analysis.quality
        if quality is None:
            missing.append((system.name, UNLABELLED))
        elif not len(quality.curve.thresholds_s):
            missing.append((system.name, "No answer to a labelled request was seen, so it is 0 at every threshold."))
        else:
            shown.append((system.analysis, quality))
            if len(quality.passes) == 1:
                why = "There is one complete pass only, so best, worst and mean are the same line, without a band."
                missing.append((system.name, why))
            elif not quality.passes:
                why = "There is no complete pass, so the line is of all labelled arrivals together, without a band."
                missing.append((system.name, why))
    named = [(analysis.source.name, quality) for analysis, quality in shown]
    tables = {"quality_by_threshold": curves.threshold_table(named)} if shown else {}
    return _exhibit("quality_by_threshold", shown, tables, missing)


def _crossovers(systems: Sequence[System], threshold_s: float | None) -> Exhibit:
    found = crossing.crossing_of([system.run for system in systems if system.run is not None], threshold_s)
    if isinstance(found, Missing):
        return _exhibit("crossovers", None, {}, [("", found.why)])
    tables = {"orders": crossing.table(found), "crossovers": crossing.found_table(found)}
    return _exhibit("crossovers", found, tables, [])
