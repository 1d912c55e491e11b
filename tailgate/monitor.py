"""The monitor of one process: quality now, its windows and their tail, regressions, for each model, version and slice.

Lives here: which series there are, and all of them together. Must not live here: a clock, a loop, or the join of labels
with requests; it is told of a request when it has ended, of its label when that is known and settled, and of the time.

Whoever has several processes adds up their counters in Prometheus; the worst window of each is not the worst of all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Final, TypeVar

from tailgate.counts import Counts
from tailgate.detector import Detector
from tailgate.expectations import Expectations
from tailgate.history import Brief, History, summary
from tailgate.objective import Objective
from tailgate.observation import Expected, Observation
from tailgate.series import SHOWN_ALARMS, Alarm, Key, Series
from tailgate.tally import Tally
from tailgate.window import TooLate, Window, Windows

BETWEEN_ALARMS_S: Final = 30 * 86_400.0
"""How long a healthy series goes without a false alarm, on average and at the least."""


T = TypeVar("T", bound=Hashable)


class Monitor:
    """Live quality of everything that passes.

    All calls come from one thread. `observe` and `judge` cost the same however many windows there are.

    Attributes:
        expectations: What is expected of answers while their labels are missing.
    """

    def __init__(
        self,
        *,
        window_s: float = 60.0,
        keep_windows: int = 1440,
        wait_s: float = 10.0,
        bounds_s: tuple[float, ...],
        objectives: Mapping[str, Objective],
        between_alarms_s: float = BETWEEN_ALARMS_S,
        blocks_at_once: int = 5,
        label_wait_s: float = 900.0,
        deadline_s: Callable[[str], float | None] = lambda _model: None,
    ) -> None:
        """Start with no series.

        Args:
            window_s: Length of a window.
            keep_windows: How many final windows are kept for each series.
            wait_s: How long after its end a window waits for labels and answers that are on their way. A label that
                comes later than that is counted as too late, in no window.
            bounds_s: Upper bounds of the latency histograms, rising.
            objectives: By model. A model without one is shown, and held to nothing.
            between_alarms_s: Mean time between two false alarms of one series, at least.
            blocks_at_once: How many blocks, each a tenth of a window, the detector is fed as one score: 1, 2, 5 or 10.
                Together they must be ten times as long as bursts of lateness are; see `detector.py`.
            label_wait_s: How long labels may come after their requests: what was expected of a minute is compared with
                them when they all are there.
            deadline_s: The deadline of a model that has no objective, to be shown.

        Raises:
            ValueError: One of them is out of its range.
        """
        self.expectations = Expectations(label_wait_s)
        self._deadline_s = deadline_s
        self._window_s = window_s
        self._keep_windows = keep_windows
        self._wait_s = wait_s
        self._bounds_s = bounds_s
        self._objectives = objectives
        self._all = History(bounds_s, keep_windows)
        self._series: dict[tuple[str, str, str], Series] = {}
        self._now_unix_s: float | None = None
        self._shown_alarms: deque[dict[str, Any]] = deque(maxlen=SHOWN_ALARMS)
        self._blocks_at_once = blocks_at_once
        self._threshold = between_alarms_s / (self._windows().block_s * blocks_at_once)
        for objective in self._objectives.values():
            Detector(objective.objective, self._threshold)  # an objective that cannot be held to is refused now

    def open(self, model: str, version: str, slice_: str = "") -> Series:
        """The series of this model, version and slice, begun if it was not there."""
        series = self._series.get((model, version, slice_))
        if series is None:
            windows, history = self._windows(), History(self._bounds_s, self._keep_windows)
            if self._now_unix_s is not None:
                windows.advance(self._now_unix_s)  # what is final for all is final for it
            key = Key(model, version, slice_)
            objective = self._objectives.get(model)
            deadline_s = self._deadline_s(model) if objective is None else objective.deadline_s
            series = Series(
                key, windows, history, objective=objective, deadline_s=deadline_s, threshold=self._threshold
            )
            self._series[key] = series
        return series

    def renew_objectives(self) -> None:
        """The objectives, or deadlines, have changed: every series is held to its own as it is now."""
        for series in self._series.values():
            objective = self._objectives.get(series.key.model)
            deadline_s = self._deadline_s(series.key.model) if objective is None else objective.deadline_s
            series.hold_to(objective, deadline_s)

    def expect(self, series: tuple[str, str, str], confidence: float, stands_for: int) -> Expected:
        """What is to be expected of an answer that has just come: see `Expectations.expect`."""
        return self.expectations.expect(series, confidence, stands_for)

    def fall_due(self, model: str, version: str, slice_: str, arrival_unix_s: float) -> None:
        """The deadline of a request has passed while it goes on; `observe` is told when it ends, with `overdue` set."""
        self.open(model, version, slice_).windows.fall_due(arrival_unix_s)

    def observe(self, observation: Observation) -> None:
        """A request ended."""
        self.open(observation.model, observation.version, observation.slice).windows.observe(observation)

    def judge(self, observation: Observation, weight: float = 1.0) -> None:
        """The label of a request is known and settled; `observe` was or will be told of the same request.

        Args:
            observation: The request, with its label.
            weight: 1 / the probability with which it was chosen to be labelled.

        Raises:
            ValueError: The weight is not above 0, or not finite.
        """
        self.open(observation.model, observation.version, observation.slice).windows.judge(observation, weight)
        self.expectations.judge(observation, weight)

    def advance(self, now_unix_s: float) -> list[Alarm]:
        """Time went on; to be called about once a second. Returns new alarms.

        Windows whose end is `wait_s` old become final. What chance alone would make of the worst window is computed in
        the calls after that, for one series each, so that no call takes long.
        """
        self._now_unix_s = now_unix_s
        self.expectations.advance(now_unix_s)
        alarms: list[Alarm] = []
        together: dict[int, Window] = {}
        for series in self._series.values():
            found, windows = series.advance(now_unix_s)
            alarms += found
            for window in windows:
                if window.number not in together:
                    together[window.number] = window._replace(tally=Tally.empty(self._bounds_s))
                together[window.number].tally.add(window.tally)
        self._all.add([together[number] for number in sorted(together)])
        due = next((history for history in self._histories() if history.null_is_due), None)
        if due is not None and not together:
            due.compute_null()
        self._shown_alarms.extend(alarm._asdict() for alarm in alarms)
        return alarms

    @property
    def detectors(self) -> dict[Key, Detector]:
        """By series; those of models without an objective have none."""
        return {series.key: series.detector for series in self._series.values() if series.detector is not None}

    @property
    def too_late(self) -> TooLate:
        """What could not be counted in its window, over all series."""
        counts = [series.windows.too_late for series in self._series.values()]
        return TooLate(sum(late.requests for late in counts), sum(late.labels for late in counts))

    def windows(self, model: str, version: str, slice_: str = "") -> list[Brief]:
        """The final windows of a series that are kept, oldest first; none if there is no such series."""
        series = self._series.get(Key(model, version, slice_))
        return [] if series is None else list(series.history.windows)

    def snapshot(self, now_unix_s: float) -> dict[str, Any]:
        """Everything a page shows, ready for JSON; parts of it are shared between calls, so it is only read."""
        running = {key: series.windows.running(now_unix_s) for key, series in sorted(self._series.items())}
        too_late = self.too_late
        return {
            "schema_version": 1,
            "now_unix_s": now_unix_s,
            "window_s": self._window_s,
            "too_late": {"requests": too_late.requests, "labels": too_late.labels},
            "series": [
                self._series[key].snapshot(*current, self.expectations.past(key)) for key, current in running.items()
            ],
            "total": self._total(running.values()),
        }

    def _total(self, running: Iterable[tuple[float, Counts]]) -> dict[str, Any]:
        stretches = list(running)
        since_unix_s = stretches[0][0] if stretches else None
        common = _only(series.objective for series in self._series.values())
        return {
            "deadline_s": _only(series.deadline_s for series in self._series.values()),
            "objective": None if common is None else common.objective,
            "floor": None if common is None else common.floor,
            "now": summary(since_unix_s, Counts.sum(counts for _, counts in stretches)),
            **self._all.snapshot(),
            "detector": {
                "statistic": max((detector.statistic for detector in self.detectors.values()), default=0.0),
                "threshold": self._threshold,
                "alarms": list(self._shown_alarms),
            },
        }

    def _histories(self) -> Iterable[History]:
        yield self._all
        yield from (series.history for series in self._series.values())

    def _windows(self) -> Windows:
        return Windows(self._bounds_s, window_s=self._window_s, wait_s=self._wait_s, keep_windows=self._keep_windows)


def _only(values: Iterable[T]) -> T | None:
    """What all of them are; None where they differ, or there are none."""
    different = set(values)
    return different.pop() if len(different) == 1 else None
