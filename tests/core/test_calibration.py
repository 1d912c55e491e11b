"""From an answer's confidence to the probability that it is right."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from tailgate.calibration import LEAST_LABELS, MOST_WEIGHT, Calibration
from tailgate.isotonic import isotonic_blocks
from tailgate.protocol.answers import NO_CONFIDENCE

CONFIDENCES = st.floats(0, 1)
LABELLED = st.lists(st.tuples(CONFIDENCES, st.booleans()), min_size=LEAST_LABELS, max_size=200)


def learned(labelled: list[tuple[float, bool]], weight: float = 1.0) -> Calibration:
    calibration = Calibration()
    for confidence, right in labelled:
        calibration.learn(confidence, right=right, weight=weight)
    calibration.fit()
    return calibration


def right(calibration: Calibration, confidence: float) -> float:
    found = calibration.probability(confidence)
    assert found is not None
    return found.right


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0.1, 10)), min_size=1, max_size=40))
def test_the_rising_fit_is_scipy_s(points: list[tuple[int, float]]) -> None:
    values, weights = np.array(points, float).T
    starts = isotonic_blocks(values, weights)
    pooled = [
        np.average(v, weights=w)
        for v, w in zip(np.split(values, starts[1:]), np.split(weights, starts[1:]), strict=True)
    ]
    fit = np.repeat(pooled, np.diff([*starts, len(values)]))
    np.testing.assert_allclose(fit, isotonic_regression(values, weights=weights).x, atol=1e-9)


def test_of_nothing_there_is_no_fit() -> None:
    assert isotonic_blocks(np.array([]), np.array([])).tolist() == []


@given(LABELLED, st.floats(0.5, 20))
def test_over_the_answers_it_was_learned_from_it_is_right_on_average(
    labelled: list[tuple[float, bool]], weight: float
) -> None:
    calibration = learned(labelled, weight)
    expected = sum(right(calibration, confidence) for confidence, _ in labelled)
    assert expected == pytest.approx(sum(was_right for _, was_right in labelled))


@given(LABELLED, CONFIDENCES, CONFIDENCES)
def test_a_surer_answer_is_never_expected_to_be_right_less_often(
    labelled: list[tuple[float, bool]], one: float, other: float
) -> None:
    calibration = learned(labelled)
    assert right(calibration, min(one, other)) <= right(calibration, max(one, other)) + 1e-12


def test_nothing_is_said_until_there_are_labels_enough() -> None:
    calibration = learned([(0.9, True)] * (LEAST_LABELS - 1))
    assert calibration.probability(0.9) is None
    calibration.learn(0.9, right=True)
    assert calibration.probability(0.9) is None  # what was learned counts from the next fit
    calibration.fit()
    assert right(calibration, 0.9) == 1.0


def test_labels_of_differing_weight_are_not_worth_as_many() -> None:
    calibration = Calibration()
    calibration.learn(0.9, right=True, weight=1000.0)
    for _ in range(LEAST_LABELS):
        calibration.learn(0.9, right=True)
    calibration.fit()
    assert calibration.probability(0.9) is None


def test_answers_that_show_no_confidence_are_a_kind_of_their_own() -> None:
    calibration = learned([(NO_CONFIDENCE, False)] * 60 + [(0.0, True), (1.0, True)] * 30)
    assert right(calibration, NO_CONFIDENCE) == 0.0
    assert right(calibration, 0.0) == right(calibration, 1.0) == 1.0
    of_integers = learned([(NO_CONFIDENCE, number % 4 > 0) for number in range(100)])
    assert right(of_integers, NO_CONFIDENCE) == 0.75


def test_of_a_kind_of_answer_that_was_never_labelled_nothing_is_known_but_that_it_is_right_or_not() -> None:
    calibration = learned([(0.9, True)] * 60)
    assert calibration.probability(NO_CONFIDENCE) == (0.5, 0.5)


def test_no_mistake_in_a_few_labels_is_no_proof_that_there_will_be_none() -> None:
    few, many = (learned([(0.9, True)] * count).probability(0.9) for count in (60, 6000))
    assert few is not None
    assert many is not None
    assert (few.right, many.right) == (1.0, 1.0)
    assert few.spread > 10 * many.spread > 0


def test_the_probabilities_of_a_model_that_is_too_sure_are_found() -> None:
    chance = random.Random(1)
    draws = [chance.random() for _ in range(15_000)]
    calibration = learned([(confidence, chance.random() < confidence**3) for confidence in draws])
    for confidence in (0.3, 0.5, 0.7, 0.9, 0.97):
        found = calibration.probability(confidence)
        assert found is not None
        # A bin's own width beside its error: 2**(-1/4) of what is missing to 1.
        width = (1 - confidence) * (1 - 2**-0.25) * 3 * confidence**2
        assert abs(found.right - confidence**3) < 4 * found.spread + width


def test_what_was_learned_long_ago_fades() -> None:
    calibration = Calibration()
    for was_right in (True, False):
        for _ in range(6):
            for _ in range(int(MOST_WEIGHT) // 2):
                calibration.learn(0.9, right=was_right)
            calibration.fit()
    assert right(calibration, 0.9) < 0.1


@given(CONFIDENCES | st.just(NO_CONFIDENCE))
def test_every_confidence_has_a_probability(confidence: float) -> None:
    found = learned([(0.2, False), (0.8, True)] * 30).probability(confidence)
    assert found is not None
    assert 0.0 <= found.right <= 1.0
    assert 0.0 < found.spread <= 0.5
    assert math.isfinite(found.spread)
