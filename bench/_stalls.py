"""Simulated runs whose stalls are known: times of batches, passes of them, and what many passes really show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

SAMPLES, BATCH = 50_000, 8
BATCHES = SAMPLES // BATCH
ACCURACY = 0.7613  # ResNet-50's top-1 accuracy
_CHUNK = 500  # passes made at a time


@dataclass(frozen=True)
class Stalls:
    """How a simulated machine stalls.

    Attributes:
        share: Of the time.
        batches: Length of a stall; its mean, where lengths are random.
        random_length: Whether lengths are geometric rather than all the same.
        slowed: Share of a stall's batches that are slow at all.
    """

    share: float
    batches: int
    random_length: bool = False
    slowed: float = 1.0

    def stalled(self, generator: np.random.Generator, batches: int) -> BoolArray:
        """Which of so many batches lie in a stall: gaps are geometric, so stalls come at any time alike."""
        gap = self.batches * (1 - self.share) / self.share
        before = int(3 * (gap + self.batches))  # until nothing is left of the beginning, where no stall is
        cycles = (batches + before) / (gap + self.batches)
        count = int(1.2 * cycles + 10 * np.sqrt(cycles) + 10)
        gaps = generator.geometric(1 / gap, count)
        lengths = np.full(count, self.batches)
        if self.random_length:
            lengths = generator.geometric(1 / self.batches, count)
        ends = np.cumsum(gaps + lengths) - before
        edges = np.zeros(batches + 1, np.int64)
        starts = ends - lengths
        there = (ends > 0) & (starts < batches)
        np.add.at(edges, np.maximum(starts[there], 0), 1)
        np.add.at(edges, np.minimum(ends[there], batches), -1)
        inside: BoolArray = np.cumsum(edges[:-1]) > 0
        return inside if self.slowed == 1 else inside & (generator.random(batches) < self.slowed)

    def times(self, generator: np.random.Generator, passes: int) -> FloatArray:
        """Seconds of every batch, `[passes, batches]`."""
        slow = self.stalled(generator, passes * BATCHES)
        seconds = 0.04 + generator.gamma(4, 0.001, len(slow))
        seconds[slow] += generator.gamma(4, 0.01, int(slow.sum()))
        return seconds.reshape(passes, BATCHES)


@dataclass(frozen=True)
class Truth:
    """What a long simulation shows.

    Attributes:
        score: Of each sample, `[samples]`; batches hold neighbours.
        threshold_s: p99 of the batches' time.
        quality: Q(θ) of many passes.
    """

    score: FloatArray
    threshold_s: float
    quality: FloatArray

    def quantile(self, level: float) -> float:
        """Of pass quality."""
        return float(np.percentile(self.quality, 100 * level, method="inverted_cdf"))


def truth_of(stalls: Stalls, generator: np.random.Generator, passes: int) -> Truth:
    """Make many passes."""
    score = (generator.random(SAMPLES) < ACCURACY).astype(np.float64)
    right = score.reshape(BATCHES, BATCH).sum(axis=1)
    threshold_s = float(np.percentile(stalls.times(generator, _CHUNK), 99, method="inverted_cdf"))
    quality = np.concatenate(
        [((stalls.times(generator, _CHUNK) <= threshold_s) @ right) / SAMPLES for _ in range(passes // _CHUNK)]
    )
    return Truth(score, threshold_s, quality)
