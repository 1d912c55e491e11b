"""Histogram of response times with the cumulative share and marks at given densities: one panel a system."""

from __future__ import annotations

import math
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

from tailgate.report.figures.style import INK, MUTED, SERIES, SMALL, Layout, Sheet, keys_of, shown_name, time_along
from tailgate.report.numbers.times import Times

_COUNT, _SHARE, _MARK = "answers (logarithmic, left)", "answered by then (right)", "exceeded by so many"


def draw(named: list[tuple[str, Times]], layout: Layout) -> Figure:
    """A panel for each system, each with its own axis of times."""
    sheet = Sheet(layout, len(named), 2.3, labels=(_COUNT, _SHARE, _MARK), titles=True, left_in=0.66)
    rights: list[Axes] = []
    for (name, found), axes, colour in zip(named, sheet.axes, cycle(SERIES), strict=False):
        rights.append(_panel(axes, found, colour))
        axes.set_title(shown_name(name), loc="left", pad=14)
    sheet.legend(keys_of([sheet.axes[0], rights[0]]))
    return sheet.figure


def _panel(axes: Axes, found: Times, colour: str) -> Axes:
    box = axes.get_position()
    axes.set_position((box.x0, box.y0, box.width * 0.93, box.height))  # room for the scale on the right
    axes.stairs(found.answers, found.edges_s, fill=True, color=colour, alpha=0.55, lw=0, baseline=0.5, label=_COUNT)
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    axes.set_ylim(0.5, max(float(found.answers.max()) * 1.6, 2.0))
    right = axes.twinx()
    right.grid(visible=False)
    right.spines["right"].set_visible(False)
    right.step(found.edges_s[1:], found.cumulative, where="post", color=INK, lw=1.5, label=_SHARE)
    right.set_ylim(0, 1.04)
    right.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    span = found.edges_s[-1] - found.edges_s[0]
    label, last = _MARK, -math.inf
    for density, at in zip(found.densities, found.marks_s.tolist(), strict=True):
        if not math.isfinite(at):
            continue
        right.axvline(at, color=MUTED, lw=1, ls=":", label=label)
        label = ""
        if at - last > 0.11 * span:  # else its words would stand on those of the one before
            right.annotate(
                f"{100 * density:g} %",
                (at, 1),
                xycoords=right.get_xaxis_transform(),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=SMALL,
                color=MUTED,
            )
            last = at
    axes.set_xlim(found.edges_s[0] - 0.01 * span, found.edges_s[-1] + 0.01 * span)
    time_along(axes)
    axes.set_xlabel("response time")
    return right
