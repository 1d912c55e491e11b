"""When an upstream that could not be reached is tried again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tailgate_proxy.backoff import LEAST_S, MOST_S, Backoff


def test_the_pause_doubles_from_50_to_500_milliseconds() -> None:
    backoff, now_s, pauses_s = Backoff(), 100.0, []
    for _ in range(8):
        backoff.failed(now_s)
        pause_ms = next(ms for ms in range(1000) if backoff.may_try(now_s + ms / 1000 + 1e-9))
        pauses_s.append(pause_ms)
        now_s += 1.0
    assert pauses_s == [50, 100, 200, 400, 500, 500, 500, 500]


def test_success_forgets_every_failure() -> None:
    backoff = Backoff()
    for second in range(9):
        backoff.failed(float(second))
    backoff.succeeded()
    assert backoff.may_try(8.0)
    backoff.failed(8.0)
    assert backoff.may_try(8.0 + LEAST_S)


@given(st.lists(st.floats(0, 10), max_size=100))
def test_however_often_it_failed_it_may_be_tried_within_half_a_second(gaps_s: list[float]) -> None:
    backoff, now_s = Backoff(), 0.0
    for gap_s in gaps_s:
        now_s += gap_s
        backoff.failed(now_s)
        assert not backoff.may_try(now_s)
        assert backoff.may_try(now_s + MOST_S)
    assert backoff.may_try(now_s + MOST_S)


def test_ten_thousand_failures_are_no_overflow() -> None:
    backoff = Backoff()
    for number in range(10_000):
        backoff.failed(float(number))
    assert backoff.may_try(9_999.0 + MOST_S)
