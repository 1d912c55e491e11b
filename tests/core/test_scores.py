"""Scorers name the label or not; a set metric sees a whole pass, and only what came in time counts in it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from tailgate.quality import pass_quality
from tailgate.scores import set_quality, top1, top5

NOTHING_FOUND: dict[str, Any] = {"zero_division": 0}
"""Counts as 0; by itself sklearn warns. Its stubs know only the warning."""


def f1(answers: npt.NDArray[Any], labels: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> float:
    """F1 of class 1: an answer that is not valid has found nothing, and so is a miss where there was something."""
    found = (answers == 1) & valid
    hits = int((found & (labels == 1)).sum())
    return 2 * hits / max(int(found.sum()) + int((labels == 1).sum()), 1)


def share_right(answers: npt.NDArray[Any], labels: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> float:
    return float((valid & (answers == labels)).mean())


answers_and_times = st.integers(1, 20).flatmap(
    lambda samples: st.tuples(
        st.lists(st.lists(st.integers(0, 1), min_size=samples, max_size=samples), min_size=1, max_size=4),
        st.lists(st.integers(0, 1), min_size=samples, max_size=samples),
        st.integers(0, 2**31),
    )
)


def times_for(answers: list[list[int]], seed: int) -> npt.NDArray[np.float64]:
    shape = np.array(answers).shape
    return np.random.default_rng(seed).choice([0.01, 0.05, 0.2, math.inf], shape)


def test_top1_names_the_label_by_the_first_class() -> None:
    assert top1(np.array([[3, 1], [1, 3]]), np.array([3, 3])).tolist() == [1, 0]
    assert top1(np.array([3, 1]), np.array([3, 3])).tolist() == [1, 0]


def test_top5_looks_at_the_first_five_classes_and_no_further() -> None:
    classes = np.array([[9, 8, 7, 6, 5, 4]] * 3)
    assert top5(classes, np.array([9, 5, 4])).tolist() == [1, 1, 0]


def test_one_label_too_few_is_named() -> None:
    with pytest.raises(ValueError, match=r"labels have shape \(1,\)"):
        top1(np.array([1, 2]), np.array([1]))


@given(answers_and_times)
def test_a_set_metric_over_passes_is_sklearns_where_late_answers_are_taken_for_nothing_found(
    case: tuple[list[list[int]], list[int], int],
) -> None:
    answers, labels, seed = case
    times = times_for(answers, seed)
    quality = set_quality(f1, answers, labels, times, 0.05)
    for index, row in enumerate(answers):
        in_time = np.where(times[index] <= 0.05, row, 0)
        expected = f1_score(labels, in_time, **NOTHING_FOUND)
        assert quality[index] == pytest.approx(expected, abs=1e-12)


@given(answers_and_times, st.sampled_from([0.01, 0.05, 0.1, 0.2, math.inf]))
def test_a_mean_as_a_set_metric_is_time_critical_accuracy(
    case: tuple[list[list[int]], list[int], int], threshold_s: float
) -> None:
    answers, labels, seed = case
    times = times_for(answers, seed)
    score = np.array([top1(np.array(row), np.array(labels)) for row in answers])
    expected = pass_quality(times, score, [threshold_s])[0]
    assert set_quality(share_right, answers, labels, times, threshold_s) == pytest.approx(expected, abs=1e-12)


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        set_quality(f1, [[1, 0]], [1], [[0.1, 0.1]], 0.1)
    with pytest.raises(ValueError, match="NaN or a negative"):
        set_quality(f1, [[1]], [1], [[math.nan]], 0.1)
    with pytest.raises(ValueError, match="within 0 to 1"):
        set_quality(lambda *_: 1.5, [[1]], [1], [[0.1]], 0.1)
