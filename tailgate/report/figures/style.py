"""What the figures share: colours, fonts, where panels and legends stand, and the way to SVG and PNG.

Nothing is laid out by trial: every panel has its place in inches, so that drawing takes tenths of a second. Text stays
text in SVG: it can be searched, selected and read aloud.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter

from tailgate.units import format_duration

INK, MUTED, GRID, EDGE, CARD = "#1d2733", "#66727f", "#e6eaee", "#aab4be", "#ffffff"
SHADE, SHADE_EDGE = "#f1f3f5", "#d5dbe1"
LOSS, BEST, EVENT, EVENT_INK = "#d45d00", "#019e73", "#f0b429", "#7a5600"
# Okabe and Ito's palette and two more: told apart by eyes of every kind, and by dashes besides.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7a5195", "#b8860b", "#4d4d4d")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)), (0, (9, 3)), (0, (3, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

NAMES: Mapping[str, str] = {
    **{INK: "ink", MUTED: "muted", GRID: "grid", EDGE: "edge", CARD: "card", SHADE: "shade", SHADE_EDGE: "shade-edge"},
    **{LOSS: "loss", BEST: "best", EVENT: "event", EVENT_INK: "event-ink"},
    **{colour: f"series-{number}" for number, colour in enumerate(SERIES, 1)},
}
"""Each colour's name on the page, where ``--figure-NAME`` says what it is in light and in dark."""

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
SMALL = 9.5
_DECADE_IN = 1.75
"""So wide a factor of ten has room for three labels."""

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tailgate",
    "text.parse_math": False,  # names are users' own; a dollar sign in one is a dollar sign
    "font.size": 10.5,
    "text.color": INK,
    "axes.facecolor": CARD,
    "axes.edgecolor": EDGE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": SMALL,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.bottom": False,  # the grid says it
    "ytick.left": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "hatch.linewidth": 0.6,
}


@dataclass(frozen=True)
class Layout:
    """How wide a figure is, and how many panels stand beside one another at most."""

    name: str
    width_in: float
    columns: int


WIDE, NARROW = Layout("wide", 9.2, 2), Layout("narrow", 4.0, 1)


@dataclass(frozen=True)
class Key:
    """An entry of a legend."""

    handle: Artist
    label: str


class Sheet:
    """A figure with its panels in their places and room for a legend above them."""

    def __init__(
        self,
        layout: Layout,
        count: int,
        height_in: float,
        *,
        labels: Sequence[str] = (),
        columns: int | None = None,
        titles: bool = False,
        left_in: float = 0.72,
    ) -> None:
        """Place panels.

        Args:
            layout: For which width.
            count: How many panels.
            height_in: Of each panel's axes.
            labels: What the legend will say, to leave it room.
            columns: How many panels beside one another at most; by default the layout's.
            titles: Whether panels have titles.
            left_in: Room for a panel's labels on its left.
        """
        across = min(columns or layout.columns, count)
        rows, self._per_row = math.ceil(count / across), _legend_columns(labels, layout)
        legend_in = 0.23 * math.ceil(len(labels) / self._per_row) + 0.12 if labels else 0.1
        above_in, below_in, right_in = 0.36 if titles else 0.24, 0.56, 0.2
        cell_in = above_in + height_in + below_in
        total_in = legend_in + rows * cell_in
        self.figure = Figure(figsize=(layout.width_in, total_in), facecolor=CARD)
        self.axes: list[Axes] = []
        for number in range(count):
            row, column = divmod(number, across)
            wide_in = layout.width_in / across
            self.axes.append(
                self.figure.add_axes(
                    (
                        (column * wide_in + left_in) / layout.width_in,
                        1 - (legend_in + row * cell_in + above_in + height_in) / total_in,
                        (wide_in - left_in - right_in) / layout.width_in,
                        height_in / total_in,
                    )
                )
            )

    def legend(self, keys: Sequence[Key]) -> None:
        """Draw the legend."""
        self.figure.legend(
            [key.handle for key in keys],
            [key.label for key in keys],
            loc="upper left",
            bbox_to_anchor=(0.0, 1.0),
            ncols=self._per_row,
            frameon=False,
            fontsize=SMALL,
            borderaxespad=0.3,
            labelspacing=0.35,
            columnspacing=1.4,
            handlelength=2.2,
        )


