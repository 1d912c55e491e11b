"""The report's two pictures as SVG text. Pure: an analysis in, the same bytes out each time.

Figures bring their own light background, so that they read alike on a light page, on a dark one and on paper. Text
stays text: it can be searched, selected and read aloud.
"""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from tailgate.report.analysis import Analysis, FloatArray, PassRow, Quality
from tailgate.units import format_duration

# Okabe and Ito's palette: told apart by eyes of every kind.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7A5195", "#B8860B", "#4D4D4D")
_INK, _MUTED, _GRID, _CARD = "#1d2733", "#66727f", "#e6eaee", "#ffffff"
_LOSS, _BEST, _EVENT = "#D55E00", "#009E73", "#F0B429"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_MANY_PASSES = 60
_WIDTH_IN = 9.2

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tailgate",
    "text.parse_math": False,  # names are users' own; a dollar sign in one is a dollar sign
    "font.size": 10.5,
    "text.color": _INK,
    "axes.edgecolor": "#aab4be",
    "axes.labelcolor": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "axes.grid": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "hatch.linewidth": 0.6,
}


def quality_by_threshold(analyses: Sequence[Analysis]) -> str | None:
    """Accuracy against threshold: best, worst, mean and one standard deviation over passes.

    Several systems share the axes, each with its mean and its worst pass. None where no answer to a labelled request
    was seen at all.
    """
    shown = [(a, a.quality) for a in analyses if a.quality is not None and len(a.quality.curve.thresholds_s)]
    if not shown:
        return None
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH_IN, 4.5), layout="constrained", facecolor=_CARD)
        axes = figure.subplots()
        end_s = _time_axis(axes, [analysis for analysis, _ in shown], [quality for _, quality in shown])
        for (analysis, quality), colour in zip(shown, cycle(_COLOURS), strict=False):
            _draw_curve(axes, analysis, quality, colour, end_s, alone=len(shown) == 1)
        axes.set_ylim(0, 1.04)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_ylabel("right and within the threshold")
        axes.set_xlabel("threshold θ (logarithmic)")
        columns = 4 if len(shown) == 1 else min(len(shown), 3)
        figure.legend(loc="outside upper left", ncols=columns, frameon=False, fontsize=9.5)
        return _svg(figure)


def passes(analyses: Sequence[Analysis]) -> str | None:
    """Every pass's accuracy of answers and its time-critical accuracy; None where there is no complete pass."""
    shown = [(a, a.quality) for a in analyses if a.quality is not None and a.quality.passes]
    if not shown:
        return None
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH_IN, 0.9 + 3.1 * len(shown)), layout="constrained", facecolor=_CARD)
        panels: list[Axes] = list(figure.subplots(len(shown), squeeze=False)[:, 0])
        for axes, (analysis, quality), colour in zip(panels, shown, cycle(_COLOURS), strict=False):
            _draw_passes(axes, analysis, quality, colour)
            if len(shown) > 1:
                axes.set_title(_shown_name(analysis), loc="left", fontsize=11, color=colour, fontweight="bold")
        panels[-1].set_xlabel("pass")
        handles: dict[str, Artist] = {}
        for axes in panels:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
        figure.legend(
            list(handles.values()), list(handles), loc="outside upper left", ncols=4, frameon=False, fontsize=9.5
        )
        return _svg(figure)


def _draw_curve(axes: Axes, analysis: Analysis, quality: Quality, colour: str, end_s: float, *, alone: bool) -> None:
    curve, name, several = quality.fine, _shown_name(analysis), len(quality.passes) > 1
    x = np.append(curve.thresholds_s, end_s)

    def held(values: FloatArray) -> FloatArray:
        return np.append(values, values[-1]).clip(0, 1)

    # Q is a step function that holds its value to the right: anything smoother would show answers not yet there.
    if several and alone:
        low, high = held(curve.mean - curve.std), held(curve.mean + curve.std)
        label = "mean ± one standard deviation"
        axes.fill_between(x, low, high, step="post", color=colour, alpha=0.16, lw=0, label=label)
    what = "mean" if several else "quality"
    cut = "" if analysis.cut_at_s is None else f", cut at {format_duration(analysis.cut_at_s)}"
    label = what if alone else f"{name}: {what}{cut}"
    axes.step(x, held(curve.mean), where="post", color=colour, lw=2.2, label=label)
    if several:
        label, shade = ("worst pass", _LOSS) if alone else (f"{name}: worst pass", colour)
        axes.step(x, held(curve.worst), where="post", lw=1.5, ls=(0, (4, 1.6)), color=shade, label=label)
    if several and alone:
        axes.step(x, held(curve.best), where="post", lw=1.2, color=_BEST, label="best pass")
    accuracy = quality.decomposition.accuracy
    axes.axhline(accuracy, color=_MUTED if alone else colour, lw=1, ls=":")
    if alone:
        axes.text(
            0.008,
            accuracy - 0.012,
            f"accuracy of answers {accuracy:.1%}",
            transform=axes.get_yaxis_transform(),
            va="top",
            color=_MUTED,
            fontsize=9.5,
        )


