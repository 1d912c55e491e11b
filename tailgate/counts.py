"""The counts of one stretch of traffic, and what they say of its quality.

Lives here: counting a request and a label, adding stretches up, and the one formula of time-critical accuracy from
partly labelled traffic. Must not live here: which stretch a request belongs to (`window.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tailgate.expected_sums import ExpectedSums
from tailgate.observation import Expected
from tailgate.outcome import ANSWER_SEEN, Outcome
from tailgate.tail import wilson

_OK: Final = Outcome.OK
_SEEN: Final = frozenset(ANSWER_SEEN)

CUT_OFF: Final = frozenset((Outcome.DEADLINE_IN_FLIGHT, Outcome.DEFAULT_ANSWERED))
"""The outcomes of requests that were given up at their deadline: nobody knows whether they would have been right."""


class Estimate(NamedTuple):
    """Quality of a stretch of traffic; None is unknown.

    Attributes:
        tca: Time-critical accuracy: `in_time_share` × `accuracy_in_time`.
        lower: Of Wilson's 95 % interval around `tca`.
        upper: Its other end.
        in_time_share: Share answered in time, of everything that arrived.
        accuracy_in_time: Share of right ones among labelled answers in time, by weight.
    """

    tca: float | None = None
    lower: float | None = None
    upper: float | None = None
    in_time_share: float | None = None
    accuracy_in_time: float | None = None


@dataclass(slots=True)
class Counts:
    """Sums, in any order, over the requests of one stretch.

    Attributes:
        requests: That ended, however they did, or whose deadline passed while they went on.
        in_time: Answered in time.
        labelled: Whose label is known.
        right_in_time: Labelled, answered right and in time.
        wrong_in_time: Labelled, answered in time, not right.
        late_right: Labelled, and a right answer was seen after the deadline.
        unanswered: Labelled, refused or failed.
        cut_off: Labelled, given up at the deadline.
        weight: Of the labelled.
        weight_squares: Of the labelled.
        in_time_weight: Of the labelled that were answered in time.
        right_weight: Of the labelled that were answered right and in time.
        expected: What was expected of those answered in time, before their labels were known.
    """

    requests: int = 0
    in_time: int = 0
    labelled: int = 0
    right_in_time: int = 0
    wrong_in_time: int = 0
    late_right: int = 0
    unanswered: int = 0
    cut_off: int = 0
    weight: float = 0.0
    weight_squares: float = 0.0
    in_time_weight: float = 0.0
    right_weight: float = 0.0
    expected: ExpectedSums = field(default_factory=ExpectedSums)

    def observe(self, outcome: Outcome, expected: Expected | None = None) -> None:
        """Count a request that ended, and what was expected of its answer."""
        self.requests += 1
        if outcome is _OK:
            self.in_time += 1
            if expected is not None:
                self.expected.observe(expected)

    def judge(self, outcome: Outcome, *, right: bool, weight: float) -> None:
        """Count the label of a request that is, or will be, counted too.

        Args:
            outcome: How the request ended.
            right: Whether an answer was seen, and is the one that the label names.
            weight: 1 / the probability with which this request was chosen to be labelled.

        Raises:
            ValueError: The weight is not above 0, or not finite.
        """
        if not 0.0 < weight < math.inf:
            raise ValueError(f"weight is {weight}; expected 1 / the probability of being labelled, at least 1")
        self.labelled += 1
        self.weight += weight
        self.weight_squares += weight * weight
        if outcome is _OK:
            self.in_time_weight += weight
            if right:
                self.right_in_time += 1
                self.right_weight += weight
            else:
                self.wrong_in_time += 1
        elif outcome in _SEEN:
            self.late_right += right
        elif outcome in CUT_OFF:
            self.cut_off += 1
        else:
            self.unanswered += 1

    def add(self, other: Counts) -> None:
        """Add another stretch to this one."""
        self.requests += other.requests
        self.in_time += other.in_time
        self.labelled += other.labelled
        self.right_in_time += other.right_in_time
        self.wrong_in_time += other.wrong_in_time
        self.late_right += other.late_right
        self.unanswered += other.unanswered
        self.cut_off += other.cut_off
        self.weight += other.weight
        self.weight_squares += other.weight_squares
        self.in_time_weight += other.in_time_weight
        self.right_weight += other.right_weight
        self.expected.add(other.expected)

    def remove(self, other: Counts) -> None:
        """Take a stretch away again, all but what is no whole number; for that see `reweigh`."""
        self.requests -= other.requests
        self.in_time -= other.in_time
        self.labelled -= other.labelled
        self.right_in_time -= other.right_in_time
        self.wrong_in_time -= other.wrong_in_time
        self.late_right -= other.late_right
        self.unanswered -= other.unanswered
        self.cut_off -= other.cut_off

    def reweigh(self, stretches: Sequence[Counts]) -> None:
        """Add up anew what would drift, being no whole numbers, from the stretches that these counts are of."""
        self.weight = sum(counts.weight for counts in stretches)
        self.weight_squares = sum(counts.weight_squares for counts in stretches)
        self.in_time_weight = sum(counts.in_time_weight for counts in stretches)
        self.right_weight = sum(counts.right_weight for counts in stretches)
        self.expected = ExpectedSums()
        for counts in stretches:
            self.expected.add(counts.expected)

    @classmethod
    def sum(cls, stretches: Iterable[Counts]) -> Counts:
        """Several stretches together."""
        total = cls()
        for stretch in stretches:
            total.add(stretch)
        return total

    @property
    def lost_to_lateness(self) -> int | None:
        """Labelled requests whose right answer came late, or that were never answered.

        None, which is unknown and not zero, where nothing is labelled, or where requests were given up at their
        deadline, so that nobody saw whether they were lost to lateness alone: enforcing a deadline hides what it costs,
        observing shows it.
        """
        return self.late_right + self.unanswered if self.labelled and not self.cut_off else None

    @property
    def lost_to_model(self) -> int | None:
        """Labelled requests that were answered in time, and not right; None where nothing is labelled."""
        return self.wrong_in_time if self.labelled else None

    @property
    def tca(self) -> float | None:
        """Time-critical accuracy: in-time share × accuracy of answers in time; 0 where nothing was in time.

        Where everything is labelled this is right and in time / labelled. Where only a part is, or labels are still on
        their way, it does not divide late-coming labels by requests that have none, and weights undo unequal sampling.
        """
        if not self.requests:
            return None
        if not self.in_time:
            return 0.0
        accuracy = self.accuracy_in_time
        return None if accuracy is None else self.in_time / self.requests * accuracy

    @property
    def accuracy_in_time(self) -> float | None:
        """Share of right ones among labelled answers in time, by weight."""
        return self.right_weight / self.in_time_weight if self.in_time_weight else None

    @property
    def confidence_n(self) -> float:
        """How many labelled responses `tca` is worth: the labelled ones, or fewer if their weights differ.

        ``(Σ w)² / Σ w²``, Kish's effective number, is the number of labels where all weigh the same. Where nothing was
        in time no label matters, and every request counts.
        """
        if self.requests and not self.in_time:
            return self.requests
        return min(self.labelled, self.weight * self.weight / self.weight_squares) if self.labelled else 0

    def estimate(self) -> Estimate:
        """What is known of the quality, and how surely."""
        tca = self.tca
        share = self.in_time / self.requests if self.requests else None
        if tca is None:
            return Estimate(in_time_share=share)
        lower, upper = wilson(tca, self.confidence_n)
        return Estimate(tca, lower, upper, share, self.accuracy_in_time)
