"""The detector of regressions: its formula, its guarantee on small streams, and its silence where nothing is wrong."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.detector import BETS, Detector

baselines = st.floats(0.05, 0.99)
scores = st.floats(0, 1)


@given(baselines, st.lists(scores, max_size=60), st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4))
def test_the_statistic_is_the_mean_over_bets_of_the_formula(
    baseline: float, stream: list[float], bets: list[float]
) -> None:
    detector = Detector(baseline, 1e300, tuple(bets))
    wealth = [0.0] * len(bets)
    for score in stream:
        for place, bet in enumerate(bets):
            wealth[place] = max(wealth[place], 1.0) * (1 + bet / (1 - baseline) * (baseline - score))
        assert detector.update(score) is None
        assert detector.statistic == pytest.approx(math.fsum(wealth) / len(bets), rel=1e-9)


@given(baselines, st.floats(0, 1), st.integers(1, 300))
def test_a_constant_stream_at_or_above_the_baseline_never_alarms(baseline: float, above: float, length: int) -> None:
    detector = Detector(baseline, 1.5)
    score = min(baseline + above * (1 - baseline), 1.0)
    for _ in range(length):
        assert detector.update(max(score, baseline)) is None
        assert detector.statistic <= 1.0
    assert detector.alarms == 0


@given(baselines, st.lists(scores, max_size=100))
def test_the_statistic_is_never_negative_and_one_score_multiplies_it_by_a_bounded_factor(
    baseline: float, stream: list[float]
) -> None:
    detector, before = Detector(baseline, 1e300), 0.0
    for score in stream:
        detector.update(score)
        assert 0 < detector.statistic <= max(before * len(BETS), 1.0) / (1 - baseline)
        before = detector.statistic


@given(baselines, st.lists(scores, min_size=1, max_size=30), st.floats(0, 1), st.data())
def test_a_worse_score_never_lowers_the_statistic(
    baseline: float, stream: list[float], drop: float, data: st.DataObject
) -> None:
    worse = list(stream)
    at = data.draw(st.integers(0, len(stream) - 1))
    worse[at] *= drop
    ours, theirs = Detector(baseline, 1e300), Detector(baseline, 1e300)
    for score, lower in zip(stream, worse, strict=True):
        ours.update(score)
        theirs.update(lower)
        assert theirs.statistic >= ours.statistic * (1 - 1e-12)


@given(st.sampled_from([0.5, 0.9, 0.99]), st.floats(0.02, 0.5), st.floats(10, 1e6))
def test_a_lasting_drop_is_always_found_and_its_size_is_told(baseline: float, drop: float, threshold: float) -> None:
    detector, score = Detector(baseline, threshold), baseline - min(drop, baseline)
    evidence = next(found for found in map(detector.update, itertools.repeat(score, 100_000)) if found is not None)
    assert evidence.statistic >= threshold
    assert evidence.mean == pytest.approx(score)
    assert detector.alarms == 1


def test_the_mean_is_that_of_the_scores_since_the_drop() -> None:
    detector = Detector(0.9, 1e4)
    for _ in range(1000):
        assert detector.update(0.95) is None
    evidence = next(found for found in map(detector.update, itertools.repeat(0.6)) if found is not None)
    assert evidence.mean == pytest.approx(0.6)
    assert 1 < evidence.scores < 20


@given(baselines, st.lists(scores, max_size=100), st.floats(1.5, 100))
def test_after_an_alarm_it_begins_anew_and_counts(baseline: float, stream: list[float], threshold: float) -> None:
    detector, alarms = Detector(baseline, threshold), 0
    fresh = Detector(baseline, threshold)
    for score in stream:
        found = detector.update(score)
        again = fresh.update(score)
        assert (found is None) == (again is None)
        assert detector.statistic == fresh.statistic < threshold
        if found is not None:
            alarms += 1
            assert found.statistic >= threshold
            assert detector.statistic == 0
            fresh = Detector(baseline, threshold)
        assert detector.alarms == alarms


@pytest.mark.parametrize("baseline", [0.3, 0.9, 0.99])
def test_at_the_baseline_itself_false_alarms_are_at_least_the_threshold_apart_on_average(baseline: float) -> None:
    threshold, generator = 50.0, np.random.default_rng(8)
    detector = Detector(baseline, threshold)
    stream = generator.binomial(1, baseline, 60_000)  # right or wrong: the widest scores there are
    for score in stream.tolist():
        detector.update(score)
    assert detector.alarms > 0  # else the stream was too short to say anything
    assert len(stream) / detector.alarms >= threshold


@given(
    st.sampled_from([0.2, 0.5, 0.9]),
    st.lists(st.floats(0, 1), min_size=2, max_size=4),
    st.lists(st.floats(0.01, 1), min_size=4, max_size=4),
    st.integers(1, 4),
)
def test_no_score_whose_mean_is_the_baseline_is_expected_to_raise_the_statistic_by_more_than_one(
    baseline: float, values: list[float], chances: list[float], length: int
) -> None:
    """The step on which the guarantee stands, over every way that a small stream can go."""
    weights = np.array(chances[: len(values)]) / sum(chances[: len(values)])
    mean = float(weights @ values)
    # Move the values so that their mean is the baseline, and they stay within 0 and 1.
    moved = [
        value * baseline / mean
        if mean > baseline
        else 1 - (1 - value) * (1 - baseline) / (1 - mean)
        if mean < 1
        else 1.0
        for value in values
    ]
    level = min(max(float(weights @ moved), 0.0), 1.0)
    assert level >= baseline - 1e-9
    total = 0.0
    for path in itertools.product(range(len(moved)), repeat=length):
        detector = Detector(baseline, 1e300)
        for place in path:
            detector.update(min(max(moved[place], 0.0), 1.0))
        total += math.prod(weights[place] for place in path) * detector.statistic
    assert total <= length + 1e-6


@pytest.mark.parametrize("score", [-0.01, 1.01, math.nan, math.inf])
def test_a_score_outside_0_to_1_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="score is"):
        Detector(0.9, 100).update(score)


@pytest.mark.parametrize(
    ("baseline", "threshold", "bets", "named"),
    [
        (0.0, 100.0, BETS, "baseline is 0.0"),
        (1.0, 100.0, BETS, "baseline is 1.0"),
        (math.nan, 100.0, BETS, "baseline is nan"),
        (0.9, 1.0, BETS, "threshold is 1.0"),
        (0.9, math.nan, BETS, "threshold is nan"),
        (0.9, 100.0, (), "bets are"),
        (0.9, 100.0, (0.5, 1.0), "bets are"),
    ],
)
def test_what_would_void_the_guarantee_is_refused_by_its_name(
    baseline: float, threshold: float, bets: tuple[float, ...], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        Detector(baseline, threshold, bets)
