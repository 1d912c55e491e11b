"""The report's pictures, one module each: numbers in, a matplotlib figure out; the same bytes each time.

`style` holds what they share; here is which module draws which exhibit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from tailgate.report.exhibits import Exhibit
from tailgate.report.figures import boxes, by_batch, causes, crossing, foretold, passes, quality, stability, times
from tailgate.report.figures.style import WIDE, Layout, png, svg

_DRAWN_BY: dict[str, Callable[[Any, Layout], Figure]] = {
    "passes": passes.draw,
    "time_by_batch": by_batch.draw,
    "times": times.draw,
    "quality_by_threshold": quality.draw,
    "quality_bands": quality.draw_bands,
    "boxes": boxes.draw,
    "stability": stability.draw,
    "foretold": foretold.draw,
    "causes": causes.draw,
    "crossovers": crossing.draw,
}


def as_svg(exhibit: Exhibit, layout: Layout = WIDE) -> str | None:
    """The exhibit's picture; None where it shows nothing."""
    if not exhibit.shown:
        return None
    return svg(lambda: _DRAWN_BY[exhibit.key](exhibit.shown, layout))


def as_png(exhibit: Exhibit) -> bytes | None:
    """The same as pixels."""
    if not exhibit.shown:
        return None
    return png(lambda: _DRAWN_BY[exhibit.key](exhibit.shown, WIDE))
