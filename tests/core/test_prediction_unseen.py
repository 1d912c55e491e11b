"""Stalls that were not seen widen what is foretold, the more the less the history shows."""

from __future__ import annotations

import numpy as np
import pytest

from tailgate.prediction.dependent import Dependent, Estimate
from tailgate.prediction.history import History, history_of
from tailgate.prediction.predict import Doubt, predict

SAMPLES = 5000
SCORE = (np.random.default_rng(0).random(SAMPLES) < 0.8).astype(float)


def with_stalls(passes: int, lengths: list[int], *, alone: float = 0.0) -> History:
    """Stalls at even distances, and so large a share of late responses besides."""
    late = np.random.default_rng(1).random(passes * SAMPLES) < alone
    for number, length in enumerate(lengths):
        start = int((number + 0.4) * len(late) / len(lengths))
        late[start : start + length] = True
    return history_of(np.where(late, 0.2, 0.01).reshape(passes, SAMPLES), SCORE, 0.05)


def below(estimate: Estimate) -> float:
    """How far the interval reaches down."""
    return estimate.value - estimate.lower


def test_as_many_stalls_in_fewer_passes_to_a_pass_make_the_interval_wider() -> None:
    width = [Dependent(with_stalls(count, [100] * count)).quantile(0.01).width for count in (2, 4, 16, 64)]
    assert width == sorted(width, reverse=True)


def test_uneven_stalls_reach_further_down_than_even_ones_of_the_same_sum_of_squares() -> None:
    lengths = np.random.default_rng(3).exponential(100, 20).astype(int) + 1
    even = int(np.sqrt((lengths**2).mean()))
    uneven = Dependent(with_stalls(10, lengths.tolist())).worst_of(1000)
    assert below(uneven) > 1.5 * below(Dependent(with_stalls(10, [even] * 20)).worst_of(1000))


def test_late_responses_by_themselves_do_not_exclude_a_stall_and_many_passes_nearly_do() -> None:
    few, many = (with_stalls(passes, [], alone=0.01) for passes in (5, 80))
    prediction = predict(few, 1000)
    assert Doubt.NO_STALL in prediction.doubts
    assert prediction.p1.value - prediction.p1.lower > 0.02
    assert below(Dependent(many).quantile(0.01)) < 0.005


def test_a_stall_that_was_seen_is_not_counted_as_one_that_was_not() -> None:
    prediction = predict(with_stalls(20, [60] * 60, alone=0.001), 1000)
    assert Doubt.NO_STALL not in prediction.doubts
    assert Doubt.FEW_STALLS not in prediction.doubts
    assert prediction.largest_stalls == 60
    assert prediction.telling == pytest.approx(60, abs=4)


def test_the_tail_rests_on_the_large_stalls_however_many_small_ones_there_are() -> None:
    prediction = predict(with_stalls(10, [400, 400, 400], alone=0.005), 1000)
    assert prediction.stalls > 100
    assert prediction.largest_stalls == 3
    assert prediction.telling < 5
    assert Doubt.FEW_STALLS in prediction.doubts


def test_which_end_of_time_comes_first_makes_no_difference() -> None:
    history = with_stalls(8, [30, 200, 90, 55, 400, 12, 77], alone=0.002)
    turned = History(
        history.quality[::-1],
        history.counted[::-1],
        history.loss[::-1, ::-1],
        history.event[::-1, ::-1],
        history.ceiling,
    )
    for one, other in zip(_foretold(history), _foretold(turned), strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_scores_in_another_unit_are_foretold_the_same_in_that_unit() -> None:
    history = with_stalls(8, [30, 200, 90, 55, 400, 12, 77])
    half = History(history.quality / 2, history.counted / 2, history.loss / 2, history.event, history.ceiling / 2)
    for one, other in zip(_foretold(history), _foretold(half), strict=True):
        assert one == pytest.approx(2 * other, abs=2e-4)


def test_passes_that_differ_by_more_than_their_stalls_widen_the_range_of_one_pass() -> None:
    generator = np.random.default_rng(8)
    rate = np.repeat([0.02, 0.05, 0.08, 0.02, 0.11, 0.05, 0.03, 0.09, 0.06, 0.02], SAMPLES).reshape(10, SAMPLES)
    history = history_of(np.where(generator.random((10, SAMPLES)) < rate, 0.2, 0.01), np.ones(SAMPLES), 0.05)
    single = Dependent(history).worst_of(1)
    assert sum(single.holds(quality) for quality in history.quality.tolist()) >= 8


def test_where_nothing_is_ever_right_nothing_can_be_lost() -> None:
    prediction = predict(history_of(np.full((5, 100), 0.01), np.zeros(100), 0.05), 100)
    assert (prediction.p1.lower, prediction.p1.value, prediction.worst.upper) == (0, 0, 0)


def _foretold(history: History) -> list[float]:
    model = Dependent(history)
    estimates = (model.quantile(0.01), model.quantile(0.05), model.worst_of(1000))
    return [value for each in estimates for value in (each.value, each.lower, each.upper)]
