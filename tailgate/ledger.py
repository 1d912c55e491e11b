"""The live books: what has arrived, and how each arrival ended, as counts.

Lives here: counting, and nothing else. Everything is an integer or a sum, so the books of several processes add up.
One thread owns a ledger; whoever reads it on that thread sees every count at one instant.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tailgate.expected_sums import ExpectedSums
from tailgate.observation import Observation, Verdict
from tailgate.outcome import ANSWER_SEEN, PROXY_OUTCOMES, Outcome
from tailgate.protocol.answers import UNKNOWN_CLASS

_RIGHT: Final = Verdict.RIGHT
_OK: Final = Outcome.OK
_JUDGEMENTS: Final = tuple(
    (outcome, verdict)
    for outcome in PROXY_OUTCOMES
    for verdict in (Verdict if outcome in ANSWER_SEEN else (Verdict.UNKNOWN,))
)

BASE_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

RATIO_BUCKETS: Final = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)
"""Of latency over budget."""


def latency_buckets_s(deadlines_s: Iterable[float]) -> tuple[float, ...]:
    """Upper bounds of the latency histograms, in rising order.

    A bucket at every deadline in use, at its half and its double, makes the share of right answers within those times
    exact rather than interpolated.
    """
    around = {factor * deadline for deadline in deadlines_s for factor in (0.5, 1.0, 2.0)}
    return tuple(sorted(around.union(BASE_BUCKETS_S)))


class Histogram:
    """Counts of values by upper bound, inclusive, as Prometheus counts them."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Start empty; `bounds` rise."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def __repr__(self) -> str:
        """The counts."""
        return f"Histogram(counts={self.counts}, sum={self.sum})"

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def copy(self) -> Histogram:
        """The counts as they are now."""
        copied = Histogram(self.bounds)
        copied.counts, copied.sum = self.counts.copy(), self.sum
        return copied

    def cumulative(self) -> list[int]:
        """How many were at most each bound; the last element counts all."""
        total, running = 0, []
        for count in self.counts:
            total += count
            running.append(total)
        return running


Series = tuple[str, str, str]
"""Model, version and slice: what counts are kept apart by. All from closed sets."""


@dataclass
class SeriesBooks:
    """The counts of one model, version and slice.

    Attributes:
        outcomes: Requests that ended, by outcome; every outcome a proxy can book is there from the start, at zero.
        due: Requests that ended, or whose deadline passed while they went on: whichever came first. The share in time
            is a share of these, so that a model that hangs is late at once.
        labelled: Of these, the ones whose label is known, answered or not, by outcome and verdict; quality is a share
            of these.
        weight: The same, each counted with its weight.
        weight_squares: Of these weights, in all; ``(Σ w)² / Σ w²`` is how many labels of equal weight they are worth.
        latency: Of every request, until it ended, however it ended.
        right_latency: Of right answers alone, late ones included: divided by all that are labelled it is Q(θ) at each
            bound.
        right_ratio: Of right answers: latency over budget. Divided likewise it is the quality there would be if every
            deadline were so many times as long.
        expected: What was expected of answers in time, before their labels were known.
    """

    outcomes: dict[Outcome, int]
    labelled: dict[tuple[Outcome, Verdict], int]
    weight: dict[tuple[Outcome, Verdict], float]
    latency: Histogram
    right_latency: Histogram
    right_ratio: Histogram
    due: int = 0
    weight_squares: float = 0.0
    expected: ExpectedSums = field(default_factory=ExpectedSums)

    def copy(self) -> SeriesBooks:
        """The counts as they are now."""
        return SeriesBooks(
            self.outcomes.copy(),
            self.labelled.copy(),
            self.weight.copy(),
            self.latency.copy(),
            self.right_latency.copy(),
            self.right_ratio.copy(),
            self.due,
            self.weight_squares,
            self.expected.copy(),
        )


def _of_a_stage() -> Histogram:
    return Histogram((0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5))


