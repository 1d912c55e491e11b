"""The dependent model: right where stalls are many, wide where they are few, and never surer than its history."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tailgate.prediction.dependent import Dependent, Estimate
from tailgate.prediction.history import History, history_of
from tailgate.prediction.predict import Doubt, predict
from tailgate.prediction.validation import validate

SAMPLES = 4000


def stalling(passes: int, seed: int, *, length: int = 40, every: int = 2000) -> History:
    """Stalls of this length, after gaps that are exponential."""
    generator = np.random.default_rng(seed)
    late = np.zeros(passes * SAMPLES, bool)
    place = 0
    while (place := place + int(generator.exponential(every)) + 1) < len(late):
        late[place : place + length] = True
        place += length
    score = (np.random.default_rng(0).random(SAMPLES) < 0.8).astype(float)  # the same set of samples each time
    return history_of(np.where(late, 0.2, 0.01).reshape(passes, SAMPLES), score, 0.05)


def test_from_many_passes_it_foretells_what_thousands_show() -> None:
    truth = np.sort(stalling(4000, 1).quality)
    model = Dependent(stalling(60, 2))
    for level in (0.01, 0.05):
        estimate = model.quantile(level)
        real = float(truth[int(level * len(truth))])
        assert abs(estimate.value - real) < 0.01
        assert estimate.holds(real)
    assert model.worst_of(4000).holds(float(truth[0]))


def test_the_independent_model_is_too_sure_of_itself_where_lateness_clusters() -> None:
    prediction = predict(stalling(30, 5), 1000)
    assert prediction.independent is not None
    assert prediction.p1.upper < prediction.independent.p1
    assert prediction.worst.upper < prediction.independent.worst


def test_where_responses_are_late_singly_both_models_agree() -> None:
    generator = np.random.default_rng(7)
    times = np.where(generator.random((30, SAMPLES)) < 0.01, 0.2, 0.01)
    prediction = predict(history_of(times, np.ones(SAMPLES), 0.05), 1000)
    assert prediction.independent is not None
    assert prediction.p1.value == pytest.approx(prediction.independent.p1, abs=0.001)
    assert prediction.p5.value == pytest.approx(prediction.independent.p5, abs=0.001)
    assert prediction.worst.value == pytest.approx(prediction.independent.worst, abs=0.0015)


def test_more_passes_make_the_interval_narrower() -> None:
    widths = [
        np.mean([Dependent(stalling(passes, seed)).quantile(0.01).width for seed in range(4)]) for passes in (3, 12, 48)
    ]
    assert widths[0] > 1.5 * widths[1] > 1.5 * 1.5 * widths[2]


def test_longer_stalls_make_the_interval_wider_although_as_much_is_lost() -> None:
    widths = [
        np.mean(
            [Dependent(stalling(10, seed, length=length, every=50 * length)).quantile(0.01).width for seed in range(4)]
        )
        for length in (10, 100, 1000)
    ]
    assert all(wider > 1.5 * narrower for narrower, wider in pairwise(widths))


def test_of_a_history_without_a_late_response_it_says_that_nothing_is_known() -> None:
    prediction = predict(history_of(np.full((10, SAMPLES), 0.01), np.ones(SAMPLES), 0.05), 1000)
    assert Doubt.NOTHING_LOST in prediction.doubts
    assert (prediction.p1.value, prediction.p1.upper) == (1, 1)
    assert prediction.p1.lower < 0.9
    assert prediction.worst.lower < 0.5


def test_a_single_stall_is_not_taken_for_the_truth() -> None:
    times = np.full((10, SAMPLES), 0.01)
    times[6, 1000:1400] = 0.2
    prediction = predict(history_of(times, np.ones(SAMPLES), 0.05), 1000)
    assert (prediction.stalls, prediction.longest_stall) == (1, 400)
    assert Doubt.FEW_STALLS in prediction.doubts
    assert prediction.p1.lower < prediction.observed_worst == 0.9
    assert prediction.p1.upper > 0.9


def test_a_stall_longer_than_a_pass_is_doubted() -> None:
    times = np.full((10, SAMPLES), 0.01)
    times[3:5] = 0.2
    prediction = predict(history_of(times, np.ones(SAMPLES), 0.05), 10)
    assert Doubt.LONG_STALLS in prediction.doubts
    assert prediction.worst.value < 0.5
    assert prediction.p1.lower == 0


def test_the_same_history_is_foretold_the_same() -> None:
    history = stalling(5, 3)
    assert predict(history, 1000) == predict(history, 1000)


def test_foretold_qualities_stand_in_their_order() -> None:
    for seed in range(5):
        prediction = predict(stalling(8, seed), 1000)
        assert prediction.worst.value <= prediction.p1.value <= prediction.p5.value
        for estimate in (prediction.p1, prediction.p5, prediction.worst, prediction.single):
            assert 0 <= estimate.lower <= estimate.value <= estimate.upper <= 1


def test_scores_between_0_and_1_are_foretold_without_the_independent_model() -> None:
    history = history_of(np.full((5, 100), 0.01), np.full(100, 0.5), 0.05)
    prediction = predict(history, 10)
    assert prediction.independent is None
    assert prediction.p5.upper == 0.5
    assert validate(history)[0].independent is None


def test_halves_foretell_each_other() -> None:
    history = stalling(21, 8)
    first, second = validate(history)
    assert (first.rests_on, first.held_out, second.rests_on, second.held_out) == (10, 11, 11, 10)
    assert first.observed_worst == history.quality[10:].min()
    assert second.observed_mean == pytest.approx(history.quality[:10].mean())
    for half, held in ((first, history.quality[10:]), (second, history.quality[:10])):
        assert half.within == np.mean([half.single.holds(value) for value in held])
        assert half.independent is not None
        assert half.within >= half.independent.within


def test_too_few_passes_cannot_be_halved() -> None:
    with pytest.raises(ValueError, match="two halves of two"):
        validate(stalling(3, 1))


def test_an_estimate_holds_what_lies_within_it() -> None:
    estimate = Estimate(0.5, 0.4, 0.6)
    assert estimate.holds(0.4)
    assert not estimate.holds(0.61)
    assert estimate.width == pytest.approx(0.2)
