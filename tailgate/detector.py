"""A sequential detector of regressions: the e-CUSUM, which bets against "quality is at least the baseline".

Lives here: the statistic and when it alarms. Must not live here: what a score is made of, or a clock.

For a bet λ each score q multiplies ``M ← max(M, 1) · (1 + λ (μ0 − q))``. Low scores make it grow, however small the
drop; the floor at 1 forgets good times, so there is no window length to choose. The mean of M over a few λ is the
statistic, for large drops ask for large bets and small drops for small ones. It alarms at A (Shin, Ramdas and Rinaldo,
e-detectors; Waudby-Smith and Ramdas, testing by betting).

**The guarantee**: while each score's mean, *given everything before it*, is at least μ0, the mean number of scores
between false alarms is at least A. Nothing else is asked of the scores but that they lie in 0..1: no step is then
expected to raise M above max(M, 1) ≤ M + 1, so ``A ≤ E[M at the alarm] ≤ E[scores until the alarm]``.

**What it rests on**: lateness comes in bursts. Within a burst the next *response* is worse than μ0 given those before
it, however good the average, so a detector that is fed response by response takes every burst for a regression. Feed it
means over blocks of time that are many times as long as bursts: then what came before says little about the next
block. What it still says, where a burst reaches over the edge between two blocks, only slack can cover:
`bench/detector.py` shows that ten times the bursts' mean length is enough, and three times is not. A is then a number
of blocks, and quality is a mean over time: a block at night counts as much as one at noon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

BETS: Final = (0.01, 0.03, 0.1, 0.3, 0.9)
"""λ as shares of the largest that keeps M positive, 1 / (1 − μ0): evenly spread over drops from small to large."""


class Evidence(NamedTuple):
    """Why the detector alarmed.

    Attributes:
        statistic: At least the threshold.
        mean: Of the scores since the drop began, as far as the winning bet can tell.
        scores: How many these are.
    """

    statistic: float
    mean: float
    scores: int


@dataclass(slots=True)
class _Bet:
    """One λ: its M, and the scores since M was last at most 1."""

    size: float
    wealth: float = 0.0
    scores: int = 0
    total: float = 0.0

    def update(self, score: float, baseline: float) -> float:
        if self.wealth <= 1.0:
            self.wealth, self.scores, self.total = 1.0, 0, 0.0
        self.wealth *= 1.0 + self.size * (baseline - score)
        self.scores += 1
        self.total += score
        return self.wealth


class Detector:
    """Watches one stream of scores.

    Attributes:
        baseline: μ0, what the stream is held to.
        threshold: A, at which it alarms: at least so many scores lie between false alarms, on average.
        statistic: Where it stands; up to 1 says nothing.
        alarms: How many there were.
    """

    def __init__(self, baseline: float, threshold: float, bets: tuple[float, ...] = BETS) -> None:
        """Start without evidence.

        Args:
            baseline: Above 0 and below 1.
            threshold: Above 1.
            bets: As shares of the largest possible bet, each above 0 and below 1; at least one.

        Raises:
            ValueError: One of them is out of its range.
        """
        if not 0.0 < baseline < 1.0:
            raise ValueError(f"baseline is {baseline}; expected above 0 and below 1")
        if not threshold > 1.0:
            raise ValueError(f"threshold is {threshold}; expected above 1, the number of scores between false alarms")
        if not bets or not all(0.0 < bet < 1.0 for bet in bets):
            raise ValueError(f"bets are {bets}; expected shares above 0 and below 1, at least one")
        self.baseline = baseline
        self.threshold = threshold
        self.statistic = 0.0
        self.alarms = 0
        self._sizes = tuple(bet / (1.0 - baseline) for bet in bets)
        self._bets = [_Bet(size) for size in self._sizes]

    def update(self, score: float) -> Evidence | None:
        """Take one score; returns the evidence if this is an alarm, after which it begins anew.

        Args:
            score: 0 to 1, the mean of a block.

        Raises:
            ValueError: The score is out of its range.
        """
        if not 0.0 <= score <= 1.0:
            raise ValueError(f"score is {score}; expected 0 to 1")
        statistic = sum(bet.update(score, self.baseline) for bet in self._bets) / len(self._bets)
        self.statistic = statistic
        if statistic < self.threshold:
            return None
        winner = max(self._bets, key=lambda bet: bet.wealth)
        self.alarms += 1
        self._bets = [_Bet(size) for size in self._sizes]
        self.statistic = 0.0
        return Evidence(statistic, winner.total / winner.scores, winner.scores)
