"""The final windows of one series, as a page shows them: an hour in full, a day in brief, the tail with its null.

Lives here: what is made of final windows; once for each new one, so that showing it again costs nothing. Must not live
here: windows that are still open (`window.py`), or the form of any other part of the snapshot.
"""

from __future__ import annotations

from collections import deque
from itertools import accumulate
from typing import Any, Final, NamedTuple

from tailgate.counts import Counts
from tailgate.outcome import PROXY_OUTCOMES, Outcome
from tailgate.tail import low_quantile, null_of_worst, wilson
from tailgate.tally import Tally
from tailgate.window import Window

RECENT: Final = 60
"""How many windows are shown one by one: with windows of a minute, the last hour."""

# An enumeration's names are slow to look up.
_LABELS: Final[dict[Outcome, str]] = {outcome: outcome.label for outcome in PROXY_OUTCOMES}
_SHOWN = 10  # fields of a `Brief`
_UNKNOWN_NULL: Final[dict[str, float | None]] = {"worst_median": None, "worst_p05": None}


class Brief(NamedTuple):
    """A final window without its distributions.

    Attributes:
        from_unix_s: When it began.
        requests, in_time, labelled, right_in_time, lost_to_lateness, lost_to_model: As in `Counts`.
        expected_tca, expected_lower, expected_upper: As in `ExpectedQuality`; None where nothing can be said.
        tca: Time-critical accuracy; None if unknown.
        confidence_n: How many labelled responses `tca` is worth.
    """

    from_unix_s: float
    requests: int
    in_time: int
    labelled: int
    right_in_time: int
    lost_to_lateness: int | None
    lost_to_model: int | None
    expected_tca: float | None
    expected_lower: float | None
    expected_upper: float | None
    tca: float | None
    confidence_n: float


class History:
    """What became of one series, window by window.

    Attributes:
        windows: In brief, oldest first, at most `keep_windows`.
        null_is_due: Whether windows came since the null was computed.
    """

    def __init__(self, bounds_s: tuple[float, ...], keep_windows: int) -> None:
        """Start without a window.

        Args:
            bounds_s: Upper bounds of the latency histograms.
            keep_windows: How many are kept in brief.
        """
        self.windows: deque[Brief] = deque(maxlen=keep_windows)
        self.null_is_due = False
        self._most = min(RECENT, keep_windows)
        self._bounds_s = bounds_s
        self._recent: deque[tuple[Brief, Tally]] = deque()
        self._rows: deque[list[float | None]] = deque(maxlen=self._most)
        self._hour = Tally.empty(bounds_s)
        self._null: dict[str, float | None] = _UNKNOWN_NULL
        self._shown: dict[str, Any] | None = None

    def add(self, windows: list[Window]) -> None:
        """Take windows that became final, in order."""
        for window in windows:
            brief = _brief(window)
            self.windows.append(brief)
            self._recent.append((brief, window.tally))
            self._rows.append(list(brief[:_SHOWN]))
            self._hour.add(window.tally)
            if len(self._recent) > self._most:
                self._hour.remove(self._recent.popleft()[1])
        if windows:
            self._shown = None
            self.null_is_due = True

    def compute_null(self) -> None:
        """Compute what the worst of as many windows would show by chance alone; about a millisecond."""
        self.null_is_due = False
        labelled = [max(round(brief.confidence_n), 1) for brief, _ in self._recent if brief.tca is not None]
        tca = self._weighed().tca
        if labelled and tca is not None:
            median, p05 = null_of_worst(labelled, tca, (0.5, 0.05)).tolist()
            self._null = {"worst_median": median, "worst_p05": p05}
        else:
            self._null = _UNKNOWN_NULL
        if self._shown is not None:
            self._shown = self._shown | {"null": self._null}

    def snapshot(self) -> dict[str, Any]:
        """The parts of a series' snapshot that are about final windows; not to be changed."""
        if self._shown is None:
            self._shown = self._show()
        return self._shown

    def _weighed(self) -> Counts:
        """The counts of the hour."""
        self._hour.counts.reweigh([tally.counts for _, tally in self._recent])
        return self._hour.counts

    def _show(self) -> dict[str, Any]:
        hour, counts = self._hour, self._weighed()
        since_unix_s = self._recent[0][0].from_unix_s if self._recent else None
        known = [(brief.tca, brief) for brief, _ in self._recent if brief.tca is not None]
        worst: dict[str, Any] = {"tca": None, "from_unix_s": None, "labelled": 0, "upper": None}
        if known:
            # Of several equally bad ones the surest.
            tca, brief = min(known, key=lambda pair: (pair[0], -pair[1].confidence_n))
            upper = wilson(tca, brief.confidence_n).upper
            worst = {"tca": tca, "from_unix_s": brief.from_unix_s, "labelled": brief.labelled, "upper": upper}
        return {
            "hour": summary(since_unix_s, counts),
            "worst": worst,
            "p1": low_quantile([tca for tca, _ in known], 0.01) if known else None,
            "windows": len(known),
            "null": self._null,
            "outcomes": {_LABELS[outcome]: count for outcome, count in hour.outcomes.items()},
            "latency": {
                "bounds_s": list(self._bounds_s),
                "all": list(accumulate(hour.latency)),
                "right": list(accumulate(hour.right_latency)),
                "labelled": counts.labelled,
            },
            "recent": list(self._rows),
        }


def summary(from_unix_s: float | None, counts: Counts) -> dict[str, Any]:
    """A stretch of traffic, as the snapshot shows one."""
    estimate = counts.estimate()
    expected = counts.expected.quality(counts.in_time, counts.requests)
    return {
        "from_unix_s": from_unix_s,
        "requests": counts.requests,
        "in_time": counts.in_time,
        "labelled": counts.labelled,
        "right_in_time": counts.right_in_time,
        "tca": estimate.tca,
        "lower": estimate.lower,
        "upper": estimate.upper,
        "lost_to_lateness": counts.lost_to_lateness,
        "lost_to_model": counts.lost_to_model,
        "in_time_share": estimate.in_time_share,
        "accuracy_in_time": estimate.accuracy_in_time,
        "expected": None if expected is None else {**expected._asdict(), "answers": counts.expected.looked_at},
    }


def _brief(window: Window) -> Brief:
    counts = window.tally.counts
    expected = counts.expected.quality(counts.in_time, counts.requests)
    return Brief(
        window.from_unix_s,
        counts.requests,
        counts.in_time,
        counts.labelled,
        counts.right_in_time,
        counts.lost_to_lateness,
        counts.lost_to_model,
        None if expected is None else expected.tca,
        None if expected is None else expected.lower,
        None if expected is None else expected.upper,
        counts.tca,
        counts.confidence_n,
    )
