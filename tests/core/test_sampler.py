"""Chosen by chance: about so many a second, and each stands for those it was chosen from."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailgate.sampler import Sampler


@settings(max_examples=30)
@given(st.lists(st.integers(0, 3000), min_size=3, max_size=12), st.integers(5, 200), st.integers(0, 100))
def test_those_chosen_stand_for_all_and_are_no_more_than_asked_for_once_the_rate_is_known(
    rates: list[int], per_second: int, seed: int
) -> None:
    sampler = Sampler(per_second, seed)
    chosen = [[sampler.stands_for(second + n / rate) for n in range(rate)] for second, rate in enumerate(rates, 5)]
    stood_for = sum(map(sum, chosen))
    # Each adds `k` with probability 1/k: a variance of at most k for each, and k is bounded by the rates.
    deviation = (sum(rate * (2 * max(rates) / per_second + 2) for rate in rates)) ** 0.5
    assert abs(stood_for - sum(rates)) <= 5 * deviation
    for before, rate, of_second in zip(rates, rates[1:], chosen[1:], strict=False):
        taken = sum(count > 0 for count in of_second)
        assert taken <= rate
        if rate <= before:
            assert taken <= per_second + 6 * per_second**0.5


def test_while_there_are_few_every_one_is_chosen() -> None:
    sampler = Sampler(100)
    assert [sampler.stands_for(1.0 + n / 80) for n in range(400)] == [1] * 400


def test_a_surge_is_bounded_before_its_first_second_is_over() -> None:
    sampler = Sampler(100, 1)
    taken = sum(sampler.stands_for(7.0 + n / 1e6) > 0 for n in range(100_000))
    # 200, and then a hundred or so for every doubling.
    assert taken < 200 + 100 * 14


@pytest.mark.parametrize("now_s", [0.0, 1e9])
def test_none_is_chosen_where_none_is_wanted(now_s: float) -> None:
    assert Sampler(0).stands_for(now_s) == 0


def test_after_a_silence_every_one_is_chosen_again() -> None:
    sampler = Sampler(10, 1)
    for n in range(10_000):
        sampler.stands_for(1.0 + n / 10_000)
    assert sampler.stands_for(60.0) == 1
