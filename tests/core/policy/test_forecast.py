"""The wait from two forecasts (`tailgate.policy.forecast`): the better one counts, whichever that is."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.policy.forecast import Forecast

waits = st.floats(0.0, 10.0)


@given(waits, waits)
def test_of_two_that_have_not_been_tried_both_count_the_same(one_s: float, other_s: float) -> None:
    assert Forecast().of(one_s, other_s) == pytest.approx((one_s + other_s) / 2.0)


@given(st.lists(st.tuples(waits, waits, waits), max_size=30), waits, waits)
def test_what_is_said_lies_between_the_two(
    seen: list[tuple[float, float, float]], one_s: float, other_s: float
) -> None:
    forecast = Forecast()
    for by_places_s, by_rate_s, waited_s in seen:
        forecast.came(by_places_s, by_rate_s, waited_s)
    assert min(one_s, other_s) - 1e-9 <= forecast.of(one_s, other_s) <= max(one_s, other_s) + 1e-9


@pytest.mark.parametrize("places_are_right", [True, False])
def test_the_one_that_was_right_is_believed_and_within_some_waits_the_other_where_that_changes(
    places_are_right: bool,
) -> None:
    forecast = Forecast()
    for right in (places_are_right, not places_are_right):
        for _ in range(1000):
            forecast.came(0.1 if right else 0.2, 0.2 if right else 0.1, 0.1)
        assert forecast.of(0.05, 0.09) == pytest.approx(0.05 if right else 0.09, abs=1e-3)
        assert forecast.deviation_s < 0.01


@given(st.integers(0, 1000), st.floats(0.001, 0.1), st.floats(0.001, 0.1))
def test_it_is_off_by_less_than_the_better_of_two_whose_errors_have_nothing_to_do_with_each_other(
    seed: int, by_places_s: float, by_rate_s: float
) -> None:
    random, forecast, squares = Random(seed), Forecast(), 0.0
    for number in range(3000):
        places_s, rate_s = random.gauss(1.0, by_places_s), random.gauss(1.0, by_rate_s)
        if number >= 1000:
            squares += (forecast.of(places_s, rate_s) - 1.0) ** 2
        forecast.came(places_s, rate_s, 1.0)
    # The weights come of a hundred waits, and are known to a seventh.
    assert (squares / 2000) ** 0.5 <= 1.05 * min(by_places_s, by_rate_s)
    assert forecast.deviation_s == pytest.approx((squares / 2000) ** 0.5, rel=0.5)
