"""Admission as a state machine on a virtual clock: whoever comes, however it ends, in any order."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tailgate.deadline import Deadline
from tailgate.policy.admission import Admission, Ended, Refusal, State, Ticket

LONGEST_S = 0.2


class AnyOrder(RuleBasedStateMachine):
    """Requests come, wait, are sent, end."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 5.0
        self.open: list[Ticket[int]] = []  # that wait or were sent
        self.over: list[Ticket[int]] = []
        self.count = 0

    @initialize(fixed=st.sampled_from([None, 1, 3]), most=st.sampled_from([100, 2]))
    def begin(self, fixed: int | None, most: int) -> None:
        self.most = most if fixed is None else fixed
        self.admission: Admission[int] = Admission(LONGEST_S, fixed=fixed, most=most, seed=7)

    @rule(
        budget_s=st.sampled_from([0.2, 0.2, 0.05, 0.01, 0.0001]),
        age_s=st.sampled_from([0.0, 0.0, 0.04]),
        watched=st.sampled_from([False, False, False, True]),
        kind=st.sampled_from(["quick", "slow"]),
    )
    def comes(self, budget_s: float, age_s: float, watched: bool, kind: str) -> None:
        self.count += 1
        ticket = Ticket(self.count, kind, Deadline(self.now_s - age_s, budget_s), watched=watched)
        room = self.admission.in_flight < self.admission.limit and not self.admission.waiting
        other = self.admission.enter(ticket, self.now_s)
        if watched:
            assert ticket.state is State.SENT
        elif ticket.deadline.passed(self.now_s):
            assert ticket.refusal is Refusal.EXPIRED
        elif room:
            assert ticket.refusal in (None, Refusal.PREDICTED_LATE)
        if other is not None:
            assert other is not ticket
            assert (other.state, other.refusal) == (State.OVER, Refusal.LINE_FULL)
            self.open.remove(other)
            self.over.append(other)
        (self.over if ticket.state is State.OVER else self.open).append(ticket)

    @precondition(lambda self: self.open)
    @rule(choice=st.integers(0), ended=st.sampled_from([Ended.IN_TIME] * 4 + list(Ended)))
    def ends(self, choice: int, ended: Ended) -> None:
        ticket = self.open.pop(choice % len(self.open))
        if ticket.state is State.WAITING:
            ended = Ended.CUT_OFF
        self.admission.leave(ticket, self.now_s, ended)
        self.over.append(ticket)
        while (turn := self.admission.next(self.now_s)) is not None:
            assert turn in self.open
            if turn.state is State.OVER:
                assert turn.refusal is not None
                assert turn.refusal is not Refusal.LINE_FULL
                self.open.remove(turn)
                self.over.append(turn)
            else:
                assert not turn.deadline.passed(self.now_s)  # what has expired is refused, never urgent

    @rule(seconds=st.sampled_from([1e-4, 0.002, 0.01, 0.05, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "admission"):
            return
        sent = [ticket for ticket in self.open if ticket.state is State.SENT]
        waiting = [ticket for ticket in self.open if ticket.state is State.WAITING]
        assert len(sent) + len(waiting) == len(self.open)
        assert self.admission.in_flight == len(sent)
        assert self.admission.waiting == len(waiting)
        assert 1 <= self.admission.limit <= self.most
        assert all(ticket.state is State.OVER for ticket in self.over)
        assert not any(ticket.watched and ticket.refusal for ticket in self.over)
        assert 0.0 <= self.admission.refusals.strictness <= 1.0

    def teardown(self) -> None:
        if not hasattr(self, "admission"):
            return
        for ticket in list(self.open):
            self.admission.leave(ticket, self.now_s, Ended.UNTOLD)
        assert (self.admission.in_flight, self.admission.waiting) == (0, 0)
        assert self.admission.next(self.now_s) is None


def test_in_any_order_every_request_is_sent_waits_or_is_refused_and_each_place_comes_back() -> None:
    run_state_machine_as_test(AnyOrder, settings=settings(max_examples=150, stateful_step_count=50, deadline=None))


class Told:
    """An admission that knows: a limit of one, calls of exactly 10 ms, nothing left to chance."""

    def __init__(self) -> None:
        self.admission: Admission[str] = Admission(0.1, fixed=1, seed=3)
        self.now_s = 0.0
        for _ in range(40):
            ticket = self.come("warm-up", 0.1)
            self.now_s += 0.01
            self.admission.leave(ticket, self.now_s, Ended.IN_TIME)
        self.try_next(always=False)

    def try_next(self, *, always: bool) -> None:
        """Nothing is left to chance."""
        self.admission.refusals._random = lambda: 0.0 if always else 1.0
        self.admission.refusals._tried_s = float("inf")

    def come(self, name: str, budget_s: float, *, watched: bool = False) -> Ticket[str]:
        ticket = Ticket(name, "kind", Deadline(self.now_s, budget_s), watched=watched)
        self.admission.enter(ticket, self.now_s)
        return ticket

    def end(self, ticket: Ticket[str]) -> list[tuple[str, Refusal | None]]:
        self.admission.leave(ticket, self.now_s, Ended.IN_TIME)
        turns = []
        while (turn := self.admission.next(self.now_s)) is not None:
            turns.append((turn.item, turn.refusal))
        return turns


def test_who_cannot_make_it_is_refused_at_once_and_who_can_waits() -> None:
    told = Told()
    told.come("at work", 0.1)
    states = [told.come(f"{n}", 0.055) for n in range(8)]
    assert [one.state for one in states[:4]] == [State.WAITING] * 4
    assert {one.refusal for one in states[4:]} == {Refusal.PREDICTED_LATE}


def test_a_request_whose_own_time_is_too_short_is_refused_though_nobody_waits_and_told_that_it_is_in_vain() -> None:
    told = Told()
    short = told.come("short", 0.005)
    assert short.refusal is Refusal.PREDICTED_LATE
    assert told.admission.hopeless(short, told.now_s)
    long = told.come("long", 0.1)
    assert long.state is State.SENT
    assert not told.admission.hopeless(long, told.now_s)


def test_the_earliest_deadline_goes_first_and_an_expired_one_is_refused_instead_of_sent() -> None:
    told = Told()
    first = told.come("at work", 0.1)
    told.come("patient", 0.09)
    told.come("urgent", 0.03)
    told.now_s += 0.01
    assert told.end(first) == [("urgent", None)]
    (patient,) = [told.admission._line.at(0)]
    told.now_s += 0.2
    urgent = Ticket("", "kind", Deadline(0.0, 1.0))
    assert patient.deadline.passed(told.now_s)
    told.admission.in_flight = 0
    assert told.admission.next(told.now_s) is patient
    assert patient.refusal is Refusal.EXPIRED
    assert urgent.state is State.NEW


def test_the_line_is_bounded_by_what_can_be_served_within_the_longest_deadline() -> None:
    told = Told()
    told.admission.refusals._level = 0.0  # nothing is refused on arrival
    told.come("at work", 0.1)
    waiting = [told.come(f"{n}", 0.1) for n in range(30)]
    bound = told.admission.line_bound
    assert bound == pytest.approx(10, abs=1)
    assert sum(one.state is State.WAITING for one in waiting) == told.admission.waiting == bound
    assert {one.refusal for one in waiting if one.state is State.OVER} == {Refusal.LINE_FULL}


def test_a_more_urgent_one_takes_the_place_of_the_last_in_a_full_line() -> None:
    told = Told()
    told.admission.refusals._level = 0.0
    told.come("at work", 0.1)
    waiting = [told.come(f"{n}", 0.1) for n in range(12)]
    urgent = told.come("urgent", 0.05)
    assert urgent.state is State.WAITING
    assert sum(one.state is State.WAITING for one in (*waiting, urgent)) == told.admission.line_bound


def test_in_mode_observe_nothing_waits_or_is_refused_and_what_would_be_is_counted() -> None:
    told = Told()
    told.come("at work", 0.1)
    watched = [told.come(f"{n}", 0.005, watched=True) for n in range(5)]
    assert [one.state for one in watched] == [State.SENT] * 5
    assert told.admission.would_refuse == 5
    told.now_s += 0.004
    told.end(watched[0])
    assert (told.admission.refusals.tried, told.admission.refusals.in_time) == (1, 1)


def test_one_that_is_tried_takes_nobodys_place() -> None:
    told = Told()
    first = told.come("at work", 0.1)
    told.try_next(always=True)
    tried = told.come("tried", 0.012)
    assert tried.state is State.WAITING
    told.come("later", 0.1)
    told.now_s += 0.01
    assert told.end(first) == [("later", None)]
    told.admission.leave(tried, told.now_s, Ended.CUT_OFF)
    assert (told.admission.refusals.tried, told.admission.refusals.in_time) == (1, 0)


def test_a_pushback_is_the_time_until_all_who_wait_have_been_served() -> None:
    told = Told()
    told.come("at work", 0.1)
    for n in range(5):
        told.come(f"{n}", 0.1)
    assert told.admission.pushback_s() == pytest.approx(0.05, rel=0.1)
