"""Accuracy against threshold: best, worst and mean pass, with a band of one standard deviation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tailgate.report.analysis import Analysis
from tailgate.report.figures.style import (
    BEST,
    INK,
    LOSS,
    MUTED,
    SERIES,
    SHADE,
    SHADE_EDGE,
    SMALL,
    Layout,
    Sheet,
    keys_of,
    logarithmic_time,
    percent_axis,
    shown_name,
)
from tailgate.report.labelled import Curve, FloatArray, Quality
from tailgate.units import format_duration

_STROKES, _SHORTEST_S = 80, 1e-6

Shown = Sequence[tuple[Analysis, Quality]]


def draw(shown: Shown, layout: Layout) -> Figure:
    """All systems on the same axes; each with its mean and its worst pass, a single one with the band and the best."""
    alone = len(shown) == 1
    labels = [
        "mean ± one standard deviation" if alone else f"{shown_name(analysis.source.name)}: worst pass"
        for analysis, _ in shown
    ] * (4 if alone else 2)
    sheet = Sheet(layout, 1, 3.4, labels=labels)
    (axes,) = sheet.axes
    end_s = _time_axis(axes, shown)
    for (analysis, quality), colour in zip(shown, cycle(SERIES), strict=False):
        _draw_curve(axes, analysis, quality, colour, end_s, alone=alone)
    percent_axis(axes)
    axes.set_ylabel("right and within the threshold")
    axes.set_xlabel("threshold θ (logarithmic)")
    sheet.legend(keys_of([axes]))
    return sheet.figure


def draw_bands(shown: Shown, layout: Layout) -> Figure:
    """A panel for each system, with best, worst, mean and band, on axes of the same scale."""
    labels = ("mean ± one standard deviation", "mean", "worst pass", "best pass")
    sheet = Sheet(layout, len(shown), 2.2, labels=labels, titles=True)
    for (analysis, quality), axes in zip(shown, sheet.axes, strict=True):
        end_s = _time_axis(axes, shown, [analysis])
        _draw_curve(axes, analysis, quality, SERIES[0], end_s, alone=True)
        percent_axis(axes)
        axes.set_title(shown_name(analysis.source.name), loc="left", pad=18)
        axes.set_xlabel("threshold θ (logarithmic)")
    sheet.legend(keys_of(sheet.axes))
    return sheet.figure


def _draw_curve(axes: Axes, analysis: Analysis, quality: Quality, colour: str, end_s: float, *, alone: bool) -> None:
    curve, name, several = quality.fine, shown_name(analysis.source.name), len(quality.passes) > 1
    drawn = _drawn(curve)
    x = np.append(curve.thresholds_s[drawn], end_s)

    def held(values: FloatArray) -> FloatArray:
        return np.append(values[drawn], values[-1]).clip(0, 1)

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
        label, shade = ("worst pass", LOSS) if alone else (f"{name}: worst pass", colour)
        axes.step(x, held(curve.worst), where="post", lw=1.5, ls=(0, (4, 1.6)), color=shade, label=label)
    if several and alone:
        axes.step(x, held(curve.best), where="post", lw=1.2, color=BEST, label="best pass")
    accuracy = quality.decomposition.accuracy
    axes.axhline(accuracy, color=MUTED if alone else colour, lw=1, ls=":")
    if alone:
        axes.text(
            0.992,
            0.025,
            f"accuracy of answers {accuracy:.1%}",
            transform=axes.transAxes,
            ha="right",
            va="bottom",
            color=MUTED,
            fontsize=SMALL,
        )


def _drawn(curve: Curve) -> npt.NDArray[np.int64]:
    """Those of a curve's points without which it would look otherwise: as many as there are strokes in a picture."""
    along = np.log(np.maximum(curve.thresholds_s, _SHORTEST_S))
    steps = np.abs(np.diff(along)) / (along[-1] - along[0] or 1.0)
    for values in (curve.best, curve.worst, curve.mean):
        steps = steps + np.abs(np.diff(values))
    way = np.concatenate(([0.0], np.cumsum(steps)))
    wanted = np.linspace(0, way[-1], _STROKES)
    return np.unique(np.append(np.searchsorted(way, wanted, side="right") - 1, len(way) - 1))


def _time_axis(axes: Axes, shown: Shown, marked: Sequence[Analysis] = ()) -> float:
    """Scale the axis of thresholds by all systems and mark deadlines and cuts on it; returns its end in seconds."""
    analyses = [analysis for analysis, _ in shown]
    first = min(float(quality.fine.thresholds_s[0]) for _, quality in shown)
    last = max(float(quality.fine.thresholds_s[-1]) for _, quality in shown)
    cuts = [analysis.cut_at_s for analysis in marked or analyses if analysis.cut_at_s is not None]
    all_cut = len(cuts) == len(marked or analyses)
    low = max(first / 1.15, 1e-6)
    high = max(last, *cuts, low * 2) * (1.9 if all_cut else 1.15)
    logarithmic_time(axes, low, high)
    for deadline_s in sorted({analysis.deadline_s for analysis in marked or analyses}):
        axes.axvline(deadline_s, color=INK, lw=1.2)
        axes.annotate(
            f"deadline {format_duration(deadline_s)}",
            (deadline_s, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            va="bottom",
            ha="center",
            fontsize=SMALL,
        )
    if all_cut:
        _mark_cut(axes, max(cuts), high)
    return high


def _mark_cut(axes: Axes, start_s: float, end_s: float) -> None:
    axes.axvspan(start_s, end_s, facecolor=SHADE, edgecolor=SHADE_EDGE, hatch="///", lw=0, zorder=0.5)
    axes.text(
        (start_s * end_s) ** 0.5,
        0.5,
        "cut by enforcement:\nlater answers\nwere not seen",
        ha="center",
        va="center",
        color=MUTED,
        fontsize=SMALL,
        bbox={"facecolor": SHADE, "edgecolor": "none", "pad": 3},
    )
