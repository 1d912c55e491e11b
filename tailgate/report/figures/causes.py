"""Where labelled arrivals went, by cause: one bar a system."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from tailgate.report.figures.style import CARD, MUTED, SERIES, SMALL, Key, Layout, Sheet, shown_name
from tailgate.report.numbers.causes import CAUSES, MEANING, Causes

_BLUE, _VERMILION, _GREEN, _PINK, _PURPLE, _OCHRE, _GREY = SERIES
_LOOK = {
    "right": (_GREEN, ""),
    "wrong": (_OCHRE, ""),
    "late": (_VERMILION, ""),
    "deadline": (_VERMILION, "////"),
    "refused": (_PURPLE, ""),
    "failed": (_GREY, ""),
    "left": (_PINK, "...."),
}


def draw(named: list[tuple[str, Causes]], layout: Layout) -> Figure:
    """Bars from 0 to 100 %, their losses below on a scale of their own, since they may be small."""
    seen = [cause for cause in CAUSES if any(found.arrivals[cause] for _, found in named)]
    labels = [MEANING[cause] for cause in seen]
    height_in = 0.25 + 0.52 * len(named)
    sheet = Sheet(layout, 2, height_in, labels=labels, titles=True, columns=1, left_in=0.25)
    lost = [cause for cause in seen if cause != "right"]
    most = max((sum(found.share(cause) for cause in lost) for _, found in named), default=0.0)
    for axes, causes, end, title in (
        (sheet.axes[0], seen, 1.0, "all labelled arrivals"),
        (sheet.axes[1], lost, min(1.0, most * 1.05) or 0.01, "what was lost, enlarged"),
    ):
        for place, (name, found) in enumerate(named):
            left = 0.0
            for cause in causes:
                colour, hatch = _LOOK[cause]
                share = found.share(cause)
                axes.barh(place, share, 0.36, left, color=colour, hatch=hatch, edgecolor=CARD, lw=0.6)
                left += share
            axes.text(0, place - 0.22, shown_name(name), ha="left", va="bottom", fontsize=SMALL, color=MUTED)
        axes.set_xlim(0, end)
        axes.set_ylim(len(named) - 0.6, -0.7)
        axes.set_yticks([])
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0 if end > 0.04 else 1 if end > 0.004 else 2))
        axes.set_title(title, loc="left", pad=8)
    handles = [Patch(facecolor=_LOOK[cause][0], hatch=_LOOK[cause][1], edgecolor=CARD) for cause in seen]
    sheet.legend([Key(handle, label) for handle, label in zip(handles, labels, strict=True)])
    return sheet.figure
