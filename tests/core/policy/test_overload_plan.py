"""What `bench/overload.py` holds everybody against: its perfect scheduler, and its schedules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench._overload_plan import AFTER_S, BEFORE_S, LOADS, Load, attainable, schedule


@given(st.lists(st.floats(0, 1), max_size=60), st.integers(1, 4))
def test_no_more_is_attainable_than_the_workers_can_do_nor_less_than_the_first_of_each(
    instants_s: list[float], workers: int
) -> None:
    instants_s.sort()
    answered = attainable(instants_s, workers, capacity=workers / 0.02, deadline_s=0.1)
    span_s = (instants_s[-1] - instants_s[0] + 0.1) if instants_s else 0.0
    assert sum(answered) <= workers * (span_s / 0.02 + 1)
    assert all(answered[: 5 * workers])  # the first five of each worker can always be done in time


@pytest.mark.parametrize("load", LOADS, ids=str)
def test_a_schedule_has_the_rate_that_its_load_says_and_is_the_same_for_a_seed(load: Load) -> None:
    instants_s = schedule(load, 200.0, 20.0, seed=3)
    assert instants_s == sorted(instants_s) == schedule(load, 200.0, 20.0, seed=3)
    within = sum(BEFORE_S <= one < BEFORE_S + 20.0 for one in instants_s)
    asked = load.factor * 200.0 * 20.0
    assert abs(within - asked) < 6 * (asked * (20 if load.arrivals == "bursts" else 1)) ** 0.5
    assert instants_s[-1] < BEFORE_S + 20.0 + AFTER_S
