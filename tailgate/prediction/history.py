"""A run's passes in time order, and what lateness cost in each place. Pure: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class History:
    """Passes at one threshold.

    The quality of pass r is ``ceiling − sum(loss[r]) / samples``, exactly.

    Attributes:
        quality: Q(θ), float `[passes]`.
        counted: float `[passes, samples]`, by sample: what each response counted, ``score · 1[t ≤ θ]``.
        loss: float `[passes, samples]`, in the order of arrival: what each response counted less than its sample can.
        event: bool `[passes, samples]`, in the order of arrival: late, unanswered, or worse than its sample can.
        ceiling: The quality of a pass in which nothing is lost.
    """

    quality: FloatArray
    counted: FloatArray
    loss: FloatArray
    event: BoolArray
    ceiling: float

    @property
    def passes(self) -> int:
        """How many there are."""
        return len(self.loss)

    @property
    def samples(self) -> int:
        """How many each pass has."""
        return int(self.loss.shape[1])

    def part(self, rows: slice) -> History:
        """Some of the passes, in time order; the ceiling stays that of all."""
        return History(self.quality[rows], self.counted[rows], self.loss[rows], self.event[rows], self.ceiling)


def history_of(
    response_s: npt.ArrayLike, score: npt.ArrayLike, threshold_s: float, arrival_s: npt.ArrayLike | None = None
) -> History:
    """Passes at a threshold.

    What a sample can count is the best score that any answer to it had, in time or not. One that was never answered
    can count what the others can on average.

    Args:
        response_s: Seconds until the complete answer, float `[passes, samples]`, passes in time order; `inf` where none
            came.
        score: 0 to 1, float `[samples]` or `[passes, samples]`; does not count where no answer came.
        threshold_s: θ in seconds, included.
        arrival_s: When each came, of the same shape, on any clock; None where the columns are in time order.

    Raises:
        ValueError: There is no pass, the shapes do not fit, a time is NaN or negative, or a score is not within 0 to 1.
    """
    times = np.asarray(response_s, np.float64)
    if times.ndim != 2 or not times.size:
        raise ValueError(f"response_s has shape {times.shape}; expected [passes, samples] with at least one of each")
    given = np.asarray(score, np.float64)
    if given.shape not in (times.shape, times.shape[1:]):
        raise ValueError(f"score has shape {given.shape}; expected {times.shape[1:]} or {times.shape}")
    if not (times >= 0).all():
        raise ValueError("response_s holds a NaN or a negative time; write inf where no answer came")
    if not ((given >= 0) & (given <= 1)).all():
        raise ValueError("score holds a value outside 0 to 1")
    answered = np.isfinite(times)
    seen = np.where(answered, np.broadcast_to(given, times.shape), 0.0)
    late = ~answered | (times > threshold_s)
    counted = np.where(late, 0.0, seen)
    can = seen.max(axis=0)
    known = answered.any(axis=0)
    can[~known] = can[known].mean() if known.any() else 1.0
    loss = can - counted
    event = late | (loss > 0)
    if arrival_s is not None:
        order = np.argsort(np.asarray(arrival_s, np.float64), axis=1, kind="stable")
        loss, event = np.take_along_axis(loss, order, axis=1), np.take_along_axis(event, order, axis=1)
    return History(counted.mean(axis=1), counted, loss, event, float(can.mean()))
