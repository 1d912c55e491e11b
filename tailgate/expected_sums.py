"""What is expected of the answers of one stretch of traffic, and what quality that comes to.

Lives here: sums that add up over stretches and processes, and the one formula. Must not live here: where an answer's
probability comes from (`expectations.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

from tailgate.observation import Expected

Z95: Final = 1.96
"""The standard normal's two-sided 95 %."""


class ExpectedQuality(NamedTuple):
    """Time-critical accuracy as it is to be expected where labels are missing.

    Attributes:
        tca: The share in time × the share of these that are expected to be right.
        lower: Of its 95 % interval.
        upper: Its other end.
    """

    tca: float
    lower: float
    upper: float


@dataclass(slots=True)
class ExpectedSums:
    """Sums, in any order, over answers in time of which something was expected.

    Attributes:
        looked_at: How many they are.
        answers: How many they stand for.
        right: How many of those are expected to be right.
        spread: Standard errors of these probabilities, added up: they come from the same labels, so they err together.
    """

    looked_at: int = 0
    answers: float = 0.0
    right: float = 0.0
    spread: float = 0.0

    def observe(self, expected: Expected) -> None:
        """Count an answer in time, if anything was expected of it."""
        if expected.right is not None:
            self.looked_at += 1
            self.answers += expected.stands_for
            self.right += expected.stands_for * expected.right
            self.spread += expected.stands_for * math.hypot(expected.spread, expected.beyond)

    def add(self, other: ExpectedSums) -> None:
        """Add those of another stretch."""
        self.looked_at += other.looked_at
        self.answers += other.answers
        self.right += other.right
        self.spread += other.spread

    def copy(self) -> ExpectedSums:
        """The sums as they are now."""
        return ExpectedSums(self.looked_at, self.answers, self.right, self.spread)

    def quality(self, in_time: int, requests: int) -> ExpectedQuality | None:
        """What quality is to be expected of a stretch; None where nothing can be said.

        The variance of the share that is right is that of as many independent answers as were looked at, and the
        squared mean of the spreads beside it. The first is more than enough: those that were not looked at are right
        or wrong as well, and that they differ in their probabilities makes their mean surer.

        Args:
            in_time: Requests of the stretch that were answered in time.
            requests: All of them.
        """
        if not self.answers or not requests:
            return None
        share, in_time_share = self.right / self.answers, in_time / requests
        error = Z95 * math.hypot(math.sqrt(share * (1.0 - share) / self.looked_at), self.spread / self.answers)
        lower, upper = max(share - error, 0.0), min(share + error, 1.0)
        return ExpectedQuality(in_time_share * share, in_time_share * lower, in_time_share * upper)
