"""When calls are answered again as before: told by hand."""

from __future__ import annotations

import pytest

from faults.recovery import CALLS, recovery_s

pytestmark = pytest.mark.beside_others  # it computes


def calls(*stretches: tuple[int, bool]) -> list[tuple[float, bool]]:
    """A hundred a second: so many that are answered, or not, one stretch after the other."""
    answered = [ok for count, ok in stretches for _ in range(count)]
    return [(number / 100, ok) for number, ok in enumerate(answered)]


def test_without_a_failure_recovery_takes_no_time() -> None:
    assert recovery_s(calls((500, True)), 1.0, 2.0) == 0.0


def test_it_is_over_with_the_first_call_from_which_on_enough_are_answered() -> None:
    # Of the fifty from 2.98 s on two are not answered, which is enough; of those from 2.97 s on three are not.
    assert recovery_s(calls((100, True), (200, False), (200, True)), 1.0, 2.0) == pytest.approx(0.98)


def test_what_failed_before_is_not_asked_for_after() -> None:
    half = [(number / 100, number % 2 == 0) for number in range(500)]
    assert recovery_s(half, 1.0, 2.0) == 0.0


def test_where_calls_are_never_answered_again_there_is_none() -> None:
    assert recovery_s(calls((100, True), (400, False)), 1.0, 2.0) is None


def test_too_few_calls_after_a_fault_prove_nothing() -> None:
    assert recovery_s(calls((200 + CALLS - 1, True)), 1.0, 2.0) is None
    assert recovery_s(calls((200 + CALLS, True)), 1.0, 2.0) == 0.0


def test_without_calls_before_there_is_nothing_to_come_back_to() -> None:
    assert recovery_s(calls((500, True)), 0.0, 2.0) is None
