"""How long a wait will be, from two forecasts, by how well each of them has done of late.

One foresees when each place becomes free (`at_work`): right to the millisecond where calls take about the same time,
and wrong where their times vary, or where the upstream does not work as is thought. The other knows only at which rate
they do: never far off, and never exact. Of two such forecasts the mean by the inverse of their mean squared errors is
better than either, and nothing has to be known of why (Bates and Granger, Operational Research Quarterly 20, 1969).
"""

from __future__ import annotations

from math import sqrt
from typing import Final

REMEMBERED: Final = 100
"""So many waits say how good each forecast is."""
_EXACT: Final = 1e-9  # s², so that none is ever perfect


class Forecast:
    """Of the waits for one upstream."""

    __slots__ = ("_by_places", "_by_rate", "_count", "_of_both")

    def __init__(self) -> None:
        """Neither has been tried."""
        self._by_places = self._by_rate = self._of_both = 0.0  # mean squared errors
        self._count = 0

    @property
    def deviation_s(self) -> float:
        """How far a forecast is off: the root of its mean squared error."""
        return sqrt(self._of_both)

    def of(self, by_places_s: float, by_rate_s: float) -> float:
        """The wait."""
        share = (self._by_rate + _EXACT) / (self._by_places + self._by_rate + 2 * _EXACT)
        return by_rate_s + share * (by_places_s - by_rate_s)

    def came(self, by_places_s: float, by_rate_s: float, waited_s: float) -> None:
        """So long was the wait for which this was foreseen."""
        self._count = min(self._count + 1, REMEMBERED)
        newest = 1.0 / self._count
        both_s = self.of(by_places_s, by_rate_s)
        self._by_places += ((by_places_s - waited_s) ** 2 - self._by_places) * newest
        self._by_rate += ((by_rate_s - waited_s) ** 2 - self._by_rate) * newest
        self._of_both += ((both_s - waited_s) ** 2 - self._of_both) * newest
