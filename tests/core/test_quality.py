"""Time-critical quality: the fast computation equals the definition, count by count."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.quality import decompose, default_thresholds, latency_percentiles, pass_quality

# Few distinct values, so that ties between latencies, and between latencies and thresholds, are the rule.
times = st.sampled_from([0.0, 0.01, 0.02, math.nextafter(0.02, 1), 0.05, 1.0, 1e9, math.inf]) | st.floats(0, 2)
binary = st.sampled_from([0.0, 1.0])
fractions = st.floats(0, 1)


@st.composite
def runs(draw: st.DrawFn, scores: st.SearchStrategy[float]) -> tuple[Any, Any, Any]:
    """Latencies `[passes, samples]`, scores of either shape, thresholds in any order with repetitions."""
    passes, samples = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    latency = np.array(draw(st.lists(times, min_size=passes * samples, max_size=passes * samples)))
    count = draw(st.sampled_from([samples, passes * samples]))
    score = np.array(draw(st.lists(scores, min_size=count, max_size=count)))
    anything = times | st.sampled_from([-1.0, -math.inf]) | st.sampled_from(sorted(latency.tolist()))
    thresholds = np.array(draw(st.lists(anything, max_size=8)), np.float64)
    shape = (passes, samples)
    return latency.reshape(shape), score.reshape(shape) if count != samples or passes == 1 else score, thresholds


def scores_within(latency: Any, score: Any, threshold_s: float, index: int) -> list[float]:
    """The definition, as a loop: scores of the answers of one pass that came, and not later than the threshold."""
    row = score if score.ndim == 1 else score[index]
    return [
        float(s) for t, s in zip(latency[index], row, strict=True) if t <= threshold_s and not math.isinf(t)
    ]  # fmt: skip


@given(runs(binary))
def test_quality_is_the_definitions_count_divided_by_the_samples_to_the_last_bit(run: tuple[Any, Any, Any]) -> None:
    latency, score, thresholds = run
    quality = pass_quality(latency, score, thresholds)
    assert quality.shape == (len(thresholds), len(latency))
    for place, threshold_s in enumerate(thresholds):
        for index in range(len(latency)):
            count = sum(value == 1 for value in scores_within(latency, score, threshold_s, index))
            assert quality[place, index] == count / latency.shape[1]
            assert round(quality[place, index] * latency.shape[1]) == count


@given(runs(fractions))
def test_fractional_scores_are_summed_to_within_the_rounding_of_their_additions(run: tuple[Any, Any, Any]) -> None:
    latency, score, thresholds = run
    quality = pass_quality(latency, score, thresholds)
    samples = latency.shape[1]
    for place, threshold_s in enumerate(thresholds):
        for index in range(len(latency)):
            exact = math.fsum(scores_within(latency, score, threshold_s, index)) / samples
            # n additions of numbers above zero err by at most n halves of an ulp; then there is one division.
            assert abs(quality[place, index] - exact) <= (samples + 2) * math.ulp(exact)


@given(runs(fractions))
def test_quality_never_falls_as_the_threshold_rises(run: tuple[Any, Any, Any]) -> None:
    latency, score, thresholds = run
    assert (np.diff(pass_quality(latency, score, np.sort(thresholds)), axis=0) >= 0).all()


@given(runs(binary))
def test_without_a_threshold_quality_is_ordinary_accuracy_where_everything_was_answered(
    run: tuple[Any, Any, Any],
) -> None:
    latency, score, _ = run
    latency = np.where(np.isinf(latency), 3.0, latency)
    expected = np.broadcast_to(score, latency.shape).mean(axis=1)
    assert (pass_quality(latency, score, [math.inf])[0] == expected).all()


def test_what_was_never_answered_is_not_within_an_infinite_threshold() -> None:
    assert pass_quality([[math.inf, 0.1]], [1.0, 1.0], [math.inf])[0, 0] == 0.5


def test_an_answer_at_the_threshold_itself_is_in_time() -> None:
    assert pass_quality([[0.05]], [1.0], [0.05, math.nextafter(0.05, 0)])[:, 0].tolist() == [1.0, 0.0]


@given(runs(fractions), st.sampled_from([0.0, 0.01, 0.02, 0.05, 1.0, math.inf]))
def test_a_decomposition_accounts_for_every_arrival_and_agrees_with_pass_quality(
    run: tuple[Any, Any, Any], threshold_s: float
) -> None:
    latency, score, _ = run
    d = decompose(latency, score, threshold_s)
    assert math.fsum((d.on_time_right, d.on_time_wrong, d.late_right, d.late_wrong, d.unanswered)) == pytest.approx(1)
    assert d.on_time_right == pytest.approx(pass_quality(latency, score, [threshold_s]).mean(), abs=1e-12)
    assert d.on_time == pytest.approx(d.on_time_right + d.on_time_wrong, abs=1e-12)
    if d.on_time:
        assert d.on_time_right == pytest.approx(d.on_time * d.right_given_on_time, abs=1e-12)
    else:
        assert math.isnan(d.right_given_on_time)


@given(runs(binary), st.sampled_from([0.0, 0.01, 0.02, 0.05, 1.0]))
def test_the_shares_of_a_decomposition_are_counts_divided_by_the_arrivals(
    run: tuple[Any, Any, Any], threshold_s: float
) -> None:
    latency, score, _ = run
    d = decompose(latency, score, threshold_s)
    right = np.broadcast_to(score, latency.shape) == 1
    answered = ~np.isinf(latency)
    on_time = latency <= threshold_s
    assert d.on_time_right == (on_time & right).sum() / latency.size
    assert d.on_time_wrong == (on_time & ~right).sum() / latency.size
    assert d.late_right == (answered & ~on_time & right).sum() / latency.size
    assert d.late_wrong == (answered & ~on_time & ~right).sum() / latency.size
    assert d.unanswered == (~answered).sum() / latency.size
    if answered.any():
        assert d.accuracy == (answered & right).sum() / answered.sum()
    else:
        assert math.isnan(d.accuracy)


@pytest.mark.parametrize(
    ("latency", "score", "thresholds", "named"),
    [
        ([0.1, 0.2], [1, 1], [0.1], "latency_s has shape (2,)"),
        ([[]], [], [0.1], "latency_s has shape (1, 0)"),
        ([[0.1, math.nan]], [1, 1], [0.1], "latency_s holds a NaN"),
        ([[0.1, -0.1]], [1, 1], [0.1], "latency_s holds a NaN or a negative"),
        ([[0.1, 0.2]], [1], [0.1], "score has shape (1,)"),
        ([[0.1, 0.2]], [[1, 1], [1, 1]], [0.1], "score has shape (2, 2)"),
        ([[0.1, 0.2]], [1, 1.01], [0.1], "score holds a value outside"),
        ([[0.1, 0.2]], [1, -0.01], [0.1], "score holds a value outside"),
        ([[0.1, 0.2]], [1, math.nan], [0.1], "score holds a value outside"),
        ([[0.1, 0.2]], [1, 1], [math.nan], "thresholds_s"),
        ([[0.1, 0.2]], [1, 1], [[0.1]], "thresholds_s"),
        ([[0.1, 0.2]], [1, 1], 0.1, "thresholds_s"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_the_arguments_name(
    latency: npt.ArrayLike, score: npt.ArrayLike, thresholds: npt.ArrayLike, named: str
) -> None:
    with pytest.raises(ValueError, match=named.replace("(", r"\(").replace(")", r"\)")):
        pass_quality(latency, score, thresholds)


@given(st.lists(times, min_size=1, max_size=40), st.lists(st.integers(0, 1000), min_size=1, max_size=5))
def test_percentiles_are_those_of_the_inverted_distribution_function(
    latencies: list[float], permille: list[int]
) -> None:
    at = [number / 10 for number in permille]
    found = latency_percentiles(latencies, at)
    ascending = sorted(latencies)
    for percentile, value in zip(permille, found.tolist(), strict=True):
        # The smallest observation that at least so large a share does not exceed, counted in whole numbers.
        enough = math.ceil(Fraction(percentile, 1000) * len(ascending))
        assert value == ascending[max(enough, 1) - 1]


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=40), st.floats(0, 100))
def test_percentiles_are_numpys_inverted_cdf(latencies: list[float], percentile: float) -> None:
    expected = np.percentile(latencies, percentile, method="inverted_cdf")
    assert latency_percentiles(latencies, [percentile])[0] == expected


@given(st.lists(times, max_size=20), st.integers(1, 120))
def test_default_thresholds_run_from_the_smallest_to_the_largest_answered_time(
    latencies: list[float], count: int
) -> None:
    grid = default_thresholds(latencies, count)
    finite = [latency for latency in latencies if math.isfinite(latency)]
    if not finite:
        assert grid.size == 0
        return
    assert len(grid) == count
    assert grid[-1] == max(finite)
    assert (np.diff(grid) >= 0).all()
    assert count == 1 or grid[0] == min(finite)
