"""Who is left out, for how long, and how it comes back."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tailgate.policy.ejection import (
    BASE_S,
    CONSECUTIVE,
    FORGIVE_S,
    LEAST_CALLS,
    MOST_S,
    SHARE,
    Ejection,
)


def fail(ejection: Ejection, now_s: float, times: int = 1) -> list[bool]:
    return [ejection.failed(now_s) for _ in range(times)]


def test_failures_in_a_row_eject_and_one_success_between_them_does_not() -> None:
    ejection = Ejection()
    assert fail(ejection, 0.0, CONSECUTIVE - 1) == [False] * (CONSECUTIVE - 1)
    ejection.succeeded(0.0)
    assert fail(ejection, 0.0, CONSECUTIVE) == [False] * (CONSECUTIVE - 1) + [True]
    assert ejection.out(0.0)
    assert ejection.out(BASE_S - 0.001)
    assert not ejection.out(BASE_S)


def test_a_share_of_failures_ejects_though_they_are_never_in_a_row() -> None:
    ejection = Ejection()
    ended = []
    for number in range(LEAST_CALLS):
        if number % 2:
            ended.append(ejection.failed(0.1 * number))
        else:
            ejection.succeeded(0.1 * number)
    assert ended == [False] * (LEAST_CALLS // 2 - 1) + [True]


def test_a_few_failures_among_many_calls_never_eject() -> None:
    ejection = Ejection()
    for number in range(10_000):
        if number % 3:
            ejection.succeeded(0.01 * number)
        else:
            assert not ejection.failed(0.01 * number)


def test_who_fails_on_trial_is_out_for_twice_as_long_up_to_a_bound() -> None:
    ejection = Ejection()
    now_s, lengths_s = 0.0, []
    fail(ejection, now_s, CONSECUTIVE - 1)
    for _ in range(8):
        assert ejection.failed(now_s)  # back on trial, one failure is enough
        began_s = now_s
        while ejection.out(now_s):
            now_s += 0.25
        lengths_s.append(now_s - began_s)
    assert lengths_s == [min(BASE_S * 2**n, MOST_S) for n in range(8)]


def test_who_succeeds_on_trial_is_back_for_good_and_its_past_is_forgiven_with_time() -> None:
    ejection = Ejection()
    fail(ejection, 0.0, CONSECUTIVE)
    ejection.succeeded(BASE_S)
    assert fail(ejection, BASE_S, CONSECUTIVE) == [False] * (CONSECUTIVE - 1) + [True]
    assert ejection.out(BASE_S + 2 * BASE_S - 0.001)  # the second in a short while
    later_s = 3 * BASE_S + 2 * FORGIVE_S
    ejection.succeeded(later_s)
    fail(ejection, later_s, CONSECUTIVE)
    assert not ejection.out(later_s + BASE_S)  # as if it were the first
    assert ejection.times == 3


def test_what_ends_while_it_is_out_changes_nothing() -> None:
    ejection = Ejection()
    fail(ejection, 0.0, CONSECUTIVE)
    assert fail(ejection, 0.5, 100) == [False] * 100
    ejection.succeeded(0.5)
    assert not ejection.out(BASE_S)
    assert ejection.failed(BASE_S)  # still on trial


class AnyCalls(RuleBasedStateMachine):
    """Calls that end in any way at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.ejection = Ejection()
        self.now_s = 0.0
        self.row = 0
        self.calls = self.failures = 0  # since it came back, or was made: no fewer than in the window
        self.out_since_s: float | None = None
        self.trial = False

    @rule(pause_s=st.floats(0, 40))
    def wait(self, pause_s: float) -> None:
        self.now_s += pause_s

    @rule(times=st.integers(1, 30), pause_s=st.floats(0, 0.2))
    def succeed(self, times: int, pause_s: float) -> None:
        for _ in range(times):
            self.now_s += pause_s
            if not self.ejection.out(self.now_s):
                self.row, self.trial = 0, False
                self.calls += 1
            self.ejection.succeeded(self.now_s)

    @rule(times=st.integers(1, 8), pause_s=st.floats(0, 0.2))
    def fail(self, times: int, pause_s: float) -> None:
        for _ in range(times):
            self.now_s += pause_s
            was_out = self.ejection.out(self.now_s)
            ejected = self.ejection.failed(self.now_s)
            assert not (was_out and ejected)
            if was_out:
                continue
            self.row, self.calls, self.failures = self.row + 1, self.calls + 1, self.failures + 1
            if ejected:
                assert self.row >= CONSECUTIVE or self.trial or self.calls >= LEAST_CALLS
                assert self.ejection.out(self.now_s)
                self.out_since_s, self.trial = self.now_s, True
                self.row = self.calls = self.failures = 0
            else:
                assert self.row < CONSECUTIVE
                assert not self.trial

    @invariant()
    def nobody_is_out_for_longer_than_the_bound(self) -> None:
        if self.out_since_s is not None:
            assert not self.ejection.out(self.out_since_s + MOST_S)
            assert self.ejection.out(self.now_s) <= (self.now_s < self.out_since_s + MOST_S)

    @invariant()
    def the_share_is_what_the_rule_says(self) -> None:
        assert 0 < SHARE <= 1


TestAnyCalls = AnyCalls.TestCase
