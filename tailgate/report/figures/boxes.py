"""Box and whiskers of pass quality: one panel a density, one box a system."""

from __future__ import annotations

from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tailgate.report.figures.style import (
    CARD,
    INK,
    MUTED,
    SERIES,
    SMALL,
    Key,
    Layout,
    Sheet,
    percent_along,
    shown_name,
)
from tailgate.report.numbers.boxes import Box
from tailgate.units import format_duration

_LABELS = ("median", "mean", "outlying pass")


def draw(named: list[tuple[str, tuple[Box, ...]]], layout: Layout) -> Figure:
    """A panel for each density."""
    densities = sorted({box.density for _, boxes in named for box in boxes}, reverse=True)
    height_in = 0.35 + 0.52 * len(named)
    sheet = Sheet(layout, len(densities), height_in, labels=_LABELS, titles=True, columns=1, left_in=0.25)
    for density, axes in zip(densities, sheet.axes, strict=True):
        axes.set_title(f"threshold that {100 * density:g} % of the responses exceed", loc="left", pad=8)
        shown = [
            (name, box, colour)
            for (name, boxes), colour in zip(named, cycle(SERIES), strict=False)
            for box in boxes
            if box.density == density
        ]
        _panel(axes, shown)
    handles = (
        Line2D([], [], color=INK, lw=2),
        Line2D([], [], color=INK, marker="^", ls="", ms=7, mfc=CARD),
        Line2D([], [], color=INK, marker="o", ls="", ms=4, mfc=CARD),
    )
    sheet.legend([Key(handle, label) for handle, label in zip(handles, _LABELS, strict=True)])
    return sheet.figure


def _panel(axes: Axes, shown: list[tuple[str, Box, str]]) -> None:
    for place, (name, box, colour) in enumerate(shown):
        drawn = axes.bxp(
            [
                {
                    "med": box.median,
                    "q1": box.q1,
                    "q3": box.q3,
                    "whislo": box.whisker_low,
                    "whishi": box.whisker_high,
                    "mean": box.mean,
                    "fliers": list(box.outliers),
                }
            ],
            positions=[place],
            widths=0.34,
            orientation="horizontal",
            showmeans=True,
            patch_artist=True,
            manage_ticks=False,
            boxprops={"facecolor": colour, "alpha": 0.35, "edgecolor": colour},
            whiskerprops={"color": colour},
            capprops={"color": colour},
            medianprops={"color": INK, "lw": 2},
            meanprops={"marker": "^", "markerfacecolor": CARD, "markeredgecolor": INK, "markersize": 7},
            flierprops={"marker": "o", "markerfacecolor": CARD, "markeredgecolor": INK, "markersize": 4},
        )
        drawn["boxes"][0].set_linewidth(1.2)
        axes.text(
            0.005,
            place - 0.27,
            f"{shown_name(name)}, {format_duration(box.threshold_s)}",
            transform=axes.get_yaxis_transform(),
            ha="left",
            va="bottom",
            fontsize=SMALL,
            color=MUTED,
        )
    low = min(min(box.worst, box.whisker_low) for _, box, _ in shown)
    high = max(max((box.whisker_high, *box.outliers)) for _, box, _ in shown)
    room = max(0.04 * (high - low), 0.001)
    axes.set_xlim(low - room, high + room)
    axes.set_ylim(len(shown) - 0.6, -0.75)
    axes.set_yticks([])
    axes.grid(visible=False, axis="y")
    percent_along(axes)
    axes.set_xlabel("right and within the threshold, of each pass")
