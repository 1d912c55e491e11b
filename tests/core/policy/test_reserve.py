"""What is kept back of a request's time is what the way back took of late, and never much of what is left."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.policy.reserve import MOST, REMEMBERED, RENEWED, SHARE, Reserve

SECONDS = st.floats(0.0, 1e3)


def told_of(lags: list[float], replies: list[float]) -> Reserve:
    reserve = Reserve()
    for seconds in lags:
        reserve.lag(seconds)
    for seconds in replies:
        reserve.reply(seconds)
    return reserve


@given(st.lists(SECONDS, max_size=RENEWED - 1), st.lists(SECONDS, max_size=RENEWED - 1), SECONDS)
def test_nothing_is_kept_back_before_enough_is_known(lags: list[float], replies: list[float], left_s: float) -> None:
    reserve = told_of(lags, replies)
    assert (reserve.seconds, reserve.told(left_s)) == (0.0, left_s)


@given(
    st.lists(SECONDS, min_size=RENEWED, max_size=3 * REMEMBERED),
    st.lists(SECONDS, min_size=RENEWED, max_size=3 * REMEMBERED),
    st.floats(1e-6, 1e4),
)
def test_what_is_kept_back_is_at_most_a_tenth_of_what_is_left_and_at_most_what_was_seen(
    lags: list[float], replies: list[float], left_s: float
) -> None:
    reserve = told_of(lags, replies)
    kept_s = left_s - reserve.told(left_s)
    assert 0.0 <= kept_s <= MOST * left_s * (1.0 + 1e-9)
    assert reserve.seconds <= max(lags[-REMEMBERED - RENEWED :]) + max(replies[-REMEMBERED - RENEWED :])
    if reserve.seconds < MOST * left_s:
        assert kept_s == pytest.approx(reserve.seconds, abs=1e-9 * left_s)


@given(st.permutations(range(RENEWED)))
def test_few_of_the_latest_take_longer_than_what_is_kept_back(order: list[int]) -> None:
    reserve = told_of([1e-3 * number for number in order], [])
    assert sum(1e-3 * number > reserve.seconds for number in order) == RENEWED - 1 - math.floor(SHARE * RENEWED)


@given(st.floats(-1e3, 0.0))
def test_what_has_passed_is_told_as_it_is(left_s: float) -> None:
    assert told_of([1.0] * RENEWED, [1.0] * RENEWED).told(left_s) == left_s


def test_a_single_stall_takes_nothing_from_anybody_and_lasting_ones_are_forgotten() -> None:
    reserve = told_of([1.0, *[0.0] * (RENEWED - 1)], [])
    assert reserve.seconds == 0.0
    for _ in range(RENEWED):
        reserve.lag(0.05)
    assert reserve.seconds == 0.05
    for _ in range(REMEMBERED):
        reserve.lag(0.0)
    assert reserve.seconds == 0.0


def test_lag_and_reply_add_up_for_an_answer_meets_both() -> None:
    assert told_of([0.002] * RENEWED, [0.001] * RENEWED).told(1.0) == pytest.approx(0.997)
