"""Admission (`tailgate.policy.admission`): requests of mode observe beside others that wait."""

from __future__ import annotations

from tailgate.deadline import Deadline
from tailgate.policy.admission import Admission, Ended, State, Ticket
from tailgate.policy.false_refusals import UNDER_WAY


def test_who_goes_ahead_of_those_that_wait_does_not_show_that_they_would_have_been_in_time() -> None:
    admission: Admission[int] = Admission(1.0, fixed=1)
    now_s = 0.0
    for number in range(50):  # a call takes 0.4 s
        known = Ticket(number, "m", Deadline(now_s, 1.0))
        admission.enter(known, now_s)
        now_s += 0.4
        admission.leave(known, now_s, Ended.IN_TIME)
    for number in range(3):
        admission.enter(Ticket(number, "m", Deadline(now_s, 1.0)), now_s)
    assert admission.waiting > 0
    before = admission.refusals.tried
    watched = Ticket(9, "m", Deadline(now_s, 1.0), watched=True)
    admission.enter(watched, now_s)
    assert watched.state is State.SENT
    assert admission.would_refuse == 1
    admission.leave(watched, now_s + 0.4, Ended.IN_TIME)
    assert admission.refusals.tried == before
    assert admission.refusals.strictness == 1.0


def test_all_that_are_under_way_when_an_upstream_answers_again_do_not_end_all_refusing() -> None:
    admission: Admission[int] = Admission(0.1)
    now_s = 0.0
    for number in range(50):
        known = Ticket(number, "m", Deadline(now_s, 0.1))
        admission.enter(known, now_s)
        now_s += 0.01
        admission.leave(known, now_s, Ended.IN_TIME)
    for number in range(30):
        stuck = Ticket(number, "m", Deadline(now_s, 0.1), watched=True)
        admission.enter(stuck, now_s)
        now_s += 0.1
        admission.leave(stuck, now_s, Ended.CUT_OFF)
    dark_while_none_is_in_time = admission.dark
    assert dark_while_none_is_in_time
    tried = admission.refusals.tried  # before it was seen that none is in time
    watched = [Ticket(number, "m", Deadline(now_s, 0.1), watched=True) for number in range(40)]
    for ticket in watched:
        admission.enter(ticket, now_s)
    for ticket in watched:
        admission.leave(ticket, now_s + 0.05, Ended.IN_TIME)
    assert not admission.dark
    assert admission.refusals.tried == tried
    assert admission.refusals.strictness == 1.0


def test_all_that_are_under_way_when_an_upstream_is_found_to_do_more_than_was_known_do_not_end_all_refusing() -> None:
    admission: Admission[int] = Admission(1.0)
    now_s = 0.0
    for number in range(50):  # one after another: nothing says that it works on several at once
        known = Ticket(number, "m", Deadline(now_s, 1.0))
        admission.enter(known, now_s)
        now_s += 0.1
        admission.leave(known, now_s, Ended.IN_TIME)
    watched = [Ticket(number, "m", Deadline(now_s, 0.15), watched=True) for number in range(40)]
    for ticket in watched:
        admission.enter(ticket, now_s)
    assert admission.would_refuse > 2 * UNDER_WAY
    for ticket in watched:  # but it does, on all of them
        admission.leave(ticket, now_s + 0.1, Ended.IN_TIME)
    assert 0 < admission.refusals.tried <= UNDER_WAY
