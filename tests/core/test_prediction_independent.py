"""The independent model's distribution is that of every combination, one by one, and SciPy's Poisson binomial."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tailgate.prediction.independent import right_in_time, sum_of_independent

tables = st.tuples(st.integers(1, 4), st.integers(1, 5)).flatmap(
    lambda shape: st.lists(
        st.lists(st.integers(0, 4), min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0]
    )
)


@given(tables)
def test_the_distribution_of_a_sum_is_that_of_every_combination(values: list[list[int]]) -> None:
    exact: dict[int, Fraction] = {}
    columns = list(zip(*values, strict=True))
    for combination in itertools.product(*columns):
        total = sum(combination)
        exact[total] = exact.get(total, Fraction(0)) + Fraction(1, len(values) ** len(columns))
    found = sum_of_independent(values)
    for total, probability in enumerate(found.probability.tolist()):
        assert probability == pytest.approx(float(exact.get(total, 0)), abs=1e-12)
    assert len(found.probability) > max(exact)
    for level in (0.01, 0.05, 0.5, 0.95):
        at_most = list(itertools.accumulate(exact.get(total, Fraction(0)) for total in range(max(exact) + 1)))
        near = any(abs(float(value) - level) < 1e-9 for value in at_most)  # where rounding decides
        if not near:
            assert found.quantile(level) == next(total for total, p in enumerate(at_most) if p >= level)


@given(st.lists(st.integers(0, 10), min_size=1, max_size=40))
def test_single_samples_make_scipys_poisson_binomial(times_right: list[int]) -> None:
    counted = np.array([[1.0 if draw < right else 0.0 for right in times_right] for draw in range(10)])
    expected = stats.poisson_binom(np.array(times_right) / 10).pmf(np.arange(len(times_right) + 1))
    found = right_in_time(counted).probability
    padded = np.zeros(len(expected))
    padded[: len(found)] = found
    assert padded == pytest.approx(expected, abs=1e-12)


def test_weights_are_the_right_answers_of_a_batch_that_is_late_as_a_whole() -> None:
    # Two batches of three: one late in half of the passes, one never; two of the first and one of the second are right.
    counted = np.array([[1.0, 0, 1, 0, 1, 0], [0, 0, 0, 0, 1, 0]])
    found = right_in_time(counted, batch=3).probability
    assert found == pytest.approx([0, 0.5, 0, 0.5])


def test_a_paper_sized_pass_has_the_binomials_moments() -> None:
    generator = np.random.default_rng(3)
    counted = np.repeat((generator.random((10, 6250)) < 0.98).astype(float), 8, axis=1)
    probability = right_in_time(counted, batch=8).probability
    place = np.arange(len(probability))
    mean = float((probability * place).sum())
    shares = counted[:, ::8].mean(axis=0)
    assert mean == pytest.approx(8 * shares.sum(), rel=1e-9)
    variance = float((probability * (place - mean) ** 2).sum())
    assert variance == pytest.approx(64 * (shares * (1 - shares)).sum(), rel=1e-5)


@pytest.mark.parametrize("passes", [1, 10, 1000])
def test_the_worst_of_some_draws_is_their_median_worst(passes: int) -> None:
    counts = sum_of_independent([[0] * 12, [1] * 12])
    worst = counts.worst_of(passes)
    at_most, under = (stats.binom(12, 0.5).cdf(value) for value in (worst, worst - 1))
    assert 1 - (1 - at_most) ** passes >= 0.5 - 1e-9
    assert 1 - (1 - under) ** passes < 0.5


@pytest.mark.parametrize("values", [[], [[-1]], [1]])
def test_what_is_no_count_is_refused(values: list[object]) -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        sum_of_independent(values)  # type: ignore[arg-type]  # wrong on purpose


def test_scores_that_are_no_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="0 or 1"):
        right_in_time(np.array([[0.5]]))
