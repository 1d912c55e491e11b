"""`report.html`: one page without scripts, outside requests or other files."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from jinja2 import Environment, PackageLoader, StrictUndefined

from tailgate import __version__
from tailgate.report.analysis import Analysis
from tailgate.report.exhibits import Exhibit
from tailgate.report.figures.style import NAMES
from tailgate.report.headline import headline
from tailgate.report.labelled import Quality
from tailgate.report.summary import parameters
from tailgate.report.system import System
from tailgate.report.table import Cell, Kind, Table, spread
from tailgate.report.warnings import warnings_of
from tailgate.report.words import DEFINITIONS, OUTCOME_MEANING
from tailgate.units import format_duration

UNKNOWN = "–"
MOST_ROWS = 25
"""Of a system, in a table on the page; all rows are in `summary.json`."""

_TAG, _STYLE = re.compile(r"<[^>]*>"), re.compile(r' style="([^"]*)"')
_COLOUR = re.compile(r"((?:fill|stroke): ?|(?:fill|stroke)=\")(" + "|".join(NAMES) + r")")


@dataclass(frozen=True)
class Share:
    """One part of the decomposition bar; `kind` names its colour."""

    kind: str
    name: str
    share: float
    meaning: str


def page(systems: Sequence[System], exhibits: Sequence[Exhibit], pictures: Mapping[str, Mapping[str, str]]) -> str:
    """The page.

    Args:
        systems: In the order in which they are shown.
        exhibits: Of these systems.
        pictures: By the exhibit's key and the layout's name, from `figures.as_svg`; those that show nothing have none.
    """
    environment = Environment(
        loader=PackageLoader("tailgate.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "points": points,
        "duration": duration,
        "count": lambda number: f"{number:,}",
        "utc": _utc,
    }
    analyses = [system.analysis for system in systems]
    styles: dict[str, str] = {}
    return environment.get_template("report.html.j2").render(
        analyses=analyses,
        exhibits=exhibits,
        pictures={
            exhibit.key: {
                layout: _inlined(svg, f"{exhibit.key}-{layout}", exhibit.title, styles)
                for layout, svg in pictures.get(exhibit.key, {}).items()
            }
            for exhibit in exhibits
        },
        notes={exhibit.key: note_on(exhibit) for exhibit in exhibits},
        headlines={system.name: headline(system) for system in systems},
        shares={analysis.source.name: shares_of(analysis) for analysis in analyses},
        parameters={analysis.source.name: parameters(analysis) for analysis in analyses},
        warnings={analysis.source.name: warnings_of(analysis) for analysis in analyses},
        outcome_meaning=OUTCOME_MEANING,
        definitions=DEFINITIONS,
        version=__version__,
        gap=gap,
        styles=styles,
        picked=picked,
        cell=cell,
    )


def note_on(exhibit: Exhibit) -> str:
    """What was left out of a figure, or put into it, in this report; empty, or begins with a space."""
    match exhibit.key:
        case "time_by_batch" if any(found.joined > 1 for _, found in exhibit.shown):
            most = max(found.joined for _, found in exhibit.shown)
            return f" Up to {most:,} neighbouring places are joined in a point."
        case "stability" if any(found.every > 1 for _, found in exhibit.shown):
            most = max(found.every for _, found in exhibit.shown)
            return f" Of the longer runs only a part of the times was fitted, down to one in {most:,}."
        case "passes" if any(analysis.source.events for analysis, _ in exhibit.shown):
            return " Shaded: what was going on meanwhile."
        case _:
            return ""


def picked(table: Table) -> list[tuple[Cell, ...]]:
    """The rows of a table that a page can hold: of each system, or of all where none is named, evenly picked ones."""
    names = [column.name for column in table.columns]
    if "system" not in names:
        return spread(table.rows, MOST_ROWS)
    place = names.index("system")
    of_system: dict[Cell, list[tuple[Cell, ...]]] = {}
    for row in table.rows:
        of_system.setdefault(row[place], []).append(row)
    if names[0] != "system":  # ordered by something else, and short
        return list(table.rows)
    return [row for rows in of_system.values() for row in spread(rows, MOST_ROWS)]


def cell(table: Table, row: tuple[Cell, ...], number: int) -> str:
    """One cell as people read it."""
    value, kind = row[number], table.columns[number].kind
    if kind == "either":
        units = [unit for unit, column in zip(row, table.columns, strict=True) if column.name == "unit"]
        kind = "time" if units == ["s"] else "share"
    match value:
        case None:
            return UNKNOWN
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case _:
            return _FORMS[kind](value)


def gap(quality: Quality) -> float:
    """Accuracy of answers minus time-critical accuracy; NaN where there was no answer."""
    return quality.decomposition.accuracy - quality.decomposition.on_time_right


def shares_of(analysis: Analysis) -> tuple[Share, ...]:
    """Parts of the decomposition that are known; where late answers were cut, all that was late is one part."""
    if analysis.quality is None:
        return ()
    d = analysis.quality.decomposition
    on_time = (
        Share("right", "right and on time", d.on_time_right, "time-critical accuracy"),
        Share("wrong", "wrong, on time", d.on_time_wrong, "lost to the model"),
    )
    if analysis.cut_at_s is not None:
        missed = d.late_right + d.late_wrong + d.unanswered
        return (
            *on_time,
            Share(
                "late", "late or never answered", missed, "lost; answers were cut, so how many were right is unknown"
            ),
        )
    return (
        *on_time,
        Share("late", "right, but late", d.late_right, "lost to lateness"),
        Share("late-wrong", "wrong and late", d.late_wrong, "lost to both"),
        Share("none", "never answered", d.unanswered, "lost to refusals and failures; rightness unknown"),
    )


def percent(share: float | None) -> str:
    """A share with two decimals, as people read it."""
    return UNKNOWN if share is None or math.isnan(share) else f"{100 * share:.2f} %"


def points(share: float | None) -> str:
    """A difference of two shares in percentage points."""
    return UNKNOWN if share is None or math.isnan(share) else f"{100 * share:.2f}"


def duration(seconds: float) -> str:
    """A time, or that no answer came."""
    return format_duration(seconds) if math.isfinite(seconds) else "no answer"


_FORMS: Mapping[Kind, Callable[[float], str]] = {
    "share": percent,
    "points": points,
    "time": duration,
    "count": lambda value: f"{value:,}" if isinstance(value, int) else f"{value:,.2f}",
    "number": lambda value: f"{value:.4g}",
}


def _utc(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _inlined(svg: str, name: str, title: str, styles: dict[str, str]) -> str:
    """An SVG fit to stand in a page beside others: ids of its own, the page's colours, and a name for those who cannot
    see it.

    Args:
        svg: The figure.
        name: What its ids begin with.
        title: What it is called.
        styles: Classes by what they stand for, which all figures of a page share; new ones are added.
    """

    def of_tag(tag: re.Match[str]) -> str:
        text = tag[0]
        for reference in ('id="', 'href="#', "url(#"):
            text = text.replace(reference, f"{reference}{name}-")
        text = _COLOUR.sub(lambda match: f"{match[1]}var(--figure-{NAMES[match[2]]})", text)
        return _STYLE.sub(lambda match: f' class="{styles.setdefault(match[1], f"f{len(styles)}")}"', text)

    start, _, rest = _TAG.sub(of_tag, svg).partition(">")
    told = escape(title)
    start = start.replace("<svg ", f'<svg role="img" aria-label="{told}" ', 1)
    return f"{start}><title>{told}</title>{rest}"
