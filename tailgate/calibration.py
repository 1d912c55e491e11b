"""How often answers are right that are so sure of themselves: learned from those whose label is known.

Lives here: one calibration, of one model version. Must not live here: which answers are looked at (`sampler.py`), or
what is made of the probabilities (`expectations.py`).

A network's own confidence, its highest softmax, orders its answers well and is no probability: modern ones are too sure
(Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, arXiv 1706.04599). What is learned is
therefore only that surer answers are right at least as often: shares of right answers by confidence, in bins, made to
rise by isotonic regression (Zadrozny and Elkan, Transforming classifier scores into accurate multiclass probability
estimates, 2002). Over the answers it was learned from it is right on average, exactly.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tailgate.isotonic import isotonic_blocks
from tailgate.protocol.answers import NO_CONFIDENCE

BINS: Final = 61
"""Bin k holds confidences from 1 - 2**(-k/4), so that they are told apart near 1, where most lie."""

LEAST_LABELS: Final = 50
"""So many labels, or labels of differing weight that are worth as many, are needed before anything is said."""

MOST_WEIGHT: Final = 20_000.0
"""When labels of so much weight are known, all so far count half: what was learned long ago fades."""

_LAST_BIN: Final = BINS - 1
_WITHOUT: Final = BINS  # answers that show no confidence are a kind of their own


class Probability(NamedTuple):
    """That an answer is right.

    Attributes:
        right: 0 to 1.
        spread: Its standard error, from how few labels it was learned.
    """

    right: float
    spread: float


class Calibration:
    """From confidence to probability.

    `learn` and `probability` cost a look into a table; `fit`, which is called once in a while, makes the table.
    """

    def __init__(self) -> None:
        """Nothing is known."""
        self._weight = np.zeros(BINS + 1)
        self._squares = np.zeros(BINS + 1)
        self._right = np.zeros(BINS + 1)
        self._learned = False
        self._table: list[Probability] | None = None

    @property
    def known(self) -> bool:
        """Whether it says anything."""
        return self._table is not None

    def learn(self, confidence: float, *, right: bool, weight: float = 1.0) -> None:
        """An answer of this confidence was right, or was not.

        Args:
            confidence: 0 to 1, or `NO_CONFIDENCE`.
            right: Whether it was.
            weight: How many answers it stands for: one over the probability with which it was looked at and labelled.
        """
        at = _bin(confidence)
        self._weight[at] += weight
        self._squares[at] += weight * weight
        if right:
            self._right[at] += weight
        self._learned = True

    def fit(self) -> None:
        """Take what was learned into account."""
        if not self._learned:
            return
        self._learned = False
        total = float(self._weight.sum())
        if total * total / float(self._squares.sum()) >= LEAST_LABELS:
            self._table = [*self._of_bins(), self._together([_WITHOUT])]
        if total > MOST_WEIGHT:
            self._weight *= 0.5
            self._squares *= 0.5
            self._right *= 0.5

    def probability(self, confidence: float) -> Probability | None:
        """That an answer of this confidence is right; None while too little is known."""
        return None if self._table is None else self._table[_bin(confidence)]

    def _of_bins(self) -> list[Probability]:
        """Of every bin; one in which nothing was seen takes the next below it that has something, or else above."""
        seen = np.flatnonzero(self._weight[:BINS])
        if not len(seen):
            return [self._together([*range(BINS)])] * BINS
        weight = self._weight[seen]
        starts = isotonic_blocks(self._right[seen] / weight, weight)
        blocks = [self._together(block) for block in np.split(seen, starts[1:])]
        block_of_seen = np.searchsorted(starts, np.arange(len(seen)), side="right") - 1
        place = np.maximum(np.searchsorted(seen, np.arange(BINS), side="right") - 1, 0)
        return [blocks[index] for index in block_of_seen[place].tolist()]

    def _together(self, bins: list[int] | npt.NDArray[np.intp]) -> Probability:
        """Of some bins as one."""
        weight, squares = float(self._weight[bins].sum()), float(self._squares[bins].sum())
        if not weight:  # a kind of answer that was never labelled: it may be right or not
            return Probability(0.5, 0.5)
        right = float(self._right[bins].sum()) / weight
        labels = weight * weight / squares
        # Seen without a mistake is not sure to be without one: half an answer of each kind is added (Jeffreys).
        smooth = (right * labels + 0.5) / (labels + 1.0)
        return Probability(right, math.sqrt(smooth * (1.0 - smooth) / (labels + 1.0)))


def _bin(confidence: float) -> int:
    if confidence == NO_CONFIDENCE:
        return _WITHOUT
    unsure = 1.0 - confidence
    return _LAST_BIN if unsure <= 0.0 else min(int(-4.0 * math.log2(unsure)), _LAST_BIN)
