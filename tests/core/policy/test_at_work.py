"""What an upstream is at work on (`tailgate.policy.at_work`), beside one that really works on so many at once."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.deadline import Deadline
from tailgate.policy.at_work import AtWork
from tailgate.policy.ticket import Ticket
from tailgate.simulation.events import Events
from tailgate.simulation.servers import Work, Workers, gamma

TAKE_S = 0.02


class Beside:
    """An upstream of numbers, and what is thought of it."""

    def __init__(self, workers: int, variation: float, seed: int) -> None:
        self.random, self.events = Random(seed), Events()
        self.server = Workers(self.events, workers, gamma(self.random, TAKE_S, variation))
        self.at_work: AtWork[Work] = AtWork(workers)
        self.tickets: list[Ticket[Work]] = []
        self.begun_s: dict[int, float] = {}  # when it really was, by the work
        self.took_s: list[float] = []
        take_s = self.server.take_s

        def begin() -> float:
            self.begun_s[len(self.begun_s)] = self.events.now_s
            return take_s()

        self.server.take_s = begin

    def send(self) -> Ticket[Work]:
        work = Work(lambda: self.end(ticket))
        ticket = Ticket(work, "", Deadline(self.events.now_s, 1.0))
        self.tickets.append(ticket)
        self.at_work.sent(ticket, self.events.now_s, TAKE_S)
        self.server.begin(work)
        return ticket

    def end(self, ticket: Ticket[Work]) -> None:
        self.took_s.append(self.events.now_s - ticket.begun_s)
        self.at_work.ended(ticket, self.events.now_s)


@given(st.integers(1, 8), st.sampled_from([0.0, 0.3, 1.0]), st.lists(st.floats(0.0, 0.03), max_size=60), st.integers(0))
def test_of_an_upstream_that_works_on_so_many_at_once_it_is_known_when_it_begins_each(
    workers: int, variation: float, gaps_s: list[float], seed: int
) -> None:
    beside, at_s = Beside(workers, variation, seed), 0.0
    for gap_s in gaps_s:
        at_s += gap_s
        beside.events.at(at_s, beside.send)
    beside.events.run()
    assert [one.begun_s for one in beside.tickets] == pytest.approx(list(beside.begun_s.values()))
    assert len(beside.took_s) == len(gaps_s)
    assert beside.at_work.before(workers - 1) == 0  # it is idle


@given(st.integers(1, 8), st.lists(st.floats(0.0, 0.03), min_size=1, max_size=40), st.integers(0, 30))
def test_where_times_are_all_the_same_it_is_foreseen_to_the_instant_when_each_is_begun(
    workers: int, gaps_s: list[float], ahead: int
) -> None:
    beside, at_s = Beside(workers, 0.0, 1), 0.0
    beside.at_work.took(TAKE_S)
    for gap_s in gaps_s:
        at_s += gap_s
        beside.events.at(at_s, beside.send)
    beside.events.run(at_s)
    foreseen_s = at_s + beside.at_work.begins_in(ahead, at_s)
    before = beside.at_work.before(ahead)
    waiting = [beside.send() for _ in range(ahead + 1)]
    beside.events.run()
    assert waiting[-1].begun_s == pytest.approx(foreseen_s)
    ended = sum(one.ends_s <= waiting[-1].begun_s + 1e-9 for one in beside.tickets)
    assert before <= ended if before else waiting[-1].begun_s == pytest.approx(at_s)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=20), st.integers(0, 99))
def test_however_many_it_is_thought_to_work_on_all_that_is_sent_is_begun_or_waits_and_ends(
    workers: list[int], seed: int
) -> None:
    random, at_work = Random(seed), AtWork[int](workers[0])
    there: list[Ticket[int]] = []
    for now, at_work.workers in enumerate(workers):
        for number in range(random.randrange(5)):
            there.append(Ticket(number, "", Deadline(now, 1.0)))
            at_work.sent(there[-1], float(now), 1.0)
        begun = sum(one.begun_s >= 0.0 for one in there)
        assert at_work.before(0) == max(len(there) + 1 - at_work.workers, 0)
        assert begun == len(there) or begun >= min(workers)
        assert at_work.begins_in(random.randrange(10), float(now)) >= 0.0
        for _ in range(random.randrange(len(there) + 1)):
            at_work.ended(there.pop(random.randrange(len(there))), float(now))
    for one in there:
        at_work.ended(one, 99.0)
    assert at_work.before(0) == 0


def test_the_wait_that_was_foreseen_is_held_against_the_wait_that_came() -> None:
    at_work = AtWork[str](1)
    first, second = (Ticket(name, "", Deadline(0.0, 1.0)) for name in ("first", "second"))
    second.by_places_s, second.by_rate_s = 0.02, 0.08
    at_work.sent(first, 0.0, TAKE_S)
    at_work.sent(second, 0.0, TAKE_S)
    at_work.ended(first, 0.02)
    assert second.begun_s == 0.02
    assert at_work.forecast.of(0.02, 0.08) == pytest.approx(0.02, abs=1e-3)
