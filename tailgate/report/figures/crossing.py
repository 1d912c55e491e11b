"""Models under several conditions: one panel a measure, one line a model. Where lines cross, models change places."""

from __future__ import annotations

import math
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tailgate.report.figures.style import (
    DASHES,
    MARKERS,
    SERIES,
    Layout,
    Sheet,
    keys_of,
    shown_name,
    time_upward,
)
from tailgate.report.numbers.crossing import Crossing, Panel


def draw(found: Crossing, layout: Layout) -> Figure:
    """A panel for each measure."""
    models = [shown_name(model) for model in found.panels[0].values]
    sheet = Sheet(layout, len(found.panels), 2.0, labels=models, titles=True)
    for panel, axes in zip(found.panels, sheet.axes, strict=True):
        _panel(axes, panel, found.places)
    sheet.legend(keys_of(sheet.axes))
    return sheet.figure


def _panel(axes: Axes, panel: Panel, places: tuple[str, ...]) -> None:
    styles = zip(panel.values.items(), cycle(SERIES), cycle(DASHES), cycle(MARKERS), strict=False)
    for (model, values), colour, dash, marker in styles:
        drawn = [math.nan if value is None or not math.isfinite(value) else value for value in values]
        label = shown_name(model)
        axes.plot(range(len(places)), drawn, color=colour, ls=dash, marker=marker, ms=6, lw=1.8, label=label)
    axes.set_xticks(range(len(places)), [shown_name(place, 16) for place in places])
    axes.set_xlim(-0.3, len(places) - 0.7)
    if panel.timed:
        axes.set_ylim(bottom=0)
        time_upward(axes)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
        low, high = axes.get_ylim()
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0 if high - low > 0.04 else 1))
    axes.set_title(panel.measure, loc="left", pad=8)
