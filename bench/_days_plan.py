"""Days that never were, as a plan: how much traffic comes when, what goes wrong when, and which days nothing does.

Lives here: times and shares as data. Must not live here: requests (`_days_requests.py`) or what anybody saw of them.
All times are seconds from the start, which is a midnight.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HOUR_S, DAY_S = 3600.0, 86_400.0
START_S = 1_767_571_200.0  # 2026-01-05 00:00 UTC, a Monday
MODEL, OBJECTIVE, FLOOR = "digits", 0.95, 0.85  # as in prometheus/slo.toml
DEADLINE_S = 0.025
DEADLINES_S, DEADLINE_SHARES = (0.015, DEADLINE_S, 0.05), (0.1, 0.7, 0.2)  # as clients ask for, one by one
REPLICAS, OFFSETS_S = ("proxy-a:9090", "proxy-b:9090"), (3.2, 11.7)
VERSIONS, ROLES = ("7", "8"), ("stable", "canary")
SLICES, RARE_SHARE = ("common", "rare"), 0.05
NIGHT_PER_S, NOON_PER_S = 0.2, 25.0
CANARY_SHARE = 0.1


@dataclass(frozen=True)
class Incident:
    """Something that clients felt.

    Attributes:
        kind: slow: 60 % of requests take 16 to 50 ms longer. wrong: half of the answers are. outage: all requests take
            0.1 s longer. canary: the canary is right in 62 % of the rare slice, and as good as stable elsewhere.
        start_s: Begin.
        length_s: Seconds.
    """

    kind: Literal["slow", "wrong", "outage", "canary"]
    start_s: float
    length_s: float

    @property
    def end_s(self) -> float:
        """When it is over."""
        return self.start_s + self.length_s


@dataclass(frozen=True)
class Restart:
    """A replica stops when its requests have ended, and begins again with all counters at zero."""

    replica: int
    start_s: float
    gap_s: float


@dataclass(frozen=True)
class Plan:
    """A whole simulation.

    Attributes:
        length_s: Its end.
        day_s: Length of a day; a quick run's are short.
        incidents: What goes wrong.
        canaries: When a canary gets its share of requests: begin and end.
        restarts: Of replicas.
        quiet: Stretches in which nothing goes wrong: begin and end.
    """

    length_s: float
    day_s: float
    incidents: tuple[Incident, ...]
    canaries: tuple[tuple[float, float], ...]
    restarts: tuple[Restart, ...]
    quiet: tuple[tuple[float, float], ...]

    def rate(self, times_s: Floats) -> Floats:
        """Requests a second: next to none from 23:00 to 05:00, most at 14:00."""
        hour = times_s / self.day_s % 1.0 * 24.0
        by_day: Floats = np.where((hour > 5.0) & (hour < 23.0), np.sin(np.pi * (hour - 5.0) / 18.0) ** 2, 0.0)
        return NIGHT_PER_S + (NOON_PER_S - NIGHT_PER_S) * by_day

    def is_quiet(self, times_s: Floats) -> NDArray[np.bool_]:
        """Whether nothing goes wrong then."""
        return in_any(times_s, self.quiet)

    def is_night(self, times_s: Floats) -> NDArray[np.bool_]:
        """Whether next to no requests come."""
        night: NDArray[np.bool_] = self.rate(times_s) < 1.0
        return night


def in_any(times_s: Floats, stretches: Iterable[tuple[float, float]]) -> NDArray[np.bool_]:
    """Whether each time lies in one of the stretches; a begin belongs to its stretch, an end does not."""
    inside = np.zeros(len(times_s), np.bool_)
    for start_s, end_s in stretches:
        inside |= (times_s >= start_s) & (times_s < end_s)
    return inside


def _at(day: int, hour: float, second: float = 0.0) -> float:
    return day * DAY_S + hour * HOUR_S + second


FULL = Plan(
    length_s=5 * DAY_S,
    day_s=DAY_S,
    incidents=(
        Incident("outage", _at(1, 3, 7.4), 5 * 60.0),
        Incident("slow", _at(1, 8, 1021.3), 7 * 60.0),
        Incident("wrong", _at(1, 10, 413.9), 90.0),
        Incident("slow", _at(1, 12, 2209.8), 7 * 60.0),
        Incident("wrong", _at(1, 14, 88.1), 90.0),
        Incident("wrong", _at(1, 16, 3001.6), 90.0),
        Incident("slow", _at(1, 18, 1500.5), 7 * 60.0),
        Incident("canary", _at(3, 10, 37.7), 6 * HOUR_S),
        Incident("slow", _at(3, 18, 1511.1), 7 * 60.0),
    ),
    # The others are as good as stable: one that begins ten minutes before all are slow, and one on the last day.
    canaries=((_at(3, 10, 37.7), _at(3, 16, 37.7)), (_at(3, 18, 911.1), _at(3, 20)), (_at(4, 9), _at(4, 17))),
    restarts=(
        Restart(1, _at(0, 13, 1234.5), 30.0),
        Restart(0, _at(2, 2, 999.9), 30.0),
        Restart(1, _at(2, 17, 59.0), 45.0),
        Restart(0, _at(4, 11, 2000.2), 30.0),
    ),
    quiet=((0.0, _at(1, 0)), (_at(2, 0), _at(3, 0)), (_at(4, 0), _at(5, 0))),
)

QUICK = Plan(
    length_s=8 * HOUR_S,
    day_s=8 * HOUR_S,
    incidents=(
        Incident("slow", 4.2 * HOUR_S + 21.3, 7 * 60.0),
        Incident("wrong", 4.6 * HOUR_S + 13.9, 90.0),
        Incident("canary", 5.0 * HOUR_S + 7.7, 1.5 * HOUR_S),
        Incident("outage", 7.75 * HOUR_S + 7.4, 5 * 60.0),
    ),
    canaries=((5.0 * HOUR_S + 7.7, 6.5 * HOUR_S + 7.7),),
    restarts=(Restart(0, 0.9 * HOUR_S + 9.9, 30.0), Restart(1, 3.1 * HOUR_S + 34.5, 30.0)),
    quiet=((0.0, 4.2 * HOUR_S),),
)