@dataclass
class Ledger:
    """All counts of one process.

    Attributes:
        bounds_s: Upper bounds of the latency histograms.
        received: Requests that arrived.
        ended: Requests that have their outcome.
        series: Counts by model, version and slice.
        forward: Of answered requests, from arrival until the call to the upstream began: the proxy's own doing.
        upstream: From there until the answer was complete.
        reply: From there until it was booked: the proxy's own doing again.
    """

    bounds_s: tuple[float, ...]
    received: int = 0
    ended: int = 0
    series: dict[Series, SeriesBooks] = field(default_factory=dict)
    forward: Histogram = field(default_factory=_of_a_stage)
    upstream: Histogram = field(default_factory=_of_a_stage)
    reply: Histogram = field(default_factory=_of_a_stage)

    @property
    def in_flight(self) -> int:
        """Requests without an outcome yet: what keeps ``received == sum(outcomes) + in_flight`` true at any instant."""
        return self.received - self.ended

    def open(self, model: str, version: str, part: str = "") -> SeriesBooks:
        """The books of a model, version and slice, opened at zero if they were not open."""
        books = self.series.get((model, version, part))
        if books is None:
            books = SeriesBooks(
                dict.fromkeys(PROXY_OUTCOMES, 0),
                dict.fromkeys(_JUDGEMENTS, 0),
                dict.fromkeys(_JUDGEMENTS, 0.0),
                Histogram(self.bounds_s),
                Histogram(self.bounds_s),
                Histogram(RATIO_BUCKETS),
            )
            self.series[model, version, part] = books
        return books

    def arrive(self) -> None:
        """A request came in."""
        self.received += 1

    def fall_due(self, model: str, version: str, part: str) -> None:
        """A request is about to be booked, or goes on though its deadline has passed: once for every request."""
        self.open(model, version, part).due += 1

    def book(self, observation: Observation) -> None:
        """A request ended; with a label that came with it, it is judged as well."""
        books = self.open(observation.model, observation.version, observation.slice)
        books.outcomes[observation.outcome] += 1
        books.latency.add(observation.latency_s)
        self.ended += 1
        if observation.expected is not None and observation.outcome is _OK:
            books.expected.observe(observation.expected)
        if observation.label != UNKNOWN_CLASS:
            _judge(books, observation, 1.0)

    def pass_stages(self, forward_s: float, upstream_s: float, reply_s: float) -> None:
        """How long a request that was answered spent where."""
        self.forward.add(forward_s)
        self.upstream.add(upstream_s)
        self.reply.add(reply_s)

    def judge(self, observation: Observation, weight: float) -> None:
        """The label of a request that was booked without one is known; it stands in the observation now.

        Args:
            observation: The request.
            weight: One over the probability with which it was chosen to be labelled.
        """
        _judge(self.open(observation.model, observation.version, observation.slice), observation, weight)

    def copy(self) -> Ledger:
        """All counts of this instant."""
        return Ledger(
            self.bounds_s,
            self.received,
            self.ended,
            {key: books.copy() for key, books in self.series.items()},
            self.forward.copy(),
            self.upstream.copy(),
            self.reply.copy(),
        )

    @property
    def labelled(self) -> int:
        """Labelled requests over all series."""
        return sum(self.judgements().values())

    @property
    def answered_labelled(self) -> int:
        """Labelled requests over all series whose client got an answer, late or not; accuracy of answers is a share of
        these.
        """
        return sum(count for (outcome, _), count in self.judgements().items() if outcome.answered)

    def outcomes(self) -> Counter[Outcome]:
        """Requests that ended, by outcome, over all series."""
        total: Counter[Outcome] = Counter()
        for books in self.series.values():
            total.update(books.outcomes)
        return total

    def judgements(self) -> Counter[tuple[Outcome, Verdict]]:
        """Labelled requests by outcome and verdict, over all series."""
        total: Counter[tuple[Outcome, Verdict]] = Counter()
        for books in self.series.values():
            total.update(books.labelled)
        return total


def _judge(books: SeriesBooks, observation: Observation, weight: float) -> None:
    verdict = observation.verdict
    books.labelled[observation.outcome, verdict] += 1
    books.weight[observation.outcome, verdict] += weight
    books.weight_squares += weight * weight
    if verdict is _RIGHT:
        latency_s, budget_s = observation.latency_s, observation.budget_s
        books.right_latency.add(latency_s)
        books.right_ratio.add(latency_s / budget_s if budget_s > 0.0 else math.inf)
