"""When a run has made enough passes. Pure: records in, yes or no out.

Two kinds of time are held against the rJSD rule: *total*, from the scheduled instant to the answer, and *answering*,
from the sending. A client sees no more of the inference's own time than the latter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tailgate.prediction.dependent import Dependent
from tailgate.prediction.history import history_of
from tailgate.stopping import Stability, known_within
from tailgate.trace.format import Records
from tailgate.trace.views import response_times_s, scores
from tailgate_loadgen.options import LEAST_STABLE, Until

EVERY = 2
"""Passes from one look to the next."""
LEAST_ANSWERED = 0.5
"""Of the last passes: where nobody answers any more there are no new times, and nothing changes for that reason."""
LEAST_FORETOLD = 5
"""Fewer passes do not tell whether stalls come evenly over time, so p1 is not asked for its tolerance."""


@dataclass(frozen=True)
class Standing:
    """How a run stood after some of its passes.

    Attributes:
        passes: How many.
        rjsd_total: Of total times; None while there are too few fits to compare with, or where nobody asks.
        rjsd_answering: Of answering times, likewise.
        p1: The foretold p1 of the quality within the deadline, with its interval; None where nobody asks.
        p1_lower: Where it begins.
        p1_upper: Where it ends.
        enough: Whether every rule that is asked for is met.
    """

    passes: int
    rjsd_total: float | None
    rjsd_answering: float | None
    p1: float | None
    p1_lower: float | None
    p1_upper: float | None
    enough: bool

    def __str__(self) -> str:
        """In few words, for a screen."""
        parts = []
        if self.rjsd_total is not None and self.rjsd_answering is not None:
            parts.append(f"rJSD {self.rjsd_total:.3f} and {self.rjsd_answering:.3f}")
        if self.p1 is not None and self.p1_lower is not None and self.p1_upper is not None:
            parts.append(f"p1 {self.p1:.2%} ({self.p1_lower:.2%} … {self.p1_upper:.2%})")
        return f"after {self.passes} passes: {', '.join(parts) or 'too few to tell'}"


class StopRule:
    """The rules, fed pass by pass."""

    def __init__(self, until: Until, deadline_s: float) -> None:
        """Nothing has been seen.

        Args:
            until: Which rules are asked for.
            deadline_s: The threshold at which p1 is foretold.
        """
        self._until, self._deadline_s = until, deadline_s
        self._passes = 0
        self._total, self._answering = Stability(), Stability()
        self._kept: list[Records] = []
        self._answered: deque[float] = deque(maxlen=LEAST_STABLE)

    def feed(self, one: Records) -> Standing | None:
        """Take a pass.

        Args:
            one: All its records, in the order of their samples.

        Returns:
            How the run stands, after every second pass.
        """
        self._passes += 1
        total_s = response_times_s(one)
        self._answered.append(float(np.isfinite(total_s).mean()))
        if self._until.stable:
            self._total.feed(total_s)
            self._answering.feed(total_s - one["lag_s"].astype(np.float64))
        if self._until.tolerance is not None:
            self._kept.append(one)
        return None if self._passes % EVERY else self._standing()

    def _standing(self) -> Standing:
        until = self._until
        enough = []
        if until.stable:
            answered = sum(self._answered) / len(self._answered) >= LEAST_ANSWERED
            enough = [self._total.stable, self._answering.stable, answered]
        p1 = p1_lower = p1_upper = None
        if until.tolerance is not None:
            passes = range(len(self._kept))
            history = history_of(
                np.stack([response_times_s(self._kept[one]) for one in passes]),
                np.stack([scores(self._kept[one]) for one in passes]),
                self._deadline_s,
                np.stack([self._kept[one]["arrival_unix_s"] for one in passes]),
            )
            estimate = Dependent(history).quantile(0.01)
            p1, p1_lower, p1_upper = estimate.value, estimate.lower, estimate.upper
            enough.append(self._passes >= LEAST_FORETOLD and known_within(estimate, until.tolerance))
        return Standing(
            self._passes, self._total.rjsd, self._answering.rjsd, p1, p1_lower, p1_upper, enough=all(enough)
        )


class PassesInOrder:
    """Puts passes together from records that come in any order."""

    def __init__(self, samples: int) -> None:
        """`samples` are in each pass."""
        self._samples = samples
        self._next = 0
        self._parts: dict[int, list[Records]] = {}

    def take(self, records: Records) -> Iterable[Records]:
        """Take some more; yields the passes that are complete now, in their order, each in that of its samples."""
        for index in np.unique(records["pass_index"]).tolist():
            if index >= 0:  # no warm-up
                self._parts.setdefault(index, []).append(records[records["pass_index"] == index])
        while sum(map(len, self._parts.get(self._next, ()))) >= self._samples:
            whole = np.concatenate(self._parts.pop(self._next))
            self._next += 1
            yield whole[np.argsort(whole["sample"], kind="stable")]
