"""For `bench/detector.py`: streams of scores with a known quality, and what sees them: the e-CUSUM, and burn rates.

Two kinds of stream, both with the same mean. *Independent*: each response is right and in time with one probability.
*Bursts*: calm and burst take turns, each of exponential length; in a burst four of five answers are late.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tailgate.detector import BETS

FloatArray = npt.NDArray[np.float64]

BURST_SHARE, BURST_LATE = 0.05, 0.8
"""Of the time that is burst; of a burst's answers that are late."""

_CHUNK = 65_536


@dataclass(frozen=True)
class Stream:
    """A kind of traffic.

    Attributes:
        rate: Labelled responses a second.
        burst_s: Mean length of a burst; 0 for independent responses.
    """

    rate: float
    burst_s: float = 0.0

    @property
    def name(self) -> str:
        """In words."""
        return f"bursts of {self.burst_s:g} s" if self.burst_s else "independent"

    def scores(
        self, generator: np.random.Generator, quality: float, block_s: float, blocks: int, *, of: int = _CHUNK
    ) -> Iterator[FloatArray]:
        """Means of successive blocks, in arrays of at most `of`."""
        responses = max(round(self.rate * block_s), 1)
        if not self.burst_s:
            for start in range(0, blocks, of):
                yield generator.binomial(responses, quality, min(of, blocks - start)) / responses
            return
        calm = quality / (1 - BURST_LATE * BURST_SHARE)
        if calm > 1:
            raise ValueError(f"quality {quality} cannot be had with bursts of this kind")
        occupied = _Bursts(generator, self.burst_s)
        for start in range(0, blocks, of):
            count = min(of, blocks - start)
            in_burst = np.rint(occupied.shares(block_s, count) * responses).astype(np.int64)
            right = generator.binomial(responses - in_burst, calm)
            right += generator.binomial(in_burst, calm * (1 - BURST_LATE))
            yield right / responses


class _Bursts:
    """How much of each block is burst, along a line of time."""

    def __init__(self, generator: np.random.Generator, burst_s: float) -> None:
        self._generator = generator
        self._burst_s = burst_s
        self._calm_s = burst_s * (1 - BURST_SHARE) / BURST_SHARE
        self._in_burst = bool(generator.random() < BURST_SHARE)

    def shares(self, block_s: float, blocks: int) -> FloatArray:
        """Of the next blocks. Exponential lengths have no memory: each call may draw what is left of one anew."""
        length_s = block_s * blocks
        pairs = int(length_s / (self._burst_s + self._calm_s) * 1.2) + 50
        lengths = self._generator.exponential(1.0, (pairs, 2))
        first, second = (self._burst_s, self._calm_s) if self._in_burst else (self._calm_s, self._burst_s)
        ends = np.concatenate(([0.0], np.cumsum((lengths * (first, second)).ravel())))
        if ends[-1] < length_s:
            raise RuntimeError("the drawn bursts do not reach to the end")
        kinds = np.tile((self._in_burst, not self._in_burst), pairs)
        burst_until = np.concatenate(([0.0], np.cumsum(np.diff(ends) * kinds)))
        self._in_burst = bool(kinds[np.searchsorted(ends, length_s) - 1])
        edges = np.interp(np.arange(blocks + 1) * block_s, ends, burst_until)
        shares: FloatArray = np.clip(np.diff(edges) / block_s, 0.0, 1.0)
        return shares


class Cusum:
    """`tailgate.detector.Detector` over arrays: the logarithm of M is a sum less its lowest point so far."""

    def __init__(self, baseline: float, threshold: float) -> None:
        self._baseline = baseline
        self._threshold = threshold
        self._sizes = np.array(BETS)[:, None] / (1 - baseline)
        self._log = np.zeros((len(BETS), 1))

    def first_alarm(self, scores: FloatArray) -> int | None:
        """How many of these scores there were at the alarm, if there was one; then it begins anew."""
        sums = np.cumsum(np.log1p(self._sizes * (self._baseline - scores)), axis=1)
        lowest = np.minimum.accumulate(np.concatenate((-np.maximum(self._log, 0.0), sums[:, :-1]), axis=1), axis=1)
        logs = sums - lowest
        reached = np.exp(np.minimum(logs, 300.0)).mean(axis=0) >= self._threshold
        if reached.any():
            self._log = np.zeros_like(self._log)
            return int(reached.argmax()) + 1
        self._log = logs[:, -1:]
        return None

    def alarms(self, scores: FloatArray) -> list[int]:
        """How many scores there were at each alarm."""
        found, done = [], 0
        while done < len(scores):
            at = self.first_alarm(scores[done:])
            if at is None:
                break
            done += at
            found.append(done)
        return found


def run_length(chunks: Iterator[FloatArray], detector: Cusum) -> tuple[int, bool]:
    """Scores until the first alarm, or until the end of the stream; and whether there was an alarm."""
    seen = 0
    for scores in chunks:
        at = detector.first_alarm(scores)
        if at is not None:
            return seen + at, True
        seen += len(scores)
    return seen, False


@dataclass(frozen=True)
class Burn:
    """An alert on the rate at which an error budget burns: over both windows above `factor` times what is allowed."""

    factor: float
    long_s: float
    short_s: float

    def fires(self, scores: FloatArray, objective: float, block_s: float) -> npt.NDArray[np.bool_]:
        """After which blocks it does; never before the long window is full."""
        sums = np.concatenate(([0.0], np.cumsum(1 - scores)))

        def burning(window_s: float) -> npt.NDArray[np.bool_]:
            width = round(window_s / block_s)
            rate = np.zeros(len(scores))
            rate[width - 1 :] = (sums[width:] - sums[:-width]) / width
            return np.asarray(rate > self.factor * (1 - objective))

        return burning(self.long_s) & burning(self.short_s)


def first(found: npt.NDArray[np.bool_]) -> int | None:
    """How many places until the first that is true, itself included."""
    return int(found.argmax()) + 1 if found.any() else None


def episodes(found: npt.NDArray[np.bool_]) -> int:
    """How often it became true."""
    return int((found[1:] & ~found[:-1]).sum() + found[:1].sum())
