"""Retries are a tenth of requests, whatever comes in whichever order."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tailgate.policy.recent import SLOTS
from tailgate.policy.retry_budget import FLOOR, SHARE, WINDOW_S, RetryBudget

SLOT_S = WINDOW_S / SLOTS


class AnyRequests(RuleBasedStateMachine):
    """Requests that come and fail at any time, all of which would be tried again if they might."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = RetryBudget()
        self.now_s = 0.0
        self.requests: list[int] = []  # the slots they came in
        self.retries: list[int] = []
        self.asked = self.allowed = 0

    @property
    def slot(self) -> int:
        return int(self.now_s // SLOT_S)

    def recent(self, slots: list[int]) -> int:
        return sum(slot > self.slot - SLOTS for slot in slots)

    @rule(pause_s=st.floats(0, 3))
    def wait(self, pause_s: float) -> None:
        self.now_s += pause_s

    @rule(times=st.integers(1, 100))
    def come(self, times: int) -> None:
        for _ in range(times):
            self.budget.request(self.now_s)
        self.requests += [self.slot] * times

    @rule(times=st.integers(1, 30))
    def fail(self, times: int) -> None:
        for _ in range(times):
            self.asked += 1
            most = max(FLOOR, SHARE * self.recent(self.requests))
            allowed = self.budget.allows(self.now_s)
            assert allowed == (self.recent(self.retries) + 1 <= most)
            if allowed:
                self.allowed += 1
                self.budget.spend(self.now_s)
                self.retries.append(self.slot)

    @rule(times=st.integers(1, 5))
    def be_refused_by_the_server(self, times: int) -> None:
        """Made again without being asked about; paid all the same."""
        for _ in range(times):
            self.budget.spend(self.now_s)
        self.retries += [self.slot] * times

    @invariant()
    def who_was_refused_is_counted(self) -> None:
        assert self.budget.refused == self.asked - self.allowed


TestAnyRequests = AnyRequests.TestCase


def test_an_hour_in_which_everything_fails_has_a_tenth_more_attempts_than_requests() -> None:
    budget, retries = RetryBudget(), 0
    for number in range(36_000):
        budget.request(number / 10)
        if budget.allows(number / 10):
            budget.spend(number / 10)
            retries += 1
    assert 0.09 * 36_000 < retries <= 0.1 * 36_000 + FLOOR


def test_a_quiet_upstream_may_still_retry() -> None:
    budget = RetryBudget()
    budget.request(0.0)
    assert budget.allows(0.0)
