"""Who noticed what when: incidents and the alerts that told of them, and alerts in times when nothing was wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench._days_alerts import Fired
from bench._days_plan import DAY_S, HOUR_S, Incident, Plan, in_any
from bench._days_truth import WINDOW_S, Truth, sayable_s
from bench._prometheus import SCRAPE_S

LINGER_S = 2 * WINDOW_S
"""After an incident, in which an alert that begins is still about it."""
CANARY = "TailgateCanaryWorse"


@dataclass(frozen=True)
class Found:
    """One incident, and how soon it was found: seconds from its beginning, infinite where it was not.

    Attributes:
        kind: Of the incident.
        at: Day and time of its beginning.
        sayable: Until whoever knew every request could have said so (`_days_truth.sayable_s`).
        alert: Until the first alert about it fired, of either severity.
        page: Until the first page about it.
        by: The name of the first alert.
    """

    kind: str
    at: str
    sayable: float
    alert: float
    page: float
    by: str


def find(truth: Truth, incident: Incident, fired: Iterable[Fired]) -> Found:
    """Look for the alerts about an incident."""
    begin_s, until_s = incident.start_s, incident.end_s + LINGER_S
    about = sorted(
        (one for one in fired if begin_s <= one.from_s <= until_s and is_about(incident, one)),
        key=lambda one: one.from_s,
    )
    pages = [one for one in about if one.severity == "page"]
    return Found(
        incident.kind,
        clock(begin_s),
        sayable_s(truth, incident) - begin_s,
        about[0].from_s - begin_s if about else np.inf,
        pages[0].from_s - begin_s if pages else np.inf,
        about[0].alert if about else "",
    )


def is_about(incident: Incident, one: Fired) -> bool:
    """Whether an alert, if it fires at the right time, names what is wrong: a canary of a slice, or quality at all."""
    if incident.kind == "canary":
        return one.alert == CANARY and ("slice", "rare") in one.labels
    return one.alert in {"TailgateBadWindow", "TailgateBudgetBurnFast", "TailgateBudgetBurnSlow"}


def blamed(plan: Plan, fired: Iterable[Fired]) -> list[Fired]:
    """Alerts that blame a canary where it is as good as stable."""
    bad = [one for one in plan.incidents if one.kind == "canary"]
    return [
        one
        for one in fired
        if one.alert == CANARY
        and not any(is_about(two, one) and two.start_s <= one.from_s < two.end_s + HOUR_S for two in bad)
    ]


@dataclass(frozen=True)
class Noise:
    """What an alert did while nothing was wrong.

    Attributes:
        alert: In words.
        by_day: How often it began to fire.
        minutes_by_day: For how long it fired.
        by_night: How often, while next to no requests came.
        minutes_by_night: For how long, likewise.
    """

    alert: str
    by_day: int
    minutes_by_day: float
    by_night: int
    minutes_by_night: float


def noise(plan: Plan, alert: str, fired: Sequence[Fired]) -> Noise:
    """Count what fired in the plan's quiet stretches, also what began before them."""
    at_s = np.arange(0.0, plan.length_s, SCRAPE_S)
    on = in_any(at_s, ((one.from_s, one.to_s) for one in fired))
    begins_s = np.array([one.from_s for one in fired])
    quiet, night = plan.is_quiet(at_s), plan.is_night(at_s)

    def begun(*, by_night: bool) -> int:
        if not len(begins_s):
            return 0
        return int(np.sum(plan.is_quiet(begins_s) & (plan.is_night(begins_s) == by_night)))

    def minutes(chosen: NDArray[np.bool_]) -> float:
        return float(np.sum(on & quiet & chosen) * SCRAPE_S / 60.0)

    return Noise(alert, begun(by_night=False), minutes(~night), begun(by_night=True), minutes(night))


def clock(at_s: float) -> str:
    """A time as people say it: the day, counted from 1, and hours and minutes."""
    day, rest = divmod(at_s, DAY_S)
    return f"day {int(day) + 1}, {int(rest // HOUR_S):02d}:{int(rest % HOUR_S // 60):02d}"
