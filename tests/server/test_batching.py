"""The rules of the queue, held by a model of it and by thousands of made-up histories."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tailgate.deadline import Deadline
from tailgate.errors import DeadlineExceeded, Overloaded
from tailgate_server.batching import DUE_NOW, Batcher, Ticket


class Histories(RuleBasedStateMachine):
    """Adds, cancels and takes in any order while time goes on; items are numbers, their facts are kept beside."""

    @initialize(max_rows=st.integers(1, 6), max_delay_s=st.sampled_from([0.0, 0.5, 3.0]), max_waiting=st.integers(1, 8))
    def start(self, max_rows: int, max_delay_s: float, max_waiting: int) -> None:
        self.max_rows, self.max_delay_s, self.max_waiting = max_rows, max_delay_s, max_waiting
        self.batcher: Batcher[int] = Batcher(max_rows, max_delay_s, max_waiting)
        self.now_s = 100.0
        self.count = 0
        self.waiting: dict[int, tuple[Ticket, int, str, Deadline | None, float]] = {}
        self.gone: list[tuple[int, Ticket]] = []

    @rule(
        rows=st.integers(1, 6),
        budget_s=st.none() | st.sampled_from([-1.0, 0.0, 0.25, 1.0, 2.0, 4.0]),
        age_s=st.sampled_from([0.0, 0.25, 1.0]),
        kind=st.sampled_from(["UINT8", "FP32"]),
    )
    def add(self, rows: int, budget_s: float | None, age_s: float, kind: str) -> None:
        rows = min(rows, self.max_rows)
        deadline = None if budget_s is None else Deadline(self.now_s - age_s, budget_s)
        self.count += 1
        if deadline is not None and (deadline.expired_on_arrival or deadline.passed(self.now_s)):
            with pytest.raises(DeadlineExceeded):
                self.batcher.add(self.count, rows, deadline, self.now_s, kind)
        elif len(self.waiting) == self.max_waiting:
            with pytest.raises(Overloaded):
                self.batcher.add(self.count, rows, deadline, self.now_s, kind)
        else:
            ticket = self.batcher.add(self.count, rows, deadline, self.now_s, kind)
            self.waiting[self.count] = (ticket, rows, kind, deadline, self.now_s)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.waiting:
            item = data.draw(st.sampled_from(sorted(self.waiting)))
            ticket = self.waiting.pop(item)[0]
            assert self.batcher.cancel(ticket)
            self.gone.append((item, ticket))

    @rule(data=st.data())
    def cancel_what_has_ended(self, data: st.DataObject) -> None:
        if self.gone:
            assert not self.batcher.cancel(data.draw(st.sampled_from(self.gone))[1])

    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 2.5]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule()
    def take(self) -> None:
        before = dict(self.waiting)
        late = {item for item, facts in before.items() if facts[3] is not None and facts[3].passed(self.now_s)}
        taken = self.batcher.take(self.now_s)
        # The expired, all of them and nobody else; each item ends once.
        assert sorted(taken.expired) == sorted(late)
        assert not set(taken.batch) & late
        assert len(set(taken.batch)) == len(taken.batch)
        for item in [*taken.batch, *taken.expired]:
            self.gone.append((item, self.waiting.pop(item)[0]))
        batch = [before[item] for item in taken.batch]
        assert sum(facts[1] for facts in batch) <= self.max_rows
        assert len({facts[2] for facts in batch}) <= 1
        if batch:
            urgency = [_urgency(facts) for facts in batch]
            assert urgency == sorted(urgency)
            # Nobody who was left behind was more urgent than the first, and nobody of its kind would still have fitted.
            room = self.max_rows - sum(facts[1] for facts in batch)
            for facts in self.waiting.values():
                assert _urgency(facts) > urgency[0]
                assert facts[2] != batch[0][2] or facts[1] > room
        else:
            # Held back for company only, and nobody for longer than the delay.
            assert all(self.now_s < facts[4] + self.max_delay_s for facts in self.waiting.values())

    @rule()
    def drain(self) -> None:
        drained = self.batcher.drain()
        assert drained == sorted(self.waiting, key=lambda item: _urgency(self.waiting[item]))
        for item in drained:
            self.gone.append((item, self.waiting.pop(item)[0]))

    @invariant()
    def nothing_is_lost_and_the_next_instant_is_known(self) -> None:
        assert len(self.batcher) == len(self.waiting)
        due_s = self.batcher.due_s()
        assert (due_s is None) == (not self.waiting)
        if due_s is not None:
            assert due_s <= min(facts[4] for facts in self.waiting.values()) + self.max_delay_s


def _urgency(facts: tuple[Ticket, int, str, Deadline | None, float]) -> tuple[float, int]:
    deadline = facts[3]
    return (math.inf if deadline is None else deadline.at_s, facts[0].number)


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)


def test_the_earliest_deadline_goes_first_and_no_deadline_last() -> None:
    batcher: Batcher[str] = Batcher(1, 0.0, 8)
    batcher.add("none", 1, None, 0.0)
    batcher.add("late", 1, Deadline(0.0, 9.0), 0.0)
    batcher.add("early", 1, Deadline(0.0, 3.0), 0.0)
    assert [batcher.take(1.0).batch for _ in range(3)] == [["early"], ["late"], ["none"]]


def test_an_expired_member_is_refused_and_not_the_most_urgent() -> None:
    batcher: Batcher[str] = Batcher(1, 0.0, 8)
    batcher.add("expired", 1, Deadline(0.0, 1.0), 0.0)
    batcher.add("alive", 1, Deadline(0.0, 5.0), 0.0)
    taken = batcher.take(2.0)
    assert (taken.batch, taken.expired) == (["alive"], ["expired"])


def test_a_member_waits_for_company_for_the_delay_at_most() -> None:
    batcher: Batcher[str] = Batcher(4, 0.010, 8)
    batcher.add("a", 1, None, 0.0)
    assert batcher.due_s() == 0.010
    assert batcher.take(0.009).batch == []
    assert batcher.take(0.010).batch == ["a"]


def test_a_full_batch_does_not_wait() -> None:
    batcher: Batcher[str] = Batcher(2, 1.0, 8)
    batcher.add("a", 1, None, 0.0)
    batcher.add("b", 1, None, 0.0)
    assert batcher.due_s() == DUE_NOW
    assert batcher.take(0.0).batch == ["a", "b"]


def test_waiting_for_company_takes_half_of_a_short_budget_at_most() -> None:
    batcher: Batcher[str] = Batcher(4, 1.0, 8)
    batcher.add("a", 1, Deadline(0.0, 0.5), 0.0)
    assert batcher.due_s() == 0.25


def test_a_small_member_slips_into_room_that_a_large_one_leaves_without_delaying_it_twice() -> None:
    batcher: Batcher[str] = Batcher(4, 0.0, 8)
    for name, rows in (("two", 2), ("three", 3), ("one", 1), ("another", 1)):
        batcher.add(name, rows, None, 0.0)
    assert batcher.take(0.0).batch == ["two", "one", "another"]
    assert batcher.take(0.0).batch == ["three"]
