"""The search for the highest rate that holds. Pure: it says what to try next, and is told what came of it.

A rate holds where the quality within the deadline is what was asked for *and* the run was valid. The search doubles or
halves the rate until one holds and a higher one does not, halves the distance between the two on a logarithmic scale,
and then tries the one that holds with a second seed. If it does not hold with that, it was luck: the rate counts as too
high, and the search goes on with the second seed, whose word is then confirmed by the first.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from tailgate.errors import ConfigError
from tailgate.units import parse_duration
from tailgate_loadgen.options import Options

CONFIDENCE = 0.99
MAX_TRIALS = 40
"""A target whose limit moves all the time would be searched for ever."""
LOWEST_SHARE = 0.01
"""Of the rate tried first: where that does not hold, the rate is hardly what is wrong."""

BEARABLE_PRECISION = 0.01


class Verdict(Enum):
    """What came of a trial."""

    HELD = "held"
    MISSED = "missed"
    INVALID = "invalid"
    """The generator could not send at that rate, so nothing is known of the target."""


@dataclass(frozen=True)
class Trial:
    """What to try: a rate in requests a second, with the first or the second seed."""

    rate: float
    seed: int


@dataclass(frozen=True)
class Found:
    """What a search came to.

    Attributes:
        rate: The highest rate that held with both seeds; None where none did.
        limit: What came of the lowest rate tried that did not hold; None where all did, up to the highest allowed.
    """

    rate: float | None
    limit: Verdict | None


class RateSearch:
    """The search: `next` until it is None, and `record` after each; then `found`."""

    def __init__(self, start: float, precision: float, highest: float, max_trials: int = MAX_TRIALS) -> None:
        """Begin at a rate.

        Args:
            start: Tried first; no rate below a hundredth of it is tried.
            precision: The rate found may be lower than the limit by so much, as a share.
            highest: No rate above it is tried.
            max_trials: After so many the search ends.
        """
        self._next_rate = min(start, highest)
        self._precision = precision
        self._highest = highest
        self._lowest = self._next_rate * LOWEST_SHARE
        self._trials_left = max_trials
        self._held: dict[int, set[float]] = {0: set(), 1: set()}
        self._high = math.inf
        self._limit: Verdict | None = None
        self._first = 0
        self._step = 2.0
        self._done = False
        self._trial: Trial | None = None

    def next(self) -> Trial | None:
        """What to try now; None at the end."""
        if self._done or not self._trials_left:
            return None
        low = self._low
        if low is not None and self._is_close(low):
            self._trial = Trial(low, 1 - self._first)
        else:
            self._trial = Trial(self._next_rate, self._first)
        return self._trial

    def record(self, verdict: Verdict) -> None:
        """What came of the trial that `next` named."""
        assert self._trial is not None
        trial, self._trial = self._trial, None
        self._trials_left -= 1
        if verdict is Verdict.HELD:
            self._held[trial.seed].add(trial.rate)
        else:
            self._high, self._limit = trial.rate, verdict
            if trial.seed != self._first:
                self._first, self._step = trial.seed, 1 + self._precision
        low = self._low
        if low is None:
            self._done = self._high <= self._lowest
        else:
            self._done = self._is_close(low) and low in self._held[1 - self._first]
        if not self._done:
            self._next_rate = self._choose(low)

    def found(self) -> Found:
        """What is known so far."""
        both = self._held[0] & self._held[1]
        return Found(max((rate for rate in both if rate < self._high), default=None), self._limit)

    @property
    def _low(self) -> float | None:
        """The highest rate that held with the seed that leads, below any that did not hold."""
        return max((rate for rate in self._held[self._first] if rate < self._high), default=None)

    def _is_close(self, low: float) -> bool:
        """Whether there is nothing more to be found between this rate and what is too high."""
        return low == self._highest or self._high / low <= 1 + self._precision

    def _choose(self, low: float | None) -> float:
        if low is None:
            rate = max(self._lowest, self._high / self._step)
            self._step = min(2.0, self._step**2)  # after a confirmation that failed, the limit is probably near
            return rate
        if math.isinf(self._high):
            return min(self._highest, 2 * low)
        middle = math.sqrt(low * self._high)
        readable = float(f"{middle:.4g}")
        return readable if low < readable < self._high else middle


def highest_bearable(bears: Callable[[float], bool], lowest: float, highest: float) -> float:
    """The highest rate that the generator bears, found to within a hundredth.

    Args:
        bears: Whether it bears a rate; of `lowest` that is known.
        lowest: Above zero.
        highest: Nothing above it is asked for.
    """
    if bears(highest):
        return highest
    while highest / lowest > 1 + BEARABLE_PRECISION:
        middle = math.sqrt(lowest * highest)
        lowest, highest = (middle, highest) if bears(middle) else (lowest, middle)
    readable = float(f"{lowest:.4g}")
    return readable if readable <= lowest else lowest


@dataclass(frozen=True)
class SearchOptions:
    """What is searched for.

    Attributes:
        target_quality: Share that has to be right within the deadline.
        start: Rate tried first.
        max_rate: No rate above it is tried.
        precision: As for `RateSearch`.
        probe_s: How long each rate is tried at least.
    """

    target_quality: float
    start: float
    max_rate: float
    precision: float
    probe_s: float

    def passes(self, samples: int, rate: float, least: int) -> int:
        """Whole passes that each rate is tried with, so that it is always the same samples that are asked for.

        Args:
            samples: In each.
            rate: That is tried.
            least: Passes that are asked for in any case.
        """
        requests = max(min_requests(self.target_quality), rate * self.probe_s)
        return max(least, math.ceil(requests / samples))


def read_search(namespace: argparse.Namespace, options: Options) -> SearchOptions:
    """The options of the search as checked values.

    Raises:
        ConfigError: One of them is out of range, or contradicts the options of the runs.
    """
    quality, highest, precision = namespace.target_quality, namespace.max_rate, namespace.precision
    if quality is None or not 0 < quality < 1:
        given = "missing" if quality is None else quality
        raise ConfigError(f"--target-quality is {given}; expected a share above 0 and below 1, such as 0.95")
    if options.rate is None:
        raise ConfigError("--arrivals is a recording, and a search needs a rate to begin with: give --rate")
    if not options.rate <= highest < math.inf:
        raise ConfigError(f"--max-rate is {highest}; expected at least --rate, which is {options.rate:g}")
    if not 0.005 <= precision <= 1:
        raise ConfigError(f"--precision is {precision}; expected a share from 0.005 to 1")
    if options.until is not None:
        raise ConfigError("--until-stable and --tolerance are about one run; leave them out of a search")
    if options.min_quality is not None or options.sharing.shard or options.sharing.start_at_unix_s is not None:
        raise ConfigError("--min-quality, --shard and --start-at are about one run; leave them out of a search")
    return SearchOptions(
        quality, options.rate, highest, precision, parse_duration(namespace.probe_time, "--probe-time")
    )


def min_requests(share: float) -> int:
    """Requests after which one failure still leaves it 99 % sure that the share of successes is at least this.

    It is MLPerf LoadGen's bound for ending a run early (64 for 90 %, 662 for 99 %): the least n with
    P(Binomial(n, 1 − share) ≤ 1) ≤ 1 %.

    >>> min_requests(0.9), min_requests(0.99)
    (64, 662)
    """
    low, high = 1, math.ceil(20 / (1 - share))
    while low < high:
        middle = (low + high) // 2
        if _at_most_one(middle, 1 - share) <= 1 - CONFIDENCE:
            high = middle
        else:
            low = middle + 1
    return low


def _at_most_one(trials: int, share: float) -> float:
    """P(Binomial(trials, share) ≤ 1)."""
    return float((1 - share) ** trials + trials * share * (1 - share) ** (trials - 1))
