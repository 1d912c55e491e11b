"""The tail of windows: intervals and nulls are those of the definitions, of brute force, and of SciPy."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tailgate.binomial import distributions
from tailgate.tail import low_quantile, null_of_worst, wilson, wilson_intervals

shares = st.floats(0, 1)
zs = st.sampled_from([1.0, 1.96, 3.29, 3.9])


@given(st.integers(1, 5000), st.data())
def test_wilsons_interval_is_scipys(labelled: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, labelled))
    theirs = stats.binomtest(right, labelled).proportion_ci(confidence_level=0.95, method="wilson")
    ours = wilson(right / labelled, labelled, float(stats.norm.ppf(0.975)))
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@given(st.floats(0.01, 0.99), st.floats(1, 1e6), zs)
def test_each_end_of_the_interval_is_a_share_from_which_what_was_seen_is_z_deviations_away(
    share: float, labelled: float, z: float
) -> None:
    for end in wilson(share, labelled, z):
        assert abs(share - end) == pytest.approx(z * math.sqrt(end * (1 - end) / labelled), rel=1e-6)


@given(shares, st.floats(0, 1e9), zs)
def test_an_interval_lies_within_0_and_1_and_holds_what_was_seen(share: float, labelled: float, z: float) -> None:
    lower, upper = wilson(share, labelled, z)
    assert 0 <= lower <= share <= upper <= 1


@given(shares, st.floats(1, 1e6), st.floats(1, 1e6), zs)
def test_more_labels_never_make_it_wider(share: float, fewer: float, more: float, z: float) -> None:
    few, many = wilson(share, min(fewer, more), z), wilson(share, max(fewer, more), z)
    assert many.upper - many.lower <= few.upper - few.lower + 1e-12


def test_of_nothing_nothing_is_known() -> None:
    assert wilson(0.3, 0) == (0.0, 1.0)
    lower, upper = wilson_intervals([math.nan, 0.5], [0, 0])
    assert lower.tolist() == [0, 0]
    assert upper.tolist() == [1, 1]


@given(st.lists(st.tuples(shares, st.integers(0, 10_000)), min_size=1, max_size=20), zs)
def test_arrays_of_intervals_are_the_intervals(seen: list[tuple[float, int]], z: float) -> None:
    lower, upper = wilson_intervals([share for share, _ in seen], [labelled for _, labelled in seen], z)
    expected = [wilson(share, labelled, z) for share, labelled in seen]
    assert np.column_stack((lower, upper)) == pytest.approx(np.array(expected), abs=1e-12)


def test_an_array_and_a_number_broadcast() -> None:
    lower, upper = wilson_intervals(0.9, [10, 100, 1000])
    assert (np.diff(lower) > 0).all()
    assert (np.diff(upper) < 0).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300), st.integers(0, 1000))
def test_a_low_quantile_is_the_value_that_enough_do_not_exceed(values: list[float], permille: int) -> None:
    enough = max(math.ceil(Fraction(permille, 1000) * len(values)), 1)
    assert low_quantile(values, permille / 1000) == sorted(values)[enough - 1]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300), st.sampled_from([0.01, 0.05, 0.1, 0.5]))
def test_a_low_quantile_is_numpys_inverted_cdf(values: list[float], quantile: float) -> None:
    assert low_quantile(values, quantile) == np.quantile(values, quantile, method="inverted_cdf")


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=5), st.floats(1e-6, 1 - 1e-6))
def test_distributions_are_scipys(trials: list[int], share: float) -> None:
    first, at_most = distributions(np.array(trials), share)
    for n, start, row in zip(trials, first.tolist(), at_most, strict=True):
        k = start + np.arange(len(row))
        assert row == pytest.approx(stats.binom.cdf(k, n, share), rel=1e-9, abs=1e-13)


def chance_of_worst(sizes: list[int], share: Fraction, x: Fraction) -> Fraction:
    """That the worst of windows of these sizes has at most the share x, by adding up every single count."""
    none = Fraction(1)
    for n in sizes:
        none *= sum(
            (math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1) if Fraction(k, n) > x),
            Fraction(0),
        )
    return 1 - none


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=4),
    st.fractions(Fraction(1, 50), Fraction(49, 50), max_denominator=50),
    st.sampled_from([0.01, 0.05, 0.5, 0.95]),
)
def test_the_null_of_the_worst_window_is_that_of_brute_force_also_for_windows_that_differ(
    sizes: list[int], share: Fraction, quantile: float
) -> None:
    candidates = sorted({Fraction(k, n) for n in sizes for k in range(n + 1)})
    enough = [x for x in candidates if chance_of_worst(sizes, share, x) >= Fraction(quantile)]
    # Where brute force and the level agree to the last of 12 digits, rounding decides between two neighbours.
    nearly = [x for x in candidates if chance_of_worst(sizes, share, x) >= Fraction(quantile) - Fraction(1, 10**12)]
    found = float(null_of_worst(sizes, float(share), [quantile])[0])
    assert found in (pytest.approx(float(enough[0]), abs=1e-9), pytest.approx(float(nearly[0]), abs=1e-9))


@given(
    st.integers(1, 20_000),
    st.integers(1, 2000),
    st.floats(0.01, 0.999),
    st.sampled_from([0.001, 0.05, 0.5, 0.95]),
)
def test_for_windows_of_one_size_it_is_the_binomials_first_order_statistic(
    labelled: int, windows: int, share: float, quantile: float
) -> None:
    found = round(float(null_of_worst([labelled] * windows, share, quantile)[0]) * labelled)

    def chance(k: int) -> float:
        return float(-np.expm1(windows * np.log1p(-stats.binom.cdf(k, labelled, share)))) if k < labelled else 1.0

    assert chance(found) >= quantile * (1 - 1e-6)
    assert found == 0 or chance(found - 1) <= quantile * (1 + 1e-6)


@pytest.mark.parametrize(("labelled", "worst"), [(100, 0.611), (1000, 0.715), (5000, 0.741)])
def test_at_resnets_accuracy_the_worst_of_a_days_healthy_windows_is_as_bad_as_was_simulated(
    labelled: int, worst: float
) -> None:
    low, median, high = null_of_worst([labelled] * 1440, 0.7613, [0.05, 0.5, 0.95])
    assert low < worst < high
    assert median == pytest.approx(worst, abs=0.002)


def test_the_null_is_what_simulated_windows_show() -> None:
    generator = np.random.default_rng(4)
    labelled = generator.integers(20, 400, 60)
    worst = (generator.binomial(labelled, 0.9, (20_000, 60)) / labelled).min(axis=1)
    low, median = null_of_worst(labelled, 0.9, [0.05, 0.5])
    assert (worst <= low).mean() == pytest.approx(0.05, abs=0.01)
    assert (worst <= median).mean() == pytest.approx(0.5, abs=0.02)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=5), st.sampled_from([0.0, 1.0]))
def test_where_quality_is_0_or_1_so_is_the_worst_window(labelled: list[int], share: float) -> None:
    assert null_of_worst(labelled, share, [0.05, 0.5]).tolist() == [share, share]


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=30), st.floats(0.05, 0.95))
def test_another_window_never_makes_the_worst_better(labelled: list[int], share: float) -> None:
    fewer = null_of_worst(labelled, share, [0.05, 0.5])
    more = null_of_worst([*labelled, 100], share, [0.05, 0.5])
    assert (more <= fewer + 1e-9).all()


@pytest.mark.parametrize(
    ("labelled", "share", "quantile", "named"),
    [
        ([], 0.9, 0.5, "labelled"),
        ([10, 0], 0.9, 0.5, "labelled"),
        ([10], 1.1, 0.5, "share is 1.1"),
        ([10], math.nan, 0.5, "share is nan"),
        ([10], 0.9, 0.0, "quantiles"),
        ([10], 0.9, 1.0, "quantiles"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_the_arguments_name(
    labelled: list[int], share: float, quantile: float, named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        null_of_worst(labelled, share, [quantile])
