"""One series of the monitor: a model's version on a slice.

Lives here: how windows, their history and a detector work together for one series. Must not live here: which series
there are (`monitor.py`).
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, NamedTuple

from tailgate.counts import Counts
from tailgate.detector import Detector
from tailgate.expectations import PastError
from tailgate.history import History, summary
from tailgate.objective import Objective
from tailgate.window import Window, Windows

SHOWN_ALARMS: Final = 20


class Key(NamedTuple):
    """What a series is of."""

    model: str
    version: str
    slice: str


class Alarm(NamedTuple):
    """A regression that the detector found.

    Attributes:
        model: Of the series that became worse.
        version: Of the same.
        slice: Of the same.
        at_unix_s: When it was found.
        statistic: That the detector had reached.
        mean: Time-critical accuracy since the drop began, as far as can be told: the mean over blocks of time.
        baseline: That it is held to.
    """

    model: str
    version: str
    slice: str
    at_unix_s: float
    statistic: float
    mean: float
    baseline: float


class Series:
    """What is known of one series.

    Attributes:
        key: What it is of.
        windows: Those that are open.
        history: Of those that are final.
        objective: What it is held to, if anything.
        deadline_s: Within which an answer counts where the client sets none; None if unknown.
        detector: None for a model without an objective.
    """

    def __init__(
        self,
        key: Key,
        windows: Windows,
        history: History,
        *,
        objective: Objective | None,
        deadline_s: float | None,
        threshold: float,
    ) -> None:
        """Start with no traffic.

        Args:
            key: What it is of.
            windows: Fresh ones.
            history: A fresh one.
            objective: What it is held to, if anything.
            deadline_s: Within which an answer counts where the client sets none.
            threshold: Of the detector.
        """
        self.windows = windows
        self.history = history
        self.detector = None if objective is None else Detector(objective.objective, threshold)
        self.key = key
        self.objective = objective
        self.deadline_s = deadline_s
        self._threshold = threshold
        self._shown_alarms: deque[dict[str, Any]] = deque(maxlen=SHOWN_ALARMS)

    def hold_to(self, objective: Objective | None, deadline_s: float | None) -> None:
        """Hold it to another objective from now on; the evidence begins anew where that is another accuracy."""
        old = None if self.objective is None else self.objective.objective
        new = None if objective is None else objective.objective
        if new != old:
            self.detector = None if new is None else Detector(new, self._threshold)
        self.objective, self.deadline_s = objective, deadline_s

    def advance(self, now_unix_s: float) -> tuple[list[Alarm], list[Window]]:
        """Time went on: new alarms, and the windows that became final."""
        progress = self.windows.advance(now_unix_s)
        self.history.add(progress.windows)
        alarms = []
        if self.detector is not None:
            for ripe in progress.ripe:
                tca = ripe.counts.tca
                # Where nothing is known there is nothing to bet on. Silence has alerts of its own.
                evidence = None if tca is None else self.detector.update(min(tca, 1.0))
                if evidence is not None:
                    alarms.append(
                        Alarm(*self.key, now_unix_s, evidence.statistic, evidence.mean, self.detector.baseline)
                    )
        self._shown_alarms.extend(alarm._asdict() for alarm in alarms)
        return alarms, progress.windows

    def snapshot(self, from_unix_s: float, now: Counts, past: PastError | None) -> dict[str, Any]:
        """Everything a page shows of it.

        Args:
            from_unix_s: When the running estimate begins.
            now: Its counts.
            past: How wrong its expectations were, where labels have come.
        """
        objective = self.objective
        return {
            **self.key._asdict(),
            "deadline_s": self.deadline_s,
            "objective": None if objective is None else objective.objective,
            "floor": None if objective is None else objective.floor,
            "now": summary(from_unix_s, now),
            **self.history.snapshot(),
            "detector": {
                "statistic": 0.0 if self.detector is None else self.detector.statistic,
                "threshold": self._threshold,
                "alarms": list(self._shown_alarms),
            },
            "past_error": _past_error(past),
        }


def _past_error(past: PastError | None) -> dict[str, Any] | None:
    """Over the minutes whose labels are all there."""
    if past is None or not past.answers:
        return None
    mean = (past.expected - past.right) / past.answers
    return {"minutes": len(past.errors), "mean": mean, "beyond": past.beyond}
