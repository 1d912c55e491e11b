"""Admission on virtual time: who is refused is refused when it comes, and of a burst as many are answered as can be."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest

from bench._overload_plan import attainable
from tailgate.policy.admission import Admission
from tailgate.simulation.arrivals import bursts, poisson
from tailgate.simulation.door import Door, Request
from tailgate.simulation.events import Events
from tailgate.simulation.servers import Work, Workers

WORKERS, TAKE_S, WAY_S, BUDGET_S, SETTLED_S, END_S = 4, 0.0215, 0.0007, 0.1, 3.0, 23.0


class Distant(Workers):
    """One to which a call is on its way for about `WAY_S`, and its answer, too."""

    def __init__(self, events: Events, random: Random) -> None:
        super().__init__(events, WORKERS, lambda: random.uniform(TAKE_S - 0.001, TAKE_S + 0.001))
        self.events, self.random, self.last_s = events, random, 0.0

    def begin(self, work: Work) -> None:
        done = work.done
        work.done = lambda: self.events.after(self.random.uniform(0.5, 1.5) * WAY_S, done)
        self.last_s = max(self.events.now_s + self.random.uniform(0.5, 1.5) * WAY_S, self.last_s)  # none overtakes
        self.events.at(self.last_s, lambda: super(Distant, self).begin(work))


@pytest.fixture
def run() -> Runs:
    return Runs()


class Runs:
    """Four at once, each 20 ms and what a timer is late by."""

    def __call__(self, factor: float, *, burst: int | None, seed: int = 1) -> tuple[Door, Admission[Request], float]:
        random, events = Random(seed), Events()
        admission: Admission[Request] = Admission(BUDGET_S, seed=seed)
        door = Door(events, Distant(events, random), admission)
        capacity = WORKERS / TAKE_S
        arrivals = poisson if burst is None else partial(bursts, size=burst)
        instants_s = list(poisson(random, capacity, 0.0, SETTLED_S))  # until it has found its limit
        instants_s += arrivals(random, factor * capacity, SETTLED_S, END_S)
        for at_s in instants_s:
            events.at(at_s, lambda: door.arrive(BUDGET_S))
        events.run()
        answered = attainable(instants_s, WORKERS, capacity, BUDGET_S)
        perfect = sum(one for one, at_s in zip(answered, instants_s, strict=True) if SETTLED_S <= at_s < END_S)
        return door, admission, door.good(SETTLED_S, END_S) / perfect


@pytest.mark.parametrize("factor", [1.0, 2.0, 5.0])
@pytest.mark.parametrize("burst", [None, 10])
def test_of_a_hundred_refusals_one_at_most_comes_later_than_at_once(
    run: Runs, factor: float, burst: int | None
) -> None:
    door, _, _ = run(factor, burst=burst)
    refused = [one for one in door.requests if one.outcome in ("predicted late", "line full")]
    refused = [one for one in refused if one.arrival_s >= SETTLED_S]
    assert len(refused) >= 30
    assert sum(one.ended_s > one.arrival_s for one in refused) <= 0.01 * len(refused)


@pytest.mark.parametrize("factor", [1.0, 2.0, 5.0, 10.0])
def test_of_bursts_at_least_95_percent_of_what_is_attainable_is_answered_in_time(run: Runs, factor: float) -> None:
    _, _, share = run(factor, burst=10)
    assert share >= 0.95


@pytest.mark.parametrize("factor", [2.0, 10.0])
def test_under_overload_next_to_nothing_is_sent_in_vain_and_answers_have_time_for_their_way_back(
    run: Runs, factor: float
) -> None:
    door, _, share = run(factor, burst=None)
    sent = [one for one in door.requests if one.work is not None and one.arrival_s >= SETTLED_S]
    assert sum(one.outcome != "in time" for one in sent) <= 0.005 * len(sent)
    took_s = sorted(one.ended_s - one.arrival_s for one in sent if one.outcome == "in time")
    assert took_s[int(0.99 * len(took_s))] <= 0.97 * BUDGET_S
    assert share >= 0.98
