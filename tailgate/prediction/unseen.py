"""Stalls that a history does not show, and can have missed: how many, how long, how large. Pure.

Three cases. Stalls were seen: one to come can be larger than all of them (`sizes`). Only lone late responses were: a
stall may never have come by, of any length and at any rate that so short a history hides, the rarer the likelier.
Nothing was late: nothing is known of what a stall is, and the worst case is guessed at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tailgate.prediction.clusters import Clusters
from tailgate.prediction.sizes import believed, law_of

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

HALF = 0.5
"""Of a stall: with so much more than were seen is the rate's posterior under Jeffreys' prior.

One whole one larger than all seen is added, so half a one is taken from the others."""
_LITTLE = 1e-3
_HIDDEN_SHAPE = 0.07
"""Nearly: any order of magnitude of the rate alike, down to one stall in a million histories."""


@dataclass(frozen=True)
class Unseen:
    """Stalls more than the history shows, float `[draws, sizes]` each.

    Attributes:
        weight: How many such there were to a history.
        length: In responses.
        size: What one loses.
        hidden: Whether it is of a kind of which none was seen, bool `[sizes]`.
        usual: Mean size of those that are no larger than what was seen, float `[draws, 1]`; 0 where none was.
    """

    weight: FloatArray
    length: FloatArray
    size: FloatArray
    hidden: BoolArray
    usual: FloatArray

    def no_worse(self) -> Unseen:
        """As often, but none larger than usual; of a kind that was not seen, none."""
        shrunk = np.where(self.hidden, 1.0, self.usual / np.maximum(np.maximum(self.usual, self.size), _LITTLE))
        weight = np.where(self.hidden, 0.0, self.weight)
        return replace(self, weight=weight, length=self.length * shrunk, size=self.size * shrunk)


def shapes_of(sizes: FloatArray, kind: FloatArray, group: IntArray) -> FloatArray:
    """What weight each group of stalls keeps beside the unseen ones, as a gamma distribution's shape, `[groups]`.

    Args:
        sizes: Of all stalls.
        kind: Of the kind that has the largest, from the largest on.
        group: Of each stall.
    """
    weight = np.ones(len(sizes))
    if len(kind):
        weight[sizes.argmax()] -= HALF
        weight[sizes >= kind[-1]] *= 1 - believed(len(kind))
    return np.maximum(np.bincount(group, weight), _LITTLE) if len(group) else weight


def unseen(clusters: Clusters, kind: FloatArray, ceiling: float, draws: int, generator: np.random.Generator) -> Unseen:
    """What may come besides.

    Args:
        clusters: Those seen.
        kind: Sizes of the kind that has the largest, from the largest on.
        ceiling: The quality of a pass in which nothing is lost: what a response in a hidden stall loses.
        draws: How many cases to draw of those that are likely.
        generator: Draws.
    """
    if not len(kind):
        length = clusters.samples ** generator.random((draws, 1))
        return Unseen(
            generator.gamma(HALF, size=(draws, 1)), length, length * ceiling, np.ones(1, np.bool_), np.zeros((draws, 1))
        )
    law = law_of(kind, draws, generator)
    sizes = law.sizes
    usual = (sizes * law.within).sum(axis=1, keepdims=True)
    weight = generator.exponential(1.0, (draws, 1)) * law.above
    weight += generator.gamma(believed(len(kind)) * (len(kind) - HALF), size=(draws, 1)) * law.within
    longest = float(clusters.length[clusters.sizes.argmax()])
    # A larger one is longer, until it fills a pass; then more is late within it.
    length = np.minimum(longest * sizes / kind[0], max(longest, clusters.samples))
    hidden = np.zeros(sizes.shape[1], np.bool_)
    if clusters.brief:
        where = generator.random((draws, 1))
        lasting = clusters.typical ** (1 - where) * clusters.samples**where
        weight = np.hstack((weight, generator.gamma(_HIDDEN_SHAPE, size=(draws, 1))))
        length, sizes = np.hstack((length, lasting)), np.hstack((sizes, lasting * ceiling))
        hidden = np.append(hidden, True)
    return Unseen(weight, length, np.minimum(sizes, length), hidden, usual)
