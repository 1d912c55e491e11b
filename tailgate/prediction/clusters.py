"""Stalls: which late responses belong together. Pure: arrays in, arrays out.

Late responses come in clusters. Which gap between two of them parts two clusters is taken from the gaps themselves:
between independent clusters they are exponential, and the share of such gaps, the extremal index, has a closed estimate
(Ferro and Segers, "Inference for clusters of extreme values", 2003, equations 5, 6 and section 4). From few clusters it
is off by some; so it only tells how long a gap between clusters is on average, and what is much shorter is within one.
Where what the clusters imply about passes is contradicted by the passes, because something slower is at work, they are
joined further.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tailgate.prediction.history import History

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_MUCH_SHORTER, _ROUNDS = 20.0, 5
"""A gap is within a cluster if it is so many times shorter than those between: of exponential ones 5 % are."""
_BRIEF = 1000
"""What takes less than such a part of a pass is no stall, but a late response, or a batch of them."""
_SURE_Z = 2.326
"""How surely the passes must contradict the clusters before these are joined: the normal's 99 %."""


@dataclass(frozen=True)
class Clusters:
    """Stalls of a history, in time order.

    Attributes:
        start: Place of the first late response in the history, int `[clusters]`, counted through all passes.
        length: Responses from the first late one to the last, int `[clusters]`.
        excess: What is lost in each place of each cluster, less what is lost everywhere on average: one array a
            cluster, float `[length]`. Time that one stall takes, no other can take.
        samples: Responses in a pass.
        passes: Passes in the history.
    """

    start: IntArray
    length: IntArray
    excess: tuple[FloatArray, ...]
    samples: int
    passes: int

    def __len__(self) -> int:
        """How many."""
        return len(self.start)

    @cached_property
    def sizes(self) -> FloatArray:
        """What each loses in excess of the average, float `[clusters]`."""
        return np.array([float(part.sum()) for part in self.excess])

    @cached_property
    def parts(self) -> tuple[IntArray, FloatArray, FloatArray]:
        """What passes lose by clusters, wherever they begin: of which cluster, how much, in how many places."""
        found = [overlaps(excess, self.samples) for excess in self.excess]
        if not found:
            return np.empty(0, np.int64), np.empty(0), np.empty(0)
        member = np.repeat(np.arange(len(found)), [len(values) for values, _ in found])
        values, times = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        return member, values, times

    @property
    def telling(self) -> float:
        """From how many stalls is known how much passes differ: many small ones count little beside a large one."""
        square = self.sizes**2
        return float(square.sum() ** 2 / (square**2).sum()) if (self.sizes > 0).any() else 0.0

    @property
    def typical(self) -> float:
        """Length of those by which passes differ: each counts as its size squared; 0 where nothing is lost."""
        square = self.sizes**2
        return float((square * self.length).sum() / square.sum()) if (self.sizes > 0).any() else 0.0

    @property
    def brief(self) -> bool:
        """Whether all that was seen is late responses by themselves: none of what took longer than that is known."""
        return len(self) > 0 and self.typical <= max(self.samples / _BRIEF, 1.0)

    @property
    def longest(self) -> int:
        """Length of the longest; 0 where there is none."""
        return int(self.length.max(initial=0))


def clusters_of(history: History) -> Clusters:
    """The stalls of a history."""
    event, loss = history.event.ravel(), history.loss.ravel()
    place = np.flatnonzero(event)
    gaps = np.diff(place)
    # The history is closed to a circle, so that what lies around a single stall is a gap as well.
    gap = intracluster_gap(np.append(gaps, len(event) - place[-1] + place[0])) if len(place) else 1
    found = _grouped(history, place, gaps, loss, gap)
    observed = float(history.loss.sum(axis=1).var(ddof=1)) if history.passes > 2 else 0.0
    while len(found) > 1 and observed > _surely(history.passes - 1) * cumulant(found, 2):
        gap = 2 * gap + 1
        joined = _grouped(history, place, gaps, loss, gap)
        if joined.longest > len(event) / 2:
            break  # what goes on all the time is no stall; that passes differ is then told by their rates
        found = joined
    return found


def intracluster_gap(gaps: IntArray) -> int:
    """The largest distance between two events of one cluster, by the intervals estimator; neighbours always are of one.

    Args:
        gaps: Distances between events that follow each other, each at least 1; at least one.
    """
    times = gaps.astype(np.float64)
    if times.max() <= 2:
        index = 2 * times.sum() ** 2 / (len(times) * (times**2).sum())
    else:
        index = 2 * (times - 1).sum() ** 2 / (len(times) * ((times - 1) * (times - 2)).sum())
    between = min(max(int(min(index, 1.0) * len(gaps)), 1), len(gaps))  # so many gaps part clusters
    long = np.sort(times)[::-1][:between]
    for _ in range(_ROUNDS):
        long = times[times > max(long.mean() / _MUCH_SHORTER, 1.0)]
        if not len(long):
            return 1
    return max(int(long.mean() / _MUCH_SHORTER), 1)


def cumulant(clusters: Clusters, order: int) -> float:
    """Of a pass's loss, if clusters come independently of each other: the sum of their powers, at their rate."""
    _, values, times = clusters.parts
    return float((values**order * times).sum()) / (clusters.samples * clusters.passes)


def overlaps(excess: FloatArray, samples: int) -> tuple[FloatArray, FloatArray]:
    """What a pass loses by a cluster, wherever the pass begins: values, and in how many places each.

    Args:
        excess: Of each place of the cluster.
        samples: Responses in a pass.
    """
    sums = np.concatenate(([0.0], np.cumsum(excess)))
    length = len(excess)
    partly = np.arange(1, min(length, samples))
    if length <= samples:
        whole, times = sums[-1:], np.array([samples - length + 1.0])
    else:
        whole = sums[samples:] - sums[: length - samples + 1]
        times = np.ones(len(whole))
    values = np.concatenate((whole, sums[partly], sums[-1] - sums[length - partly]))
    return np.maximum(values, 0.0), np.concatenate((times, np.ones(2 * len(partly))))


def _grouped(history: History, place: IntArray, gaps: IntArray, loss: FloatArray, gap: int) -> Clusters:
    if not len(place):
        return Clusters(place, place, (), history.samples, history.passes)
    new = np.concatenate(([True], gaps > gap))
    start, end = place[new], place[np.concatenate((new[1:], [True]))]
    excess = tuple(_excesses(loss, start, end))
    return Clusters(start, end - start + 1, excess, history.samples, history.passes)


def _excesses(loss: FloatArray, start: IntArray, end: IntArray) -> Iterator[FloatArray]:
    mean = float(loss.mean())
    for first, last in zip(start.tolist(), end.tolist(), strict=True):
        yield loss[first : last + 1] - mean


def _surely(degrees: int) -> float:
    """How many times a variance an estimate of it from so many degrees of freedom surely does not exceed.

    The chi-squared quantile by Wilson and Hilferty's cube, over its degrees of freedom.
    """
    spread = 2 / (9 * degrees)
    return (1 - spread + _SURE_Z * math.sqrt(spread)) ** 3
