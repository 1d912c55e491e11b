"""Foretold distribution of pass quality beside the passes that were made: one panel a system."""

from __future__ import annotations

from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from tailgate.report.figures.style import INK, MUTED, SERIES, Layout, Sheet, keys_of, percent_along, shown_name
from tailgate.report.numbers.foretold import Foretold
from tailgate.units import format_duration

_LABELS = ("foretold", "where it lies with 90 %", "if lateness came singly", "passes that were made")


def draw(named: list[tuple[str, Foretold]], layout: Layout) -> Figure:
    """A panel for each system: its quality along, the share of passes at or under it upward, by its logarithm."""
    sheet = Sheet(layout, len(named), 2.3, labels=_LABELS, titles=True)
    for (name, found), axes, colour in zip(named, sheet.axes, cycle(SERIES), strict=False):
        _panel(axes, found, colour)
        axes.set_title(f"{shown_name(name, 32)}, {format_duration(found.threshold_s)}", loc="left", pad=8)
    sheet.legend(keys_of(sheet.axes))
    return sheet.figure


def _panel(axes: Axes, found: Foretold, colour: str) -> None:
    levels = np.array(found.levels)
    lower, value, upper = (
        np.array([getattr(at, which) for at in found.quality]) for which in ("lower", "value", "upper")
    )
    label_line, label_band, label_alone, label_made = _LABELS
    axes.fill_betweenx(levels, lower, upper, color=colour, alpha=0.18, lw=0, label=label_band)
    axes.plot(value, levels, color=colour, lw=2, label=label_line)
    if found.independent is not None:
        axes.plot(found.independent, levels, color=MUTED, lw=1.3, ls=":", label=label_alone)
    made = np.array(found.observed)
    share = np.arange(1, len(made) + 1) / len(made)
    axes.step(made, share, where="post", color=INK, lw=1, label=label_made, marker="o", ms=2.6)
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(levels[0], 1.25)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda level, _: f"1 in {1 / level:g}" if level < 1 else "all"))
    low, high = min(float(lower.min()), float(made[0])), max(float(upper.max()), float(made[-1]))
    room = max(0.03 * (high - low), 0.001)
    axes.set_xlim(low - room, high + room)
    percent_along(axes)
    axes.set_xlabel("quality of a pass, at or under")
