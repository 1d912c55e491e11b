"""The live books: what has arrived, and how each arrival ended, as counts.

Lives here: counting, and nothing else. Everything is an integer or a sum, so the books of several processes add up.
One thread owns a ledger; whoever reads it on that thread sees every count at one instant.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tailgate.observation import Observation, Verdict
from tailgate.outcome import ANSWER_SEEN, PROXY_OUTCOMES, Outcome
from tailgate.protocol.answers import UNKNOWN_CLASS

_RIGHT: Final = Verdict.RIGHT

BASE_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


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

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> list[int]:
        """How many were at most each bound; the last element counts all."""
        total, running = 0, []
        for count in self.counts:
            total += count
            running.append(total)
        return running


@dataclass
class ModelBooks:
    """The counts of one model and version.

    Attributes:
        labelled: Requests that ended and whose label is known, answered or not; quality is a share of these.
        answered_labelled: Of these, the ones whose client got an answer, late or not; accuracy of answers is a share of
            these.
        outcomes: By outcome and verdict; every outcome a proxy can book is there from the start, at zero.
        latency: Of every request, until it ended, however it ended.
        right_latency: Of right answers alone, late ones included: divided by `labelled` it is Q(θ) at each bound.
    """

    outcomes: Counter[tuple[Outcome, Verdict]]
    latency: Histogram
    right_latency: Histogram
    labelled: int = 0
    answered_labelled: int = 0


@dataclass
class Ledger:
    """All counts of one process.

    Attributes:
        bounds_s: Upper bounds of the latency histograms.
        received: Requests that arrived.
        ended: Requests that have their outcome.
        models: Counts by model and version.
    """

    bounds_s: tuple[float, ...]
    received: int = 0
    ended: int = 0
    models: dict[tuple[str, str], ModelBooks] = field(default_factory=dict)

    @property
    def in_flight(self) -> int:
        """Requests without an outcome yet: what keeps ``received == sum(outcomes) + in_flight`` true at any instant."""
        return self.received - self.ended

    def open(self, model: str, version: str) -> ModelBooks:
        """The books of a model, opened at zero if they were not open."""
        books = self.models.get((model, version))
        if books is None:
            outcomes: Counter[tuple[Outcome, Verdict]] = Counter()
            for outcome in PROXY_OUTCOMES:
                for verdict in Verdict if outcome in ANSWER_SEEN else (Verdict.UNKNOWN,):
                    outcomes[outcome, verdict] = 0
            books = ModelBooks(outcomes, Histogram(self.bounds_s), Histogram(self.bounds_s))
            self.models[model, version] = books
        return books

    def arrive(self) -> None:
        """A request came in."""
        self.received += 1

    def book(self, observation: Observation) -> None:
        """A request ended."""
        books = self.open(observation.model, observation.version)
        outcome, verdict = observation.outcome, observation.verdict
        books.outcomes[outcome, verdict] += 1
        books.latency.add(observation.latency_s)
        if observation.label != UNKNOWN_CLASS:
            books.labelled += 1
            books.answered_labelled += outcome.answered
        if verdict is _RIGHT:
            books.right_latency.add(observation.latency_s)
        self.ended += 1

    @property
    def labelled(self) -> int:
        """Labelled requests over all models."""
        return sum(books.labelled for books in self.models.values())

    @property
    def answered_labelled(self) -> int:
        """Labelled requests over all models whose client got an answer."""
        return sum(books.answered_labelled for books in self.models.values())

    def outcomes(self) -> Counter[tuple[Outcome, Verdict]]:
        """Counts over all models."""
        total: Counter[tuple[Outcome, Verdict]] = Counter()
        for books in self.models.values():
            total.update(books.outcomes)
        return total
