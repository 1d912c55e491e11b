"""What is learned of how long waking up takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate_loadgen.head_start import MOST_S, STEP_S, HeadStart

AFTER = 400


@given(st.lists(st.floats(-1.0, 1.0), max_size=AFTER))
def test_it_is_never_below_nothing_and_never_above_the_most(seen_s: list[float]) -> None:
    head_start = HeadStart()
    for took_s in seen_s:
        head_start.woken(took_s)
        assert 0.0 <= head_start.seconds <= MOST_S


@given(st.floats(0.0, MOST_S))
def test_it_comes_to_what_waking_up_always_takes(took_s: float) -> None:
    head_start = HeadStart()
    for _ in range(AFTER):
        head_start.woken(took_s)
    assert head_start.seconds == pytest.approx(took_s, abs=1.001 * STEP_S)


@given(st.floats(10e-6, 150e-6), st.floats(10e-3, 10.0), st.permutations([True] * 7 + [False] * 3))
def test_a_few_that_took_far_longer_hardly_count(usual_s: float, stall_s: float, pattern: list[bool]) -> None:
    head_start = HeadStart()
    for _ in range(2 * AFTER // len(pattern)):
        for usual in pattern:
            head_start.woken(usual_s if usual else stall_s)
    assert head_start.seconds == pytest.approx(usual_s, abs=5 * STEP_S)
