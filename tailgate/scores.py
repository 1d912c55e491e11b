"""The seam between a task and the mathematics: how an answer is scored, and how a whole pass is.

Lives here: what a scorer and a set metric are, and those of classification. Must not live here: time; a response's
lateness enters in `tailgate.quality`, or as the mask that a set metric is given.

Two kinds of task. Where each answer has a score of its own (top-1, top-5, a BLEU), a `Scorer` gives it, and Q(θ) is a
mean. Where only a whole set has one (F1, mAP), a `SetMetric` looks at a pass at once, with a mask of the answers that
are valid, that is: came, and within θ. An answer that is not valid must cost what a missing answer costs in that task.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Answers = npt.NDArray[Any]
Labels = npt.NDArray[Any]

Scorer = Callable[[Answers, Labels], FloatArray]
"""Scores, 0 to 1, float `[samples]`, of answers `[samples, ...]` against their labels `[samples, ...]`."""


class SetMetric(Protocol):
    """A quality, 0 to 1, that only a whole pass has."""

    def __call__(self, answers: Answers, labels: Labels, valid: npt.NDArray[np.bool_], /) -> float:
        """The metric of one pass.

        Args:
            answers: `[samples, ...]`; what stands where `valid` is false must not matter.
            labels: `[samples, ...]`.
            valid: bool `[samples]`: this sample's answer came, and in time.
        """
        ...


def top1(answers: Answers, labels: Labels) -> FloatArray:
    """1 where the answer, a class `[samples]` or classes by falling likelihood `[samples, classes]`, names the label.

    >>> top1(np.array([3, 1]), np.array([3, 2]))
    array([1., 0.])
    """
    return _top(answers, labels, 1)


def top5(answers: Answers, labels: Labels) -> FloatArray:
    """1 where the label is among the first five classes of `[samples, classes]`, by falling likelihood."""
    return _top(answers, labels, 5)


def set_quality(
    metric: SetMetric, answers: npt.ArrayLike, labels: npt.ArrayLike, latency_s: npt.ArrayLike, threshold_s: float
) -> FloatArray:
    """Q(θ) of every pass, by a set metric.

    Args:
        metric: Of one pass.
        answers: `[passes, samples, ...]`.
        labels: `[samples, ...]`, the same in each pass.
        latency_s: Seconds until the complete answer, float `[passes, samples]`; `inf` where none came.
        threshold_s: θ in seconds, included.

    Returns:
        float `[passes]`.

    Raises:
        ValueError: The shapes do not fit, a latency is NaN or negative, or the metric left 0 to 1.
    """
    latency, given, truth = np.asarray(latency_s, np.float64), np.asarray(answers), np.asarray(labels)
    if latency.ndim != 2 or given.shape[:2] != latency.shape or truth.shape[:1] != latency.shape[1:]:
        raise ValueError(
            f"answers {given.shape}, labels {truth.shape} and latency_s {latency.shape} do not fit; "
            "expected [passes, samples, ...], [samples, ...] and [passes, samples]"
        )
    if not (latency >= 0).all():
        raise ValueError("latency_s holds a NaN or a negative time; write inf where no answer came")
    valid = (latency <= threshold_s) & np.isfinite(latency)
    quality = np.array([metric(given[index], truth, valid[index]) for index in range(len(latency))], np.float64)
    if not ((quality >= 0) & (quality <= 1)).all():
        raise ValueError(f"the set metric gave {quality.tolist()}; a quality lies within 0 to 1")
    return quality


def _top(answers: Answers, labels: Labels, count: int) -> FloatArray:
    classes, truth = np.asarray(answers), np.asarray(labels)
    if classes.ndim == 1:
        classes = classes[:, None]
    if truth.shape != classes.shape[:1]:
        raise ValueError(f"labels have shape {truth.shape}; expected {classes.shape[:1]}, one for each answer")
    return np.asarray((classes[:, :count] == truth[:, None]).any(axis=1), np.float64)
