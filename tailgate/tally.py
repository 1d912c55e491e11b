"""Everything that is counted of one stretch of traffic: its sums, its outcomes, its latencies.

Lives here: adding stretches up and taking them away again. Must not live here: which stretch a request belongs to
(`window.py`), or what the sums say (`counts.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tailgate.counts import Counts
from tailgate.outcome import PROXY_OUTCOMES, Outcome


def _none_of_each() -> dict[Outcome, int]:
    return dict.fromkeys(PROXY_OUTCOMES, 0)


@dataclass(slots=True)
class Tally:
    """Everything that is counted of one stretch of traffic.

    Attributes:
        counts: Its sums.
        outcomes: Requests by outcome.
        latency: Requests by latency: how many up to each bound (inclusive) and above the one before; the last are
            those above all bounds.
        right_latency: The same of right answers, late ones included.
    """

    latency: list[int]
    right_latency: list[int]
    counts: Counts = field(default_factory=Counts)
    outcomes: dict[Outcome, int] = field(default_factory=_none_of_each)

    @classmethod
    def empty(cls, bounds_s: tuple[float, ...]) -> Tally:
        """A stretch without traffic."""
        width = len(bounds_s) + 1
        return cls([0] * width, [0] * width)

    def add(self, other: Tally) -> None:
        """Add another stretch to this one."""
        self.counts.add(other.counts)
        for outcome, count in other.outcomes.items():
            self.outcomes[outcome] += count
        self.latency = [mine + its for mine, its in zip(self.latency, other.latency, strict=True)]
        self.right_latency = [mine + its for mine, its in zip(self.right_latency, other.right_latency, strict=True)]

    def remove(self, other: Tally) -> None:
        """Take a stretch away again, all but its weights (`Counts.reweigh`)."""
        self.counts.remove(other.counts)
        for outcome, count in other.outcomes.items():
            self.outcomes[outcome] -= count
        self.latency = [mine - its for mine, its in zip(self.latency, other.latency, strict=True)]
        self.right_latency = [mine - its for mine, its in zip(self.right_latency, other.right_latency, strict=True)]
