"""From stalls to passes: the distribution of what a pass loses, if stalls come at random as often as they came.

A pass then loses a compound Poisson sum, whose distribution follows from its characteristic function
``exp(Σ rate(x) · (e^(itx) − 1))`` by one fast Fourier transform. How little a few stalls say of the rate and of the
sizes is told by drawing the rates anew: every stall that was seen is given a weight, exponential with mean one (the
Bayesian bootstrap of a Poisson process), and one that was not seen is added to them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tailgate.prediction.clusters import Clusters, overlaps

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

BINS = 4096
_GROUPS = 48
"""Stalls of about the same size have one weight, the sum of theirs: more would cost time and show nothing."""
_DEVIATIONS = 12
_NOISE = 1e-12
_AT_ONCE = 64  # distributions that are transformed together: bounds memory


@dataclass(frozen=True)
class Losses:
    """Distributions of what a pass loses, on a grid from 0.

    Attributes:
        width: Of a bin, in scores.
        shift: Lost in every pass besides, float `[distributions]`.
        exceeded: Probability that at least so many bins are lost, float `[distributions, bins]`, falling from 1.
    """

    width: float
    shift: FloatArray
    exceeded: FloatArray

    def largest(self, probability: npt.ArrayLike) -> FloatArray:
        """The largest loss of each distribution that is reached with at least this probability, `[distributions]`.

        Args:
            probability: One for all, or one for each.
        """
        levels = np.broadcast_to(np.asarray(probability, np.float64), self.shift.shape)
        bins = (self.exceeded >= np.maximum(levels, _NOISE)[:, None] - _NOISE / 2).sum(axis=1) - 1
        return np.asarray(self.shift + self.width * np.maximum(bins, 0), np.float64)


@dataclass(frozen=True)
class Unseen:
    """One stall more, that the history does not show.

    Attributes:
        weight: How many such there were to a history, float `[distributions]`.
        length: In responses, float `[distributions]`.
        density: What one of its responses loses.
    """

    weight: FloatArray
    length: FloatArray
    density: float


def losses(clusters: Clusters, mean_loss: float, most: float, *, weights: FloatArray, unseen: Unseen | None) -> Losses:
    """The distributions of a pass's loss.

    Args:
        clusters: Stalls.
        mean_loss: What the history's passes lost on average; the distribution of weights 1 has the same mean.
        most: A pass can lose no more.
        weights: Of every group of stalls by `groups_of`, float `[distributions, groups]`; a group's mean weight is the
            number of stalls in it.
        unseen: Added to them.
    """
    group, counts = groups_of(clusters)
    groups, scale = len(counts), weights / counts
    parts = [overlaps(excess, clusters.samples) for excess in clusters.excess]
    value = np.concatenate([values for values, _ in parts]) if parts else np.empty(0)
    rate = np.concatenate([times for _, times in parts]) if parts else np.empty(0)
    rate /= clusters.samples * clusters.passes
    member = np.repeat(group, [len(values) for values, _ in parts])
    first, second = (np.bincount(member, value**power * rate, minlength=groups) for power in (1, 2))
    width = _width(scale @ first, scale @ second, float(value.max(initial=0.0)), most, unseen)
    binned = _binned(value / width, rate, member, groups)
    rates = scale @ binned
    if unseen is not None:
        _add_unseen(rates, unseen, width, clusters)
    # What the grid's jumps lack of the mean is lost in every pass: what is lost on average in the time that a stall
    # takes, which its excess leaves out, and what is lost by jumps too small for the grid.
    lost = [float(excess.sum()) + mean_loss / clusters.samples * len(excess) for excess in clusters.excess]
    lacking = np.bincount(group, lost, minlength=groups) / clusters.passes - binned @ np.arange(BINS) * width
    return Losses(width, np.maximum(scale @ lacking, 0.0), _exceeded(rates))


def groups_of(clusters: Clusters) -> tuple[IntArray, IntArray]:
    """Which stalls share a weight: the group of each, and how many are in each group."""
    sizes = np.array([float(part.sum()) for part in clusters.excess])
    _, group = np.unique(sizes.round(6), return_inverse=True)
    if len(sizes) and group.max() >= _GROUPS:
        rank = np.argsort(np.argsort(sizes, kind="stable"), kind="stable")
        group = rank * _GROUPS // len(sizes)
    return group.astype(np.int64), np.bincount(group).astype(np.int64)


def _width(mean: FloatArray, square: FloatArray, biggest: float, most: float, unseen: Unseen | None) -> float:
    """A bin's, so that the grid goes beyond all that has a probability worth its name."""
    if unseen is not None and len(unseen.weight):
        size, rate = unseen.length * unseen.density, unseen.weight
        biggest = max(biggest, float(size.max()))
        mean, square = mean + rate * size, square + rate * size**2
    reach = float((mean + _DEVIATIONS * np.sqrt(square)).max()) + 2 * biggest
    return max(min(reach, 4 * most), 1.0) / BINS


def _binned(place: FloatArray, rate: FloatArray, member: IntArray, groups: int) -> FloatArray:
    """Rates on the grid, `[groups, bins]`: each is shared by its two neighbours, so that its mean stays what it is.

    Jumps smaller than a bin become fewer jumps of a whole one, with the same variance; the caller sees to their mean.
    """
    rate = np.where(place < 1, rate * place**2, rate)
    place = np.where((place > 0) & (place < 1), 1.0, place)
    low = np.minimum(place.astype(np.int64), BINS - 2)
    upper = np.clip(place - low, 0, 1)
    row = member * BINS
    flat = np.bincount(row + low, rate * (1 - upper), minlength=groups * BINS)
    flat += np.bincount(row + low + 1, rate * upper, minlength=groups * BINS)
    return np.asarray(flat.reshape(groups, BINS), np.float64)


def _add_unseen(rates: FloatArray, unseen: Unseen, width: float, clusters: Clusters) -> None:
    """A stall seen whole in most places where a pass can begin, and in part in as many as it is long, twice."""
    length = np.minimum(unseen.length, clusters.samples)
    last = np.minimum((length * unseen.density / width).astype(np.int64), BINS - 1)
    rate = unseen.weight / clusters.passes
    rates[np.arange(len(rates)), last] += rate * (clusters.samples - length) / clusters.samples
    # A longer one than a pass fills passes, and is there as many times oftener.
    rates[np.arange(len(rates)), last] += rate * np.maximum(unseen.length - clusters.samples, 0) / clusters.samples
    for row, (end, much) in enumerate(zip(last.tolist(), (2 * rate * length / clusters.samples).tolist(), strict=True)):
        rates[row, : end + 1] += much / (end + 1)


def _exceeded(rates: FloatArray) -> FloatArray:
    exceeded = np.empty_like(rates)
    for start in range(0, len(rates), _AT_ONCE):
        some = rates[start : start + _AT_ONCE]
        transform = np.fft.rfft(some, axis=1)
        np.exp(transform - some.sum(axis=1, keepdims=True), out=transform)
        probability = np.clip(np.fft.irfft(transform, BINS, axis=1), 0, None)
        below = np.cumsum(probability, axis=1)
        exceeded[start : start + _AT_ONCE] = 1 - np.concatenate((np.zeros((len(some), 1)), below[:, :-1]), axis=1)
    return exceeded
