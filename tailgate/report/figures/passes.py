"""Every pass's accuracy of answers and its time-critical accuracy: one panel a system."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tailgate.report.analysis import Analysis
from tailgate.report.figures.style import (
    EVENT,
    EVENT_INK,
    LOSS,
    MUTED,
    SERIES,
    SMALL,
    Layout,
    Sheet,
    keys_of,
    percent_axis,
    shown_name,
)
from tailgate.report.labelled import PassRow, Quality

_MANY_PASSES = 60
_LABELS = ("the gap", "accuracy of answers", "time-critical accuracy")


def draw(shown: Sequence[tuple[Analysis, Quality]], layout: Layout) -> Figure:
    """A panel for each system; each has complete passes."""
    alone = len(shown) == 1
    sheet = Sheet(layout, len(shown), 2.9 if alone else 1.9, labels=_LABELS, titles=not alone)
    for axes, (analysis, quality), colour in zip(sheet.axes, shown, cycle(SERIES), strict=False):
        _draw_passes(axes, analysis, quality, colour)
        axes.set_xlabel("pass")
        if not alone:
            axes.set_title(shown_name(analysis.source.name), loc="left", pad=8)
    sheet.legend(keys_of(sheet.axes))
    return sheet.figure


def _draw_passes(axes: Axes, analysis: Analysis, quality: Quality, colour: str) -> None:
    rows = quality.passes
    x = [row.index for row in rows]
    accuracy = [float("nan") if row.accuracy is None else row.accuracy for row in rows]
    critical = [row.quality for row in rows]
    marker = "o" if len(rows) <= _MANY_PASSES else ""
    _shade_events(axes, analysis, rows)
    if len(rows) > 1:
        axes.fill_between(x, critical, accuracy, color=LOSS, alpha=0.10, lw=0, label="the gap")
    axes.plot(x, accuracy, color=MUTED, lw=1.6, marker=marker, ms=3.5, label="accuracy of answers")
    axes.plot(x, critical, color=colour, lw=2.2, marker=marker, ms=5, label="time-critical accuracy")
    worst = quality.worst_pass
    if worst is not None and len(rows) > 1:
        axes.plot([worst.index], [worst.quality], "o", ms=12, mfc="none", mec=LOSS, mew=1.8)
        # Beside the point where the curve dips far, under it where it hardly does: never over the curve.
        left, dips = worst.index > (x[0] + x[-1]) / 2, worst.quality < 0.5
        axes.annotate(
            f"worst: pass {worst.index}, {worst.quality:.1%}",
            (worst.index, worst.quality),
            xytext=((-11 if left else 11) if dips else 0, -2 if dips else -12),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center" if dips else "top",
            color=LOSS,
            fontweight="bold",
        )
    axes.set_xlim(x[0] - 0.6, x[-1] + 0.6)
    percent_axis(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _shade_events(axes: Axes, analysis: Analysis, rows: Sequence[PassRow]) -> None:
    """Shade the part of each pass that an event covers: a pass is one wide, from its first arrival to the next's."""
    order = sorted(rows, key=lambda row: row.start_unix_s)
    instants = [row.start_unix_s for row in order] + [order[-1].end_unix_s]
    places = [row.index - 0.5 for row in order] + [order[-1].index + 0.5]
    for event in analysis.source.events:
        if event.end_unix_s < instants[0] or event.start_unix_s > instants[-1]:
            continue
        start, end = np.interp([event.start_unix_s, event.end_unix_s], instants, places)
        axes.axvspan(start, end, color=EVENT, alpha=0.28, lw=0)
        axes.text((start + end) / 2, 0.025, event.name, ha="center", va="bottom", color=EVENT_INK, fontsize=SMALL)
