"""Counts of a run while it goes on, for the eye; what counts in the end is read back from the trace."""

from __future__ import annotations

from dataclasses import dataclass

from tailgate.observation import Observation, Verdict
from tailgate.outcome import Outcome


@dataclass
class Tally:
    """How a run stands.

    Attributes:
        total: Requests it will have.
        started: Those whose instant has come.
        ended: Those that have an outcome.
        in_time: Answered by their deadline.
        answered: Answered, late or not.
        right: Answered right, late or not.
        right_in_time: Answered right by their deadline.
        standing: What is to be said of its passes, if anything.
    """

    total: int
    started: int = 0
    ended: int = 0
    in_time: int = 0
    answered: int = 0
    right: int = 0
    right_in_time: int = 0
    standing: str = ""

    def add(self, observation: Observation) -> None:
        """Count a request that has ended."""
        in_time, right = observation.outcome is Outcome.OK, observation.verdict is Verdict.RIGHT
        self.ended += 1
        self.in_time += in_time
        self.answered += observation.outcome.answered
        self.right += right
        self.right_in_time += in_time and right

    def __str__(self) -> str:
        """One line for the screen."""
        late = _percent(self.ended - self.in_time, self.ended)
        return (
            f"{self.started:,} sent, {self.started - self.ended:,} in flight, {late} late or unanswered, "
            f"{_percent(self.right, self.answered)} of answers right, "
            f"{_percent(self.right_in_time, self.ended)} right and in time"
            f"{'; ' if self.standing else ''}{self.standing}"
        )


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "–"
