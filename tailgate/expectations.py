"""What quality is to be expected while labels are missing, and how wrong that was once they came.

Lives here: for each model version and slice a calibration, and its past error. Must not live here: the join of labels
with requests (`labels.py`), counts (`counts.py`), or a clock.

An answer whose label is not known yet is expected to be right with the probability that its own confidence had among
labelled answers of the same version and slice; while a slice has too few of these, of the version. That holds while
surer answers are right as often as they were; it cannot see a change that leaves the confidences as they are. So each
expectation is kept until the label comes, and how far minutes were off, beyond what chance explains, widens what is
said from then on.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from tailgate.calibration import Calibration
from tailgate.ledger import Histogram, Series
from tailgate.observation import Expected, Observation, Verdict

STRETCH_S: Final = 60.0
"""Labelled answers are compared with what was expected of them by the minute."""

KEPT_STRETCHES: Final = 1440
ERROR_BUCKETS: Final[tuple[float, ...]] = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)

_RIGHT: Final = Verdict.RIGHT


@dataclass(slots=True)
class Reconciled:
    """Answers of which first something was expected, and then the label came: sums by weight.

    Attributes:
        weight: Of the answers.
        squares: Of their weights.
        expected: Right ones that were expected.
        right: Right ones.
        spread: Of the expectations, for want of labels to learn from.
        chance: Variance of an answer's being right, given what was expected of it, by weight.
    """

    weight: float = 0.0
    squares: float = 0.0
    expected: float = 0.0
    right: float = 0.0
    spread: float = 0.0
    chance: float = 0.0

    def add(self, probability: float, spread: float, *, right: bool, weight: float) -> None:
        """One more."""
        self.weight += weight
        self.squares += weight * weight
        self.expected += weight * probability
        self.right += weight * right
        self.spread += weight * spread
        # Where no mistake was seen none is expected, but it would be no wonder either.
        self.chance += weight * max(probability * (1.0 - probability), spread)

    @property
    def error(self) -> float:
        """The share that was expected less the share that came true."""
        return (self.expected - self.right) / self.weight

    @property
    def variance(self) -> float:
        """Of that error, if the expectations were true probabilities but for want of labels."""
        answers = self.weight * self.weight / self.squares
        return self.chance / self.weight / answers + (self.spread / self.weight) ** 2


def _no_errors() -> deque[tuple[float, float]]:
    return deque(maxlen=KEPT_STRETCHES)


def _no_sizes() -> Histogram:
    return Histogram(ERROR_BUCKETS)


@dataclass(slots=True)
class PastError:
    """How far off expectations were, minute by minute: those of a model version, or of one slice of it.

    Attributes:
        errors: The share that was expected less the share that came true, with the variance that explains itself.
        sizes: How large the errors were, for a histogram.
        beyond: Standard deviation of the errors beyond that variance.
        answers: That were reconciled, by weight.
        expected: How many of these were expected to be right.
        right: How many were.
    """

    errors: deque[tuple[float, float]] = field(default_factory=_no_errors)
    sizes: Histogram = field(default_factory=_no_sizes)
    beyond: float = 0.0
    answers: float = 0.0
    expected: float = 0.0
    right: float = 0.0

    def add(self, stretch: Reconciled) -> None:
        """A stretch is complete.

        ``beyond`` is the moment estimate of the variance between studies (DerSimonian and Laird, 1986), around zero
        rather than around their mean, so that an expectation which is always too high counts as error too.
        """
        self.answers += stretch.weight
        self.expected += stretch.expected
        self.right += stretch.right
        self.sizes.add(abs(stretch.error))
        self.errors.append((stretch.error, max(stretch.variance, 1e-12)))
        excess = sum(error * error / variance for error, variance in self.errors) - len(self.errors)
        self.beyond = math.sqrt(max(excess, 0.0) / sum(1.0 / variance for _, variance in self.errors))


@dataclass(slots=True)
class _Learned:
    calibration: Calibration = field(default_factory=Calibration)
    past: PastError = field(default_factory=PastError)
    open: dict[int, Reconciled] = field(default_factory=dict)


class Expectations:
    """Of every model version that answers, and of its slices."""

    def __init__(self, wait_s: float) -> None:
        """Expect nothing.

        Args:
            wait_s: How long labels are waited for: older stretches are complete.
        """
        self._wait_s = wait_s
        self._versions: dict[tuple[str, str], _Learned] = {}
        self._slices: dict[Series, _Learned] = {}

    def expect(self, series: Series, confidence: float, stands_for: int) -> Expected:
        """What is to be expected of an answer that has just come, before anything is known of its label.

        Args:
            series: The model and version that answered, and the request's slice.
            confidence: The answer's, 0 to 1, or `NO_CONFIDENCE`.
            stands_for: How many answers it was chosen from.
        """
        for known in (self._slices.get(series), self._versions.get(series[:2])):
            probability = None if known is None else known.calibration.probability(confidence)
            if known is not None and probability is not None:
                return Expected(confidence, stands_for, probability.right, probability.spread, known.past.beyond)
        return Expected(confidence, stands_for)

    def judge(self, observation: Observation, weight: float = 1.0) -> None:
        """The label of a request is known and settled.

        Args:
            observation: The request, with its label.
            weight: 1 / the probability with which it was chosen to be labelled.
        """
        expected = observation.expected
        if expected is None:
            return
        series = (observation.model, observation.version, observation.slice)
        right, weight = observation.verdict is _RIGHT, weight * expected.stands_for
        number = int(observation.arrival_unix_s // STRETCH_S)
        for of in (
            self._versions.setdefault(series[:2], _Learned()),
            self._slices.setdefault(series, _Learned()),
        ):
            of.calibration.learn(expected.confidence, right=right, weight=weight)
            if expected.right is not None:
                stretch = of.open.setdefault(number, Reconciled())
                stretch.add(expected.right, expected.spread, right=right, weight=weight)

    def advance(self, now_unix_s: float) -> None:
        """Time went on; to be called about once a second."""
        oldest = int((now_unix_s - self._wait_s) // STRETCH_S)
        for of in (*self._versions.values(), *self._slices.values()):
            of.calibration.fit()
            for number in sorted(number for number in of.open if number < oldest):
                of.past.add(of.open.pop(number))

    def past(self, series: Series) -> PastError | None:
        """How wrong those of one slice were; None while no label has come."""
        of = self._slices.get(series)
        return None if of is None else of.past

    def pasts(self) -> dict[tuple[str, str], PastError]:
        """How wrong those of every model version were that has labels, over its slices."""
        return {key: of.past for key, of in self._versions.items()}
