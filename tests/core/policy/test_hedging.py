"""Hedges are few, of room that nobody needs, and only where they can help; whatever comes in whichever order."""

from __future__ import annotations

import math

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tailgate.deadline import Deadline
from tailgate.policy.admission import Admission, Ended, State, Ticket
from tailgate.policy.hedging import BUDGET, MOST_SAVED, REAL_CHANCE, Hedging, Prospect, Unhedged
from tailgate.policy.recent import SLOTS
from tailgate.policy.retry_budget import FLOOR, SHARE, WINDOW_S, RetryBudget

SLOT_S = WINDOW_S / SLOTS
GOOD = Prospect(0.9, spare=True)


class AnyOrder(RuleBasedStateMachine):
    """Requests that come, fail and are slow at any time, all of which would be given to another if they might."""

    hedging: Hedging

    def __init__(self) -> None:
        super().__init__()
        self.retries = RetryBudget()
        self.now_s = 0.0
        self.requests: list[int] = []  # the slots they came in
        self.again: list[int] = []  # of hedges and of retries
        self.hedges = self.asked = 0

    @initialize(budget=st.sampled_from([0.01, 0.02, BUDGET, 0.1]))
    def begin(self, budget: float) -> None:
        self.hedging = Hedging(0.95, budget, self.retries)

    def recent(self, slots: list[int]) -> int:
        return sum(slot > int(self.now_s // SLOT_S) - SLOTS for slot in slots)

    @rule(pause_s=st.floats(0, 3))
    def wait(self, pause_s: float) -> None:
        self.now_s += pause_s

    @rule(times=st.integers(1, 300))
    def come(self, times: int) -> None:
        for _ in range(times):
            self.retries.request(self.now_s)
            self.hedging.request()
        self.requests += [int(self.now_s // SLOT_S)] * times

    @rule(times=st.integers(1, 10))
    def fail(self, times: int) -> None:
        for _ in range(times):
            if self.retries.allows(self.now_s):
                self.retries.spend(self.now_s)
                self.again.append(int(self.now_s // SLOT_S))

    @rule(
        times=st.integers(1, 30),
        others=st.sampled_from([0, 1, 1, 2]),
        chance=st.sampled_from([0.0, REAL_CHANCE - 1e-9, REAL_CHANCE, 1.0]),
        spare=st.booleans(),
    )
    def be_slow(self, times: int, others: int, chance: float, spare: bool) -> None:
        for _ in range(times):
            self.asked += 1
            why = self.hedging.refusal(self.now_s, others=others, prospect=Prospect(chance, spare))
            if why is None:
                assert others
                assert spare
                assert chance >= REAL_CHANCE
                self.hedging.spend(self.now_s)
                self.hedges += 1
                self.again.append(int(self.now_s // SLOT_S))
                assert self.recent(self.again) <= SHARE * self.recent(self.requests)
            elif why is Unhedged.ALONE:
                assert not others
            elif why is Unhedged.BUSY:
                assert not spare
            elif why is Unhedged.TOO_LATE:
                assert chance < REAL_CHANCE

    @invariant()
    def hedges_are_within_their_share_from_the_first_request_on(self) -> None:
        if hasattr(self, "hedging"):
            assert self.hedges <= self.hedging.budget * len(self.requests) + 1e-4

    @invariant()
    def hedges_and_retries_are_a_tenth_of_the_requests_together(self) -> None:
        assert len(self.again) <= SHARE * len(self.requests) + FLOOR * (self.now_s // (WINDOW_S - SLOT_S) + 1)

    @invariant()
    def who_is_not_hedged_is_counted_once(self) -> None:
        if hasattr(self, "hedging"):
            assert sum(self.hedging.unhedged.values()) == self.asked - self.hedges


TestAnyOrder = AnyOrder.TestCase


def saved_up(requests: int, budget: float = BUDGET) -> tuple[Hedging, RetryBudget]:
    retries = RetryBudget()
    hedging = Hedging(0.95, budget, retries)
    for _ in range(requests):
        retries.request(0.0)
        hedging.request()
    return hedging, retries


def hedges(hedging: Hedging, most: int = 1000) -> int:
    for count in range(most):
        if hedging.refusal(0.0, others=1, prospect=GOOD) is not None:
            return count
        hedging.spend(0.0)
    return most


@pytest.mark.parametrize(("requests", "allowed"), [(0, 0), (19, 0), (20, 1), (200, 10)])
def test_the_budget_is_a_share_of_the_requests_that_have_come(requests: int, allowed: int) -> None:
    assert hedges(saved_up(requests)[0]) == allowed


def test_no_more_is_saved_up_than_a_member_has_in_hand_when_it_stops() -> None:
    assert hedges(saved_up(100_000)[0]) == MOST_SAVED


def test_what_retries_have_spent_is_not_there_for_hedges() -> None:
    hedging, retries = saved_up(100, 0.1)
    for _ in range(7):
        retries.spend(0.0)
    assert hedges(hedging) == 3
    assert hedging.unhedged[Unhedged.BUDGET] == 1


def test_what_hedges_have_spent_is_not_there_for_retries() -> None:
    hedging, retries = saved_up(100, 0.1)
    assert hedges(hedging) == 10
    assert not retries.allows(0.0)


class Sending:
    """An admission whose upstream takes 10 ms for each of its calls, of which five at a time are sent."""

    def __init__(self) -> None:
        self.admission: Admission[str] = Admission(0.2, fixed=5, seed=3)
        self.now_s = 0.0
        for _ in range(40):
            self.end(self.send(), 0.01, Ended.IN_TIME)

    def send(self) -> Ticket[str]:
        ticket = Ticket("whose", "kind", Deadline(self.now_s, 0.2))
        self.admission.enter(ticket, self.now_s)
        return ticket

    def end(self, ticket: Ticket[str], after_s: float, ended: Ended) -> None:
        self.now_s += after_s
        self.admission.leave(ticket, self.now_s, ended)


def test_both_calls_of_a_request_have_a_place_each_within_the_limit() -> None:
    world = Sending()
    tickets = [world.send() for _ in range(4)]
    assert world.admission.spare
    tickets.append(world.admission.send_second(tickets[0], world.now_s))
    assert (world.admission.in_flight, world.admission.limit, world.admission.spare) == (5, 5, False)
    waits = world.send()
    assert waits.state is State.WAITING
    for ticket in tickets:
        world.end(ticket, 0.001, Ended.UNTOLD)
    world.admission.leave(waits, world.now_s, Ended.UNTOLD)
    assert (world.admission.in_flight, world.admission.spare) == (0, True)


def test_whoever_found_no_room_is_remembered_for_as_long_as_its_successors_may_need_it() -> None:
    world = Sending()
    tickets = [world.send() for _ in range(5)]
    assert not world.admission.pressed(0.2, world.now_s)
    tickets.append(world.send())
    for ticket in tickets:
        world.end(ticket, 0.001, Ended.UNTOLD)
    assert world.admission.spare  # for the moment
    assert world.admission.pressed(0.2, world.now_s)
    world.now_s += 0.2
    assert not world.admission.pressed(0.2, world.now_s)


def test_a_call_that_was_overtaken_says_only_that_it_would_have_taken_longer() -> None:
    world = Sending()
    rate, limit = world.admission.rate, world.admission.limit
    for _ in range(40):  # half of the calls are overtaken at 20 ms: they took longer, and nobody knows how much
        world.end(world.send(), 0.02, Ended.OVERTAKEN)
    assert world.admission.share_within("kind", 0.011, world.now_s) == pytest.approx(0.5, abs=0.05)
    assert 0.01 <= world.admission.usual_s("kind", 0.9, world.now_s) < 0.0105  # no longer one was seen to end
    assert (world.admission.rate, world.admission.limit, world.admission.dark) == (rate, limit, False)


def test_calls_that_were_overtaken_early_take_nothing_from_the_tail_that_is_known() -> None:
    world = Sending()
    for number in range(400):
        world.end(world.send(), 0.1 if number % 10 == 0 else 0.01, Ended.IN_TIME)
        if number % 10 == 1:
            world.end(world.send(), 0.002, Ended.OVERTAKEN)  # second calls that lost soon after they were made
    assert world.admission.share_within("kind", 0.011, world.now_s) == pytest.approx(0.9, abs=0.02)
    assert 0.1 <= world.admission.usual_s("kind", 0.95, world.now_s) < 0.105


def test_of_a_kind_that_nobody_knows_nothing_is_usual() -> None:
    world = Sending()
    assert world.admission.usual_s("another", 0.95, world.now_s) == math.inf
    assert world.admission.share_within("another", 10.0, world.now_s) == 0.0
