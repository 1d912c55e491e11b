"""The relative Jensen–Shannon distance against passes, with the line at which there are enough."""

from __future__ import annotations

from itertools import cycle

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tailgate.report.figures.style import DASHES, INK, MARKERS, SERIES, SMALL, Layout, Sheet, keys_of, shown_name
from tailgate.report.numbers.stability import Settling
from tailgate.stopping import STABLE

_MANY = 30


def draw(named: list[tuple[str, Settling]], layout: Layout) -> Figure:
    """One panel for all."""
    labels = [shown_name(name) for name, _ in named]
    sheet = Sheet(layout, 1, 3.0, labels=labels)
    (axes,) = sheet.axes
    highest = STABLE
    styles = zip(named, labels, cycle(SERIES), cycle(DASHES), cycle(MARKERS), strict=False)
    for (_, found), label, colour, dash, marker in styles:
        marked = marker if len(found.passes) <= _MANY else ""
        axes.plot(found.passes, found.rjsd, color=colour, ls=dash, lw=1.8, marker=marked, ms=5, label=label)
        highest = max(highest, *found.rjsd)
    axes.axhline(STABLE, color=INK, lw=1.2)
    axes.annotate(
        f"enough at {STABLE:g}",
        (1, STABLE),
        xycoords=axes.get_yaxis_transform(),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=SMALL,
    )
    axes.set_ylim(0, highest * 1.1)
    passes = [at for _, found in named for at in found.passes]
    axes.set_xlim(min(passes) - 1, max(passes) + 1)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("passes")
    axes.set_ylabel("rJSD")
    sheet.legend(keys_of([axes]))
    return sheet.figure
