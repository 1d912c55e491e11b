"""Passes that differ by more than their stalls explain are noticed; those that do not are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from tailgate.prediction.between import changes_of_rate

DRAWS = 2000


def found(variance_times: float, passes: int, fourth: float = 0.0) -> float:
    """How likely a change is, for passes whose variance is so many times that of their stalls."""
    losses = np.random.default_rng(1).normal(size=passes)
    losses = 100 + 10 * (losses - losses.mean()) / losses.std(ddof=1) * np.sqrt(variance_times)
    return float((changes_of_rate(losses, 100.0, fourth, DRAWS, np.random.default_rng(2)) > 0).mean())


def test_passes_that_agree_with_their_stalls_are_left_alone() -> None:
    assert found(1.0, 10) < 0.1
    assert found(1.0, 30) < 0.05


def test_the_more_passes_differ_the_surer_a_change_is() -> None:
    shares = [found(times, 10) for times in (1, 2, 4, 16)]
    assert shares == sorted(shares)
    assert shares[-1] > 0.99


def test_what_one_large_stall_explains_is_no_change() -> None:
    assert found(4.0, 10, fourth=100.0**2 * 30) < 0.5 < found(4.0, 10)


def test_its_variance_is_what_the_passes_lack() -> None:
    losses = np.random.default_rng(3).gamma(4, 25, 400)  # the rate's factor has variance 1/4, besides it there is 100
    drawn = changes_of_rate(losses, 100.0, 0.0, DRAWS, np.random.default_rng(2))
    assert np.median(drawn) == pytest.approx(0.25, rel=0.4)


def test_of_two_passes_nothing_is_said() -> None:
    assert not changes_of_rate(np.array([0.0, 100.0]), 1.0, 0.0, 10, np.random.default_rng(0)).any()
    assert not changes_of_rate(np.zeros(9), 0.0, 0.0, 10, np.random.default_rng(0)).any()
