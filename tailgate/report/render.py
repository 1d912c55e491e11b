"""`report.html`: one page without scripts, outside requests or other files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from tailgate import __version__
from tailgate.report.analysis import Analysis, Quality
from tailgate.report.summary import parameters
from tailgate.report.warnings import warnings_of
from tailgate.report.words import DEFINITIONS, OUTCOME_MEANING
from tailgate.units import format_duration

UNKNOWN = "–"


@dataclass(frozen=True)
class Share:
    """One part of the decomposition bar; `kind` names its colour."""

    kind: str
    name: str
    share: float
    meaning: str


def page(analyses: Sequence[Analysis], quality_svg: str | None, passes_svg: str | None) -> str:
    """The page.

    Args:
        analyses: The systems, in the order in which they are shown.
        quality_svg: From `figures.quality_by_threshold`.
        passes_svg: From `figures.passes`.
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
    return environment.get_template("report.html.j2").render(
        analyses=analyses,
        quality_svg=_inlined(quality_svg, "figure-quality", "Accuracy against threshold"),
        passes_svg=_inlined(passes_svg, "figure-passes", "Accuracy of each pass"),
        shares={analysis.source.name: shares_of(analysis) for analysis in analyses},
        parameters={analysis.source.name: parameters(analysis) for analysis in analyses},
        warnings={analysis.source.name: warnings_of(analysis) for analysis in analyses},
        outcome_meaning=OUTCOME_MEANING,
        definitions=DEFINITIONS,
        version=__version__,
        gap=gap,
    )


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


def _utc(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _inlined(svg: str | None, name: str, label: str) -> str | None:
    """An SVG fit to stand in a page beside another: ids of its own, and a name for those who cannot see it."""
    if svg is None:
        return None
    for reference in ('id="', 'href="#', "url(#"):
        svg = svg.replace(reference, f"{reference}{name}-")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
