"""Stretches of time as PromQL writes them. All are multiples of the window, so that one setting shrinks them all."""

from __future__ import annotations

import math
from dataclasses import dataclass

LEAST_SCRAPES = 4
"""Scrapes in whatever is judged by itself: with fewer, a single missed one leaves too little to judge."""

_UNITS_MS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))


def promql(seconds: float) -> str:
    """A duration in PromQL, in the largest unit that is exact.

    >>> promql(60.0), promql(75.0), promql(86_400.0), promql(0.25)
    ('1m', '75s', '1d', '250ms')
    """
    milliseconds = round(seconds * 1e3)
    unit, size = next(((unit, size) for unit, size in _UNITS_MS if milliseconds % size == 0), ("ms", 1))
    return f"{milliseconds // size}{unit}"


@dataclass(frozen=True)
class Span:
    """One stretch of time.

    Attributes:
        seconds: Its length.
        scrape_s: Seconds between scrapes.
    """

    seconds: float
    scrape_s: float

    @property
    def name(self) -> str:
        """As it stands in names of recorded series."""
        return promql(self.seconds)

    @property
    def range(self) -> str:
        """The range to give to `rate`, so that the samples in it span the whole stretch.

        A range of one minute holds twelve samples 5 s apart, which span 55 s, or four 15 s apart, which span 45 s:
        worst windows then come out too bad and counts too high. One interval more makes it exact.
        """
        return promql(self.seconds + self.scrape_s)


@dataclass(frozen=True)
class Spans:
    """The stretches that rules look at, in seconds where the window is a minute: 60, 300, 1800, 3600, ...

    Attributes:
        window_s: Seconds of a window.
        scrape_s: Seconds between scrapes.
    """

    window_s: float
    scrape_s: float

    def windows(self, count: float) -> Span:
        """So many windows."""
        return Span(self.window_s * count, self.scrape_s)

    @property
    def window(self) -> Span:
        """What is judged."""
        return self.windows(1)

    @property
    def stretch(self) -> Span:
        """What shows that it goes on: a third of a window, or as long as `LEAST_SCRAPES` take.

        At 15 s to a scrape and a window of a minute that is the window.
        """
        scrapes = max(LEAST_SCRAPES, math.ceil(self.window_s / 3 / self.scrape_s - 1e-9))
        return Span(min(scrapes * self.scrape_s, self.window_s), self.scrape_s)

    @property
    def five(self) -> Span:
        """5 minutes."""
        return self.windows(5)

    @property
    def half_hour(self) -> Span:
        """30 minutes."""
        return self.windows(30)

    @property
    def hour(self) -> Span:
        """1 hour."""
        return self.windows(60)

    @property
    def quarter_day(self) -> Span:
        """6 hours."""
        return self.windows(360)

    @property
    def day(self) -> Span:
        """1 day."""
        return self.windows(1440)

    @property
    def three_days(self) -> Span:
        """3 days."""
        return self.windows(4320)