def _time_axis(axes: Axes, analyses: Sequence[Analysis], qualities: Sequence[Quality]) -> float:
    """Scale the axis of thresholds and mark deadlines and cuts on it; returns its end in seconds."""
    first = min(float(quality.fine.thresholds_s[0]) for quality in qualities)
    last = max(float(quality.fine.thresholds_s[-1]) for quality in qualities)
    deadlines = sorted({analysis.deadline_s for analysis in analyses})
    cuts = [analysis.cut_at_s for analysis in analyses if analysis.cut_at_s is not None]
    all_cut = len(cuts) == len(analyses)
    low = max(first / 1.15, 1e-6)
    high = max(last, *cuts, low * 2) * (1.9 if all_cut else 1.15)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    for deadline_s in deadlines:
        axes.axvline(deadline_s, color=_INK, lw=1.2)
        axes.annotate(
            f"deadline {format_duration(deadline_s)}",
            (deadline_s, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            va="bottom",
            ha="center",
            fontsize=9.5,
        )
    if all_cut:
        _mark_cut(axes, max(cuts), high)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 1000 else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: format_duration(seconds)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    return high


def _mark_cut(axes: Axes, start_s: float, end_s: float) -> None:
    axes.axvspan(start_s, end_s, facecolor="#f1f3f5", edgecolor="#d5dbe1", hatch="///", lw=0, zorder=0.5)
    axes.text(
        (start_s * end_s) ** 0.5,
        0.5,
        "cut by enforcement:\nlater answers\nwere not seen",
        ha="center",
        va="center",
        color=_MUTED,
        fontsize=9.5,
        bbox={"facecolor": "#f1f3f5", "edgecolor": "none", "pad": 3},
    )


def _draw_passes(axes: Axes, analysis: Analysis, quality: Quality, colour: str) -> None:
    rows = quality.passes
    x = [row.index for row in rows]
    accuracy = [float("nan") if row.accuracy is None else row.accuracy for row in rows]
    critical = [row.quality for row in rows]
    marker = "o" if len(rows) <= _MANY_PASSES else ""
    _shade_events(axes, analysis, rows)
    if len(rows) > 1:
        axes.fill_between(x, critical, accuracy, color=_LOSS, alpha=0.10, lw=0, label="the gap")
    axes.plot(x, accuracy, color=_MUTED, lw=1.6, marker=marker, ms=3.5, label="accuracy of answers")
    axes.plot(x, critical, color=colour, lw=2.2, marker=marker, ms=5, label="time-critical accuracy")
    worst = quality.worst_pass
    if worst is not None and len(rows) > 1:
        axes.plot([worst.index], [worst.quality], "o", ms=12, mfc="none", mec=_LOSS, mew=1.8)
        # Beside the point where the curve dips far, under it where it hardly does: never over the curve.
        left, dips = worst.index > (x[0] + x[-1]) / 2, worst.quality < 0.5
        axes.annotate(
            f"worst: pass {worst.index}, {worst.quality:.1%}",
            (worst.index, worst.quality),
            xytext=((-11 if left else 11) if dips else 0, -2 if dips else -12),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center" if dips else "top",
            color=_LOSS,
            fontweight="bold",
        )
    axes.set_xlim(x[0] - 0.6, x[-1] + 0.6)
    axes.set_ylim(0, 1.04)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
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
        axes.axvspan(start, end, color=_EVENT, alpha=0.28, lw=0)
        axes.text((start + end) / 2, 0.025, event.name, ha="center", va="bottom", color="#7a5600", fontsize=9.5)


def _shown_name(analysis: Analysis) -> str:
    name = textwrap.shorten(analysis.source.name, 40, placeholder="…") or analysis.source.name[:40]
    return name if not name.startswith("_") else f"\u200b{name}"  # matplotlib leaves "_…" out of legends


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    with warnings.catch_warnings():
        # Only the layout uses matplotlib's own font; the letters are drawn by whoever shows the SVG.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = re.sub(r"^.*?(?=<svg )", "", text.getvalue(), flags=re.DOTALL)  # no prolog: it has to stand inside HTML too
    return re.sub(r"'DejaVu Sans'[^;\"]*", _FONT, svg)
