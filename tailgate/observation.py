"""The noun of the product: what became of one request.

Everything Tailgate shows (metrics, reports, alerts) is a view of observations. One is made when a request has ended,
at one place, and is never changed.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final, NamedTuple

from tailgate.errors import Status
from tailgate.outcome import ANSWER_SEEN, Outcome
from tailgate.protocol.answers import UNKNOWN_CLASS


class Verdict(StrEnum):
    """Whether an answer was right."""

    RIGHT = "right"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    """There was no answer, it names no class, or no label is known."""

    __hash__ = str.__hash__  # an enumeration's own is ten times as slow, and books are looked up for every request


# Each look-up in an enumeration costs as much as the comparison that it is for.
_RIGHT: Final = Verdict.RIGHT
_WRONG: Final = Verdict.WRONG
_UNKNOWN: Final = Verdict.UNKNOWN


class Expected(NamedTuple):
    """What was expected of an answer that was looked at, before its label was known.

    Attributes:
        confidence: Its own, 0 to 1, or `NO_CONFIDENCE`.
        stands_for: How many answers it was chosen from.
        right: The probability that it is right; None where nothing could be said.
        spread: Standard error of that, from how few labels it was learned.
        beyond: Standard error of that, from how wrong it was before.
    """

    confidence: float
    stands_for: int
    right: float | None = None
    spread: float = 0.0
    beyond: float = 0.0


class Observation(NamedTuple):
    """What became of one request.

    Attributes:
        request_id: Identifies it at client, proxy and in feedback.
        model: Its model, from a closed set of names.
        version: The version that answered, or that was asked for; may be empty.
        arrival_unix_s: Wall-clock time of its arrival, for charts and for joining with other systems.
        budget_s: Seconds it had at its arrival (`Deadline.budget_s`).
        latency_s: Seconds from arrival to its end: the complete answer where there was one.
        outcome: How it ended.
        predicted: The class its answer named, or `UNKNOWN_CLASS`.
        label: The right class, or `UNKNOWN_CLASS`.
        status: The gRPC status its client was given.
        lag_s: Client only: how much later than scheduled it was sent.
        pass_index: Client only: which pass of the data set it belongs to, from 0.
        sample: Client only: which sample of the data set it carries, from 0.
        slice: The group of requests it belongs to, from a closed set; empty where there are no groups.
        expected: What was expected of its answer; None where that was not looked at. Not in the trace.
        overdue: Whether it had been counted as late before it ended, because its deadline had passed. Not in the trace.
    """

    request_id: str
    model: str
    version: str
    arrival_unix_s: float
    budget_s: float
    latency_s: float
    outcome: Outcome
    predicted: int = UNKNOWN_CLASS
    label: int = UNKNOWN_CLASS
    status: Status = Status.OK
    lag_s: float = 0.0
    pass_index: int = -1
    sample: int = -1
    slice: str = ""
    expected: Expected | None = None
    overdue: bool = False

    @property
    def verdict(self) -> Verdict:
        """Whether the answer was right, whenever it came."""
        predicted, label = self.predicted, self.label
        if UNKNOWN_CLASS in (predicted, label):
            return _UNKNOWN
        return _RIGHT if predicted == label else _WRONG

    @property
    def response_time_s(self) -> float:
        """`latency_s` where a complete answer was seen, else infinite: the time that thresholds are held against."""
        return self.latency_s if self.outcome in ANSWER_SEEN else math.inf
