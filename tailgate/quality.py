"""Time-critical quality Q(θ): the share of arrivals that were answered right and within θ.

Lives here: Q over passes and thresholds, and where the rest was lost. The definitions are those of arXiv 2212.13925
("Quality at the Tail"): a response with score s ∈ [0, 1] and time t counts ``s · 1[t ≤ θ]``, θ included; one that never
came counts 0 and stays in the denominator. Must not live here: the tail over many passes, files, or a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def pass_quality(latency_s: npt.ArrayLike, score: npt.ArrayLike, thresholds_s: npt.ArrayLike) -> FloatArray:
    """Q(θ) of every pass at every threshold.

    Each response is put into the interval between thresholds that it falls in, once, and the sums are accumulated over
    the intervals: one sorted search a response, whatever the number of thresholds. Scores of 0 and 1 are counted as
    integers, so those results are exact counts divided by the number of samples.

    Args:
        latency_s: Seconds until the complete answer, float `[passes, samples]`; `inf` where none came.
        score: 0 to 1, float `[samples]` (the same in each pass) or `[passes, samples]`.
        thresholds_s: θ in seconds, float `[thresholds]`, in any order.

    Returns:
        float `[thresholds, passes]`.

    Raises:
        ValueError: The shapes do not fit, a latency is NaN or negative, a score lies outside 0 to 1, or a threshold is
            NaN.

    >>> pass_quality([[0.01, 0.05, np.inf]], [1.0, 1.0, 1.0], [0.05, 0.04])
    array([[0.66666667],
           [0.33333333]])
    """
    latency, scores, thresholds = _checked(latency_s, score, thresholds_s)
    passes, samples = latency.shape
    order = np.argsort(thresholds, kind="stable")
    ascending = thresholds[order]
    binary = bool(((scores == 0) | (scores == 1)).all())
    totals = np.empty((len(thresholds), passes))
    for index in range(passes):
        row = scores if scores.ndim == 1 else scores[index]
        # Interval i holds what is within threshold i and not within the one below: side="left" includes equality.
        interval = np.searchsorted(ascending, latency[index], side="left")
        interval[np.isinf(latency[index])] = len(thresholds)  # never came: not even within an infinite threshold
        if binary:
            per_interval: npt.NDArray[Any] = np.bincount(interval[row == 1], minlength=len(thresholds) + 1)
        else:
            per_interval = np.bincount(interval, weights=row, minlength=len(thresholds) + 1)
        totals[order, index] = np.cumsum(per_interval[:-1])
    quality: FloatArray = totals / samples
    return quality


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Where quality was lost, in shares of all labelled arrivals; the four shares add up to one.

    Attributes:
        on_time_right: Q(θ) itself.
        on_time_wrong: Lost to the model: answered in time, and wrong.
        late_right: Lost to lateness: answered right, but too late. Known only where late answers are observed.
        late_wrong: Answered wrong and late.
        unanswered: Lost to lateness or failure: no answer was seen, so whether it would have been right is unknown.
        on_time: Share answered within θ, right or wrong.
        right_given_on_time: Share of right ones among those within θ; NaN if there were none.
        accuracy: Share of right ones among all answers seen, whenever they came: what a monitor of answers shows. NaN
            if there were none.
    """

    on_time_right: float
    on_time_wrong: float
    late_right: float
    late_wrong: float
    unanswered: float
    on_time: float
    right_given_on_time: float
    accuracy: float


def decompose(latency_s: npt.ArrayLike, score: npt.ArrayLike, threshold_s: float) -> Decomposition:
    """Q(θ) and what became of the rest, over all passes together.

    ``Q = P(on time) · P(right | on time)``; for scores between 0 and 1, "right" is the mean score.

    Args:
        latency_s: As for `pass_quality`, or one row `[samples]`.
        score: As for `pass_quality`; where `latency_s` is infinite, it does not count.
        threshold_s: θ in seconds.

    Raises:
        ValueError: As for `pass_quality`.
    """
    latency, scores, _ = _checked(np.atleast_2d(np.asarray(latency_s, np.float64)), score, [threshold_s])
    scores = np.broadcast_to(scores, latency.shape)
    arrivals = latency.size
    answered = np.isfinite(latency)
    on_time = latency <= threshold_s
    on_time &= answered
    late = answered & ~on_time
    right_on_time, right_late = float(scores[on_time].sum()), float(scores[late].sum())
    on_time_count, late_count = int(on_time.sum()), int(late.sum())
    answers = on_time_count + late_count
    return Decomposition(
        on_time_right=right_on_time / arrivals,
        on_time_wrong=(on_time_count - right_on_time) / arrivals,
        late_right=right_late / arrivals,
        late_wrong=(late_count - right_late) / arrivals,
        unanswered=(arrivals - answers) / arrivals,
        on_time=on_time_count / arrivals,
        right_given_on_time=right_on_time / on_time_count if on_time_count else float("nan"),
        accuracy=(right_on_time + right_late) / answers if answers else float("nan"),
    )


def default_thresholds(latency_s: npt.ArrayLike, count: int = 100) -> FloatArray:
    """An even grid of thresholds from the smallest to the largest finite time; empty where nothing was answered.

    Args:
        latency_s: Seconds, of any shape.
        count: How many.
    """
    finite = np.asarray(latency_s, np.float64)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return np.empty(0)
    grid = np.linspace(finite.min(), finite.max(), count)
    grid[-1] = finite.max()  # linspace may end a rounding error below it, and lose the last response
    return grid


def latency_percentiles(latency_s: npt.ArrayLike, percentiles: npt.ArrayLike) -> FloatArray:
    """Percentiles over all arrivals by the inverted empirical distribution function; infinite where no answer came.

    Args:
        latency_s: Seconds, of any shape; not empty.
        percentiles: 0 to 100, `[percentiles]`.
    """
    times, at = np.asarray(latency_s, np.float64), np.asarray(percentiles, np.float64)
    return np.asarray(np.percentile(times, at, method="inverted_cdf"), np.float64)


def _checked(
    latency_s: npt.ArrayLike, score: npt.ArrayLike, thresholds_s: npt.ArrayLike
) -> tuple[FloatArray, npt.NDArray[Any], FloatArray]:
    latency = np.asarray(latency_s, np.float64)
    scores = np.asarray(score, np.float64)
    thresholds = np.asarray(thresholds_s, np.float64)
    if latency.ndim != 2 or not latency.shape[1]:
        raise ValueError(f"latency_s has shape {latency.shape}; expected [passes, samples] with at least one sample")
    if scores.shape not in (latency.shape, latency.shape[1:]):
        raise ValueError(f"score has shape {scores.shape}; expected {latency.shape[1:]} or {latency.shape}")
    if thresholds.ndim != 1 or np.isnan(thresholds).any():
        raise ValueError("thresholds_s must be one row of numbers, none of them NaN")
    if not (latency >= 0).all():
        raise ValueError("latency_s holds a NaN or a negative time; write inf where no answer came")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("score holds a value outside 0 to 1")
    return latency, scores, thresholds
