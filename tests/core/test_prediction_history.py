"""A history in time order loses nothing of its passes: the ceiling less the losses is each pass's quality."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.prediction.history import history_of
from tailgate.quality import pass_quality


@given(st.integers(1, 5), st.integers(1, 8), st.integers(0, 2**31), st.booleans())
def test_quality_is_the_ceiling_less_the_losses_of_each_pass(
    passes: int, samples: int, seed: int, fractional: bool
) -> None:
    generator = np.random.default_rng(seed)
    times = generator.choice([0.01, 0.05, 0.06, math.inf], (passes, samples))
    score = generator.random((passes, samples)) if fractional else generator.integers(0, 2, samples).astype(float)
    arrival = generator.random((passes, samples))
    history = history_of(times, score, 0.05, arrival)
    expected = pass_quality(times, score, [0.05])[0]
    assert history.quality == pytest.approx(expected, abs=1e-12)
    assert history.ceiling - history.loss.mean(axis=1) == pytest.approx(expected, abs=1e-12)
    assert (history.loss >= 0).all()
    assert history.event[history.loss > 0].all()
    assert (history.passes, history.samples) == (passes, samples)


def test_columns_stand_in_the_order_of_arrival() -> None:
    history = history_of([[0.01, 0.2, 0.01]], [1, 1, 1], 0.05, [[3.0, 1.0, 2.0]])
    assert history.event.tolist() == [[True, False, False]]


def test_a_late_answer_shows_what_its_sample_can_count_and_none_counts_as_the_others_can() -> None:
    history = history_of([[0.2, 0.01, 0.01, math.inf]], [1, 1, 0, 0], 0.05)
    assert history.loss.tolist() == [[1, 0, 0, 2 / 3]]
    assert history.event.tolist() == [[True, False, False, True]]


def test_where_nothing_was_ever_answered_everything_is_lost() -> None:
    history = history_of([[math.inf, math.inf]], [0, 0], 0.05)
    assert history.quality.tolist() == [0]
    assert history.loss.tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("times", "score", "named"),
    [
        ([0.1], [1], "response_s has shape"),
        ([[]], [], "response_s has shape"),
        ([[0.1, 0.1]], [1], "score has shape"),
        ([[math.nan]], [1], "NaN or a negative"),
        ([[0.1]], [2], "score holds a value"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(times: Any, score: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        history_of(times, score, 0.05)
