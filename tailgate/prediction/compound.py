"""From stalls to passes: the distribution of what a pass loses, if stalls come at random as often as they came.

A pass then loses a compound Poisson sum, whose distribution follows from its characteristic function
``exp(ψ(t))``, ``ψ(t) = Σ rate(x) · (e^(itx) − 1)``, by one fast Fourier transform. Where the rate has a factor that
changes from pass to pass, a gamma variable with mean 1 and variance v, it is ``(1 − v ψ(t))^(−1/v)`` instead. Every
distribution has its own rates, by weights of the stalls; which weights, others decide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tailgate.prediction.clusters import Clusters
from tailgate.prediction.unseen import Unseen

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

BINS = 4096
_GROUPS = 48
"""Stalls of about the same size have one weight, the sum of theirs: more would cost time and show nothing."""
_DEVIATIONS = 12
_NOISE = 1e-12
_RARE = 1e-5  # a stall in so few passes needs no room on the grid
_AT_ONCE = 50  # distributions with about the same reach share a grid; bounds memory as well


@dataclass(frozen=True)
class Losses:
    """Distributions of what a pass loses, each on its grid from 0.

    Attributes:
        width: Of a bin, in scores, float `[distributions]`.
        shift: Lost in every pass besides, float `[distributions]`.
        exceeded: Probability that at least so many bins are lost, float `[distributions, bins]`, falling from 1.
    """

    width: FloatArray
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
class _Jumps:
    """What a pass loses by the stalls seen.

    Attributes:
        value: Loss of each jump.
        rate: How often it comes to a pass, at weight 1.
        group: Of the stall that it is of.
        lost: What each group loses in a pass on average, in all, float `[groups]`.
    """

    value: FloatArray
    rate: FloatArray
    group: IntArray
    lost: FloatArray

    def moment(self, power: int) -> FloatArray:
        """Sum of the jumps' powers to a pass, float `[groups]`."""
        return np.asarray(np.bincount(self.group, self.value**power * self.rate, minlength=len(self.lost)), np.float64)


def losses(
    clusters: Clusters,
    mean_loss: float,
    most: float,
    *,
    weights: FloatArray,
    unseen: Unseen | None = None,
    changing: FloatArray | None = None,
) -> Losses:
    """The distributions of a pass's loss.

    Args:
        clusters: Stalls.
        mean_loss: What the history's passes lost on average; the distribution of weights 1 has the same mean.
        most: A pass can lose no more.
        weights: Of every group of stalls by `groups_of`, float `[distributions, groups]`; a group's mean weight is the
            number of stalls in it.
        unseen: Added to them.
        changing: Variance between passes of the rate's factor, float `[distributions]`; None where it stays.
    """
    group, counts = groups_of(clusters)
    scale = weights / counts
    between = np.zeros(len(scale)) if changing is None else changing
    jumps = _jumps(clusters, mean_loss, group, len(counts))
    reach = np.maximum(np.minimum(_reach(clusters, jumps, scale, unseen, between), 4 * most), 1.0)
    width, shift, exceeded = np.empty(len(scale)), np.empty(len(scale)), np.empty((len(scale), BINS))
    order = np.argsort(reach, kind="stable")
    for start in range(0, len(order), _AT_ONCE):
        rows = order[start : start + _AT_ONCE]
        bin_width = float(reach[rows].max()) / BINS
        binned = _binned(jumps, bin_width, len(counts))
        # What the grid's jumps lack of the mean is lost in every pass: what is lost on average in the time that a
        # stall takes, which its excess leaves out, and what is lost by jumps too small for the grid.
        lacking = np.maximum(scale[rows] @ (jumps.lost - binned @ np.arange(BINS) * bin_width), 0.0)
        rates = scale[rows] @ binned
        if unseen is not None:
            rates += _unseen_rates(unseen, rows, bin_width, clusters)
        changes = between[rows] > 0
        rates[changes, 1] += lacking[changes] / bin_width  # what changes with the rate is no constant
        width[rows], shift[rows] = bin_width, np.where(changes, 0.0, lacking)
        exceeded[rows] = _exceeded(rates, between[rows])
    return Losses(width, shift, exceeded)


