"""Mean response time by place in the pass, with one standard deviation on each side: one line a system."""

from __future__ import annotations

from itertools import cycle

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tailgate.report.figures.style import DASHES, SERIES, Layout, Sheet, keys_of, shown_name, time_upward
from tailgate.report.numbers.by_batch import ByBatch


def draw(named: list[tuple[str, ByBatch]], layout: Layout) -> Figure:
    """One panel for all."""
    labels = [shown_name(name) for name, _ in named]
    sheet = Sheet(layout, 1, 3.3, labels=labels, left_in=0.95)
    (axes,) = sheet.axes
    highest = 0.0
    for (_, found), label, colour, dash in zip(named, labels, cycle(SERIES), cycle(DASHES), strict=False):
        x = (found.first + found.last) / 2
        low, high = np.maximum(found.mean_s - found.std_s, 0), found.mean_s + found.std_s
        axes.fill_between(x, low, high, color=colour, alpha=0.14, lw=0)
        axes.plot(x, found.mean_s, color=colour, ls=dash, lw=1.8, label=label)
        highest = max(highest, float(np.nanmax(high, initial=0.0)))
    axes.set_ylim(0, highest * 1.04 or 1.0)
    time_upward(axes)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("place in the pass")
    axes.set_ylabel("mean ± one standard deviation")
    sheet.legend(keys_of([axes]))
    return sheet.figure