def keys_of(panels: Sequence[Axes]) -> list[Key]:
    """What the panels' artists are labelled with, each label once."""
    found: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return [Key(handle, label) for label, handle in found.items()]


def _legend_columns(labels: Sequence[str], layout: Layout) -> int:
    longest_in = 0.55 + 0.078 * max(map(len, labels), default=0)
    return max(1, min(len(labels) or 1, int(layout.width_in / longest_in)))


def shown_name(name: str, most: int = 40) -> str:
    """A system's name as a figure can hold it."""
    short = textwrap.shorten(name, most, placeholder="…") or name[:most]
    return short if not short.startswith("_") else f"\u200b{short}"  # matplotlib leaves "_…" out of legends


def percent_axis(axes: Axes) -> None:
    """Shares on the vertical axis, from 0 to a little over 1."""
    axes.set_ylim(0, 1.04)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def percent_along(axes: Axes) -> None:
    """Shares on the horizontal axis, as many decimals as its range needs."""
    low, high = axes.get_xlim()
    step = (high - low) / 4
    decimals = max(0, math.ceil(-math.log10(step)) - 2) if step > 0 else 0
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=decimals))


def time_along(axes: Axes) -> None:
    """Times on the horizontal axis."""
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: format_duration(seconds) if seconds > 0 else "0"))


def time_upward(axes: Axes) -> None:
    """Times on the vertical axis."""
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda seconds, _: format_duration(seconds) if seconds > 0 else "0"))


def logarithmic_time(axes: Axes, low_s: float, high_s: float) -> None:
    """Times on the horizontal axis, by their logarithm, with as many labels as there is room for."""
    axes.set_xscale("log")
    axes.set_xlim(low_s, high_s)
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    decade_in = axes.get_position().width * figure.get_figwidth() / math.log10(high_s / low_s)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decade_in > _DECADE_IN else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: format_duration(seconds)))
    axes.xaxis.set_minor_locator(NullLocator())


def svg(draw: Callable[[], Figure]) -> str:
    """A figure as SVG without a prolog, so that it can stand inside HTML."""
    text = io.StringIO()
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # Only the layout uses matplotlib's own font; the letters are drawn by whoever shows the SVG.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        draw().savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return _shortened(re.sub(r"^.*?(?=<svg )", "", text.getvalue(), flags=re.DOTALL))


_TAG = re.compile(r"<[^>]*>")
_REFERRED = re.compile(r"(?:href=\"|url\()#([^\")]+)")
_WITHIN_TAGS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r" font-family: [^;\"]*;"), ""),
    (re.compile(r"font: (\w+) ([0-9.]+px) [^;\"]*"), r"font-weight: \1; font-size: \2"),
    (re.compile(r' transform="rotate\(-0 [^)]*\)"'), ""),
    (re.compile(r"(\d\.\d\d)\d+"), r"\1"),
    (re.compile(r"\s*\n\s*"), " "),
)
_BETWEEN_TAGS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"<!--.*?-->", re.DOTALL), ""),
    (re.compile(r"<metadata>.*?</metadata>", re.DOTALL), ""),
    (re.compile(r">\s+<"), "><"),
    (re.compile(r"<g>(<path [^>]*/>|<text [^>]*>[^<]*</text>)</g>"), r"\1"),
)


def _shortened(figure: str) -> str:
    """The same picture in half the bytes: one font for all, hundredths of a point, only ids that are referred to."""
    referred = set(_REFERRED.findall(figure))

    def of_tag(tag: re.Match[str]) -> str:
        text = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in referred else "", tag[0])
        for pattern, by in _WITHIN_TAGS:
            text = pattern.sub(by, text)
        return text

    for pattern, by in _BETWEEN_TAGS[:2]:
        figure = pattern.sub(by, figure)
    figure = _TAG.sub(of_tag, figure)
    for pattern, by in _BETWEEN_TAGS[2:]:
        figure = pattern.sub(by, figure)
    return figure.replace("<svg ", f'<svg style="font-family: {_FONT}" ', 1)


def png(draw: Callable[[], Figure], dots_per_inch: int = 144) -> bytes:
    """The same figure as a picture."""
    data = io.BytesIO()
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        draw().savefig(data, format="png", dpi=dots_per_inch, metadata={"Software": None})
    return data.getvalue()