def groups_of(clusters: Clusters) -> tuple[IntArray, IntArray]:
    """Which stalls share a weight: the group of each, and how many are in each; the larger the stalls, the later."""
    sizes = clusters.sizes
    _, group = np.unique(sizes.round(6), return_inverse=True)
    if len(sizes) and group.max() >= _GROUPS:
        rank = np.argsort(np.argsort(sizes, kind="stable"), kind="stable")
        group = rank * _GROUPS // len(sizes)
    return group.astype(np.int64), np.bincount(group).astype(np.int64)


def _jumps(clusters: Clusters, mean_loss: float, group: IntArray, groups: int) -> _Jumps:
    member, value, times = clusters.parts
    lost = clusters.sizes + mean_loss / clusters.samples * clusters.length
    return _Jumps(
        value,
        times / (clusters.samples * clusters.passes),
        group[member],
        np.bincount(group, lost, minlength=groups) / clusters.passes,
    )


def _reach(
    clusters: Clusters, jumps: _Jumps, scale: FloatArray, unseen: Unseen | None, between: FloatArray
) -> FloatArray:
    """How far each grid must go to hold all that has a probability worth its name."""
    mean, square = scale @ jumps.lost, scale @ jumps.moment(2)
    biggest = np.full(len(scale), float(jumps.value.max(initial=0.0)))
    if unseen is not None:
        size, rate = np.minimum(unseen.size, clusters.samples), unseen.weight / clusters.passes
        mean = mean + (size * rate).sum(axis=1)
        square = square + (size**2 * rate).sum(axis=1)
        biggest = np.maximum(biggest, np.where(rate > _RARE, size, 0.0).max(axis=1))
    return np.asarray(mean + _DEVIATIONS * np.sqrt(square + between * mean**2) + 2 * biggest, np.float64)


def _binned(jumps: _Jumps, width: float, groups: int) -> FloatArray:
    """Rates on the grid, `[groups, bins]`: each is shared by its two neighbours, so that its mean stays what it is.

    Jumps smaller than a bin become fewer jumps of a whole one, with the same variance; the caller sees to their mean.
    """
    place = jumps.value / width
    rate = np.where(place < 1, jumps.rate * place**2, jumps.rate)
    place = np.where((place > 0) & (place < 1), 1.0, place)
    low = np.minimum(place.astype(np.int64), BINS - 2)
    upper = np.clip(place - low, 0, 1)
    row = jumps.group * BINS
    flat = np.bincount(row + low, rate * (1 - upper), minlength=groups * BINS)
    flat += np.bincount(row + low + 1, rate * upper, minlength=groups * BINS)
    return np.asarray(flat.reshape(groups, BINS), np.float64)


def _unseen_rates(unseen: Unseen, rows: IntArray, width: float, clusters: Clusters) -> FloatArray:
    """Whole in most places where a pass can begin, and in part in as many as it is long, twice: `[rows, bins]`."""
    samples = clusters.samples
    rate = unseen.weight[rows] / clusters.passes
    length = np.minimum(unseen.length[rows], samples)
    size = unseen.size[rows] * length / unseen.length[rows]
    last = np.minimum((size / width).astype(np.int64), BINS - 1)
    # A longer one than a pass fills passes, and is there as many times oftener.
    whole = rate * (samples - length + np.maximum(unseen.length[rows] - samples, 0)) / samples
    partly = 2 * rate * length / samples / (last + 1)
    row = np.arange(len(rows))[:, None] * (BINS + 1)
    # In part it loses anything up to all: the same rate in every bin to the last, as a running sum of its ends.
    ends = np.bincount((row + 0 * last).ravel(), partly.ravel(), minlength=len(rows) * (BINS + 1))
    ends -= np.bincount((row + last + 1).ravel(), partly.ravel(), minlength=len(rows) * (BINS + 1))
    rates = np.cumsum(ends.reshape(len(rows), BINS + 1), axis=1)
    rates += np.bincount((row + last).ravel(), whole.ravel(), minlength=rates.size).reshape(rates.shape)
    return np.maximum(rates[:, :BINS], 0.0)


def _exceeded(rates: FloatArray, between: FloatArray) -> FloatArray:
    power = np.fft.rfft(rates, axis=1) - rates.sum(axis=1, keepdims=True)
    changes = between > 0
    if changes.any():
        variance = between[changes, None]
        power[changes] = -np.log1p(-variance * power[changes]) / variance
    probability = np.clip(np.fft.irfft(np.exp(power), BINS, axis=1), 0, None)
    below = np.cumsum(probability, axis=1)
    return np.asarray(1 - np.concatenate((np.zeros((len(rates), 1)), below[:, :-1]), axis=1), np.float64)
