"""Where labelled arrivals went, by cause: what the model lost, what lateness lost, and what never came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tailgate.outcome import Outcome
from tailgate.report.missing import UNLABELLED, Missing
from tailgate.report.table import Cell, Column, Table

CAUSES: tuple[str, ...] = ("right", "wrong", "late", "deadline", "refused", "failed", "left")
MEANING: Mapping[str, str] = {
    "right": "right and in time",
    "wrong": "wrong, in time",
    "late": "answered too late",
    "deadline": "deadline, no answer",
    "refused": "refused",
    "failed": "failed",
    "left": "client left",
}

_WITHOUT_ANSWER: Mapping[Outcome, str] = {
    Outcome.DEFAULT_ANSWERED: "deadline",
    Outcome.EXPIRED_ON_ARRIVAL: "deadline",
    Outcome.EXPIRED_IN_QUEUE: "deadline",
    Outcome.DEADLINE_IN_FLIGHT: "deadline",
    Outcome.NOT_SENT: "deadline",
    Outcome.SHED_QUEUE_FULL: "refused",
    Outcome.SHED_PREDICTED_LATE: "refused",
    Outcome.DRAINING: "refused",
    Outcome.REJECTED_INVALID: "refused",
    Outcome.REJECTED_LIMIT: "refused",
    Outcome.REJECTED_AUTH: "refused",
    Outcome.CLIENT_CANCELLED: "left",
    Outcome.UPSTREAM_UNAVAILABLE: "failed",
    Outcome.UPSTREAM_ERROR: "failed",
    Outcome.UPSTREAM_INVALID: "failed",
    Outcome.INTERNAL: "failed",
}

COLUMNS = (
    Column("system", "System", "text"),
    Column("cause", "What became of it", "text"),
    Column("arrivals", "Labelled arrivals", "count"),
    Column("share", "Share", "share"),
)


@dataclass(frozen=True)
class Causes:
    """Labelled arrivals by cause.

    Attributes:
        arrivals: Float, because a score between 0 and 1 is partly right; keys are `CAUSES`, and they add up to
            `labelled`.
        labelled: All of them.
    """

    arrivals: Mapping[str, float]
    labelled: int

    def share(self, cause: str) -> float:
        """Of all labelled arrivals."""
        return self.arrivals[cause] / self.labelled


def causes_of(
    outcome: npt.NDArray[Any], in_time: npt.NDArray[np.bool_], seen: npt.NDArray[np.bool_], score: npt.ArrayLike
) -> Causes | Missing:
    """Count them.

    Args:
        outcome: How each labelled arrival ended, `[arrivals]`.
        in_time: Whether its answer was complete by the threshold.
        seen: Whether a complete answer was seen at all.
        score: Of the answer, 0 to 1; does not count where none was seen.
    """
    if not len(outcome):
        return Missing(UNLABELLED)
    scores = np.asarray(score, np.float64)
    in_time = in_time & seen
    right = float(scores[in_time].sum())
    found = dict.fromkeys(CAUSES, 0.0)
    found |= {"right": right, "wrong": float(in_time.sum()) - right, "late": float((seen & ~in_time).sum())}
    for number, count in enumerate(np.bincount(outcome[~seen]).tolist()):
        if count:
            found[_WITHOUT_ANSWER.get(Outcome(number), "failed")] += count
    return Causes(found, len(outcome))


def table(named: list[tuple[str, Causes]]) -> Table:
    """One row for each cause of each system, also for those that did not occur."""
    rows: list[tuple[Cell, ...]] = [
        (name, cause, _whole(found.arrivals[cause]), found.share(cause)) for name, found in named for cause in CAUSES
    ]
    return Table(COLUMNS, tuple(rows))


def _whole(count: float) -> int | float:
    return int(count) if count.is_integer() else count
