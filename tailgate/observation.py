"""The noun of the product: what became of one request.

Everything Tailgate shows (metrics, reports, alerts) is a view of observations. One is made when a request has ended,
at one place, and is never changed.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any, Final, NamedTuple

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


class Observation:
    """What became of one request; never changed.

    Not a named tuple: to make one of those costs more than to count it, and one is made for every request.

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

    __slots__ = (
        "arrival_unix_s",
        "budget_s",
        "expected",
        "label",
        "lag_s",
        "latency_s",
        "model",
        "outcome",
        "overdue",
        "pass_index",
        "predicted",
        "request_id",
        "sample",
        "slice",
        "status",
        "version",
    )

    def __init__(  # noqa: PLR0917 — the fields, in their order
        self,
        request_id: str,
        model: str,
        version: str,
        arrival_unix_s: float,
        budget_s: float,
        latency_s: float,
        outcome: Outcome,
        predicted: int = UNKNOWN_CLASS,
        label: int = UNKNOWN_CLASS,
        status: Status = Status.OK,
        lag_s: float = 0.0,
        pass_index: int = -1,
        sample: int = -1,
        slice: str = "",  # noqa: A002 — as everywhere else
        expected: Expected | None = None,
        overdue: bool = False,  # noqa: FBT001, FBT002 — the fields, in their order
    ) -> None:
        """What is not said is what a proxy does not know."""
        self.request_id: Final[str] = request_id
        self.model: Final[str] = model
        self.version: Final[str] = version
        self.arrival_unix_s: Final[float] = arrival_unix_s
        self.budget_s: Final[float] = budget_s
        self.latency_s: Final[float] = latency_s
        self.outcome: Final[Outcome] = outcome
        self.predicted: Final[int] = predicted
        self.label: Final[int] = label
        self.status: Final[Status] = status
        self.lag_s: Final[float] = lag_s
        self.pass_index: Final[int] = pass_index
        self.sample: Final[int] = sample
        self.slice: Final[str] = slice
        self.expected: Final[Expected | None] = expected
        self.overdue: Final[bool] = overdue

    def _replace(self, **changes: Any) -> Observation:
        """Another with some fields changed, by the name that named tuples have for it."""
        return Observation(**({name: getattr(self, name) for name in _FIELDS} | changes))

    def __eq__(self, other: object) -> bool:
        """Whether all fields are the same."""
        return isinstance(other, Observation) and all(getattr(self, name) == getattr(other, name) for name in _FIELDS)

    def __hash__(self) -> int:
        """As it compares."""
        return hash((self.request_id, self.arrival_unix_s, self.outcome))

    def __repr__(self) -> str:
        """As it is made."""
        return f"Observation({', '.join(f'{name}={getattr(self, name)!r}' for name in _FIELDS)})"

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


_FIELDS: Final = (
    "request_id",
    "model",
    "version",
    "arrival_unix_s",
    "budget_s",
    "latency_s",
    "outcome",
    "predicted",
    "label",
    "status",
    "lag_s",
    "pass_index",
    "sample",
    "slice",
    "expected",
    "overdue",
)
