"""The distribution of an upstream's time: against exact quantiles, and against Kaplan and Meier's estimate by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.policy.upstream_time import BUCKETS, HALF_LIFE_S, KNOWN, LEAST_S, PER_OCTAVE, UpstreamTime, size_class

WIDTH = 2.0 ** (1 / PER_OCTAVE)
seconds = st.floats(2e-4, 1000.0)


def of(*calls: tuple[float, bool], at_s: float = 0.0) -> UpstreamTime:
    times = UpstreamTime()
    for duration_s, cut_off in calls:
        times.add(duration_s, at_s, cut_off=cut_off)
    return times


@given(st.lists(st.sampled_from([0.001, 0.01, 0.1, 1.0]), min_size=1, max_size=60), st.floats(0.01, 1.0))
def test_a_quantile_is_that_of_the_calls_or_up_to_two_buckets_more(durations_s: list[float], share: float) -> None:
    times = of(*((one, False) for one in durations_s))
    # A later call counts a thousandth more than the one before it, which moves a rank by up to 3 % here.
    low = float(np.quantile(durations_s, max(share - 0.03, 0.0), method="inverted_cdf"))
    high = float(np.quantile(durations_s, min(share + 0.03, 1.0), method="inverted_cdf"))
    assert low <= times.quantile(share) <= high * WIDTH**2


@given(st.lists(seconds, min_size=1, max_size=60), seconds)
def test_the_share_within_a_time_counts_no_call_that_took_longer(durations_s: list[float], within_s: float) -> None:
    share = of(*((one, False) for one in durations_s)).share_within(within_s)
    exact = sum(one <= within_s for one in durations_s) / len(durations_s)
    at_least = sum(one <= within_s / WIDTH**2 for one in durations_s) / len(durations_s)
    assert at_least - 0.03 <= share <= exact + 0.03


@pytest.mark.parametrize("within_s", [0.0, LEAST_S, math.nextafter(LEAST_S, 1.0)])
def test_within_the_shortest_time_that_is_told_apart_there_is_no_call_that_took_longer(within_s: float) -> None:
    assert of((0.01, False), (1.0, False)).share_within(within_s) == 0.0


def test_calls_that_were_cut_off_count_as_at_least_so_long() -> None:
    # By hand: at risk 4, 3, 1; ended 1 of 4 at 10 ms, 1 of 3 at 20 ms, cut off at 30 ms, 1 of 1 at 40 ms.
    times = of((0.01, False), (0.02, False), (0.03, True), (0.04, False))
    assert times.share_within(0.015) == pytest.approx(1 / 4, abs=1e-2)
    assert times.share_within(0.025) == pytest.approx(1 - 3 / 4 * 2 / 3, abs=1e-2)
    assert times.share_within(0.035) == pytest.approx(1 - 3 / 4 * 2 / 3, abs=1e-2)
    assert times.share_within(0.05) == pytest.approx(1.0, abs=1e-2)


@given(st.lists(st.tuples(st.sampled_from([0.001, 0.01, 0.1, 1.0]), st.booleans()), min_size=1, max_size=40))
def test_it_is_the_product_limit_estimate(calls: list[tuple[float, bool]]) -> None:
    times, surviving = of(*calls), 1.0
    for at_s in (0.001, 0.01, 0.1, 1.0):
        at_risk = sum(one >= at_s for one, _ in calls)
        ended = sum(one == at_s and not cut_off for one, cut_off in calls)
        surviving *= 1 - ended / at_risk if at_risk else 1.0
        assert times.share_within(2 * at_s) == pytest.approx(1 - surviving, abs=0.03)


@given(st.integers(1, 200))
def test_where_all_are_cut_off_nobody_knows(count: int) -> None:
    times = of(*[(0.05, True)] * count)
    assert times.share_within(10.0) == 0.0
    assert times.quantile(0.5) == math.inf


def test_a_slow_upstream_whose_calls_are_cut_off_does_not_look_quick() -> None:
    times = of(*[(0.01, False)] * 900, *[(0.05, True)] * 900)
    assert times.quantile(0.9) == math.inf
    assert times.share_within(0.05) < 0.7


@given(st.lists(st.tuples(seconds, st.booleans()), min_size=1, max_size=40), st.lists(seconds, max_size=9))
def test_longer_times_have_no_smaller_shares(calls: list[tuple[float, bool]], at_s: list[float]) -> None:
    times = of(*calls)
    shares = [times.share_within(one) for one in sorted(at_s)]
    assert shares == sorted(shares)
    assert all(0.0 <= share <= 1.0 for share in shares)


def test_what_is_known_of_long_ago_gives_way_to_a_few_new_calls() -> None:
    times = of(*[(1.0, False)] * 1000)
    for _ in range(20):
        times.add(0.01, 20 * HALF_LIFE_S)
    assert times.quantile(0.9) < 0.012


def test_a_thousand_calls_later_it_has_followed_a_change_at_one_instant() -> None:
    times = of(*[(1.0, False)] * 5000)
    for _ in range(4000):
        times.add(0.01, 0.0)
    assert times.quantile(0.95) < 0.012


def test_nothing_is_known_of_too_few_or_too_old_calls() -> None:
    times = of(*[(0.01, False)] * int(KNOWN + 1))
    assert times.known(0.0)
    assert not times.known(100 * HALF_LIFE_S)
    assert not of(*[(0.01, False)] * int(KNOWN - 1)).known(0.0)
    assert not UpstreamTime().known(0.0)


def test_counts_do_not_run_over_in_a_month() -> None:
    times = UpstreamTime()
    for day in range(30 * 24):
        times.add(0.01, day * 3600.0)
    assert math.isfinite(times.samples(30 * 24 * 3600.0))
    assert times.share_within(1.0) == pytest.approx(1.0)


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_sizes_of_one_class_differ_by_less_than_four_times(one: int, other: int) -> None:
    if size_class(one) == size_class(other):
        assert max(one, other) < 4 * max(min(one, other), 1)
    assert (size_class(one) <= size_class(other)) or one > other


@given(st.floats(1e-9, 1e6))
def test_every_time_has_its_place(duration_s: float) -> None:
    times = of(*[(duration_s, False)] * 20)
    assert times.share_within(1e9) == pytest.approx(1.0) or duration_s > 1e-4 * 2.0 ** (BUCKETS / PER_OCTAVE - 1)
