"""Enough passes: the paper's rule against a literal transcription of it, and ours against the width of an interval."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from tailgate.kernel_density import improved_sheather_jones
from tailgate.prediction.dependent import Estimate
from tailgate.stopping import STABLE, Stability, known_within

FloatArray = npt.NDArray[np.float64]


def literally(passes: list[FloatArray]) -> list[float | None]:
    """Section 5 word for word: after each second pass fit a kernel density to all times so far, compare with the last
    five fits on a grid of 1000 points, rJSD is the square root of the mean Jensen–Shannon distance."""
    fits: list[tuple[FloatArray, float]] = []
    found: list[float | None] = []
    for number in range(1, len(passes) + 1):
        if number % 2:
            found.append(None)
            continue
        so_far = np.concatenate(passes[:number])
        bandwidth = improved_sheather_jones(so_far)
        assert bandwidth is not None
        grid = np.linspace(so_far.min(), so_far.max(), 1000)
        now = stats.gaussian_kde(so_far, bandwidth / so_far.std(ddof=1))(grid)
        if len(fits) >= 5:
            distances = [
                jensenshannon(stats.gaussian_kde(times, width / times.std(ddof=1))(grid), now)
                for times, width in fits[-5:]
            ]
            found.append(math.sqrt(sum(distances) / 5))
        else:
            found.append(None)
        fits.append((so_far, bandwidth))
    return found


def test_rjsd_is_that_of_a_literal_transcription() -> None:
    generator = np.random.default_rng(11)
    passes = [0.04 + generator.gamma(4, 0.001, 120) + 0.0004 * number for number in range(16)]
    rule = Stability()
    found = [rule.feed(times) for times in passes]
    expected = literally(passes)
    assert [value is None for value in found] == [value is None for value in expected]
    assert sum(value is not None for value in found) == 3
    for ours, theirs in zip(found, expected, strict=True):
        if ours is not None:
            assert ours == pytest.approx(theirs, rel=0.01)


def test_times_that_keep_their_distribution_become_stable_and_those_that_wander_do_not() -> None:
    generator = np.random.default_rng(5)
    steady, wandering = Stability(), Stability()
    for number in range(80):
        times = 0.04 + generator.gamma(4, 0.001, 3000)
        steady.feed(times)
        wandering.feed(times * (1 + number / 3))
    assert steady.stable
    assert steady.rjsd is not None
    assert steady.rjsd <= STABLE
    assert not wandering.stable


def test_before_there_are_five_fits_to_compare_with_nothing_is_stable() -> None:
    rule = Stability()
    generator = np.random.default_rng(5)
    assert [rule.feed(generator.normal(1, 0.1, 1000)) for _ in range(11)] == [None] * 11
    assert not rule.stable


def test_responses_that_never_came_have_no_density_and_times_that_are_all_equal_neither() -> None:
    rule = Stability()
    for _ in range(14):
        assert rule.feed([math.inf, 0.05, 0.05]) is None
    assert not rule.stable


def test_a_nan_is_no_time() -> None:
    with pytest.raises(ValueError, match="NaN"):
        Stability().feed([math.nan])


def test_p1_is_known_when_its_interval_is_narrower_than_the_tolerance() -> None:
    estimate = Estimate(0.9, 0.895, 0.904)
    assert known_within(estimate, 0.01)
    assert not known_within(estimate, 0.009)
    assert not known_within(estimate, 0.005)
