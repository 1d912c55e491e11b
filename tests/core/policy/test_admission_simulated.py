"""Admission in front of servers of known capacity, on virtual time: what it finds, and what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from random import Random

import pytest

from tailgate.policy.admission import Admission
from tailgate.simulation.arrivals import bursts, poisson
from tailgate.simulation.door import Door, Request, Server
from tailgate.simulation.events import Events
from tailgate.simulation.servers import Batches, Workers, gamma

Arrivals = Callable[[Random, float, float, float], Iterator[float]]
SETTLED_S, END_S = 3.0, 9.0


class Run:
    """One server, one door, requests for some seconds."""

    def __init__(self, kind: str, budget_s: float, *, seed: int = 1, admission: bool = True) -> None:
        self.random, self.events, self.budget_s = Random(seed), Events(), budget_s
        self.server, self.capacity = SERVERS[kind](self.events, self.random)
        self.admission: Admission[Request] | None = Admission(budget_s, seed=seed) if admission else None
        self.door = Door(self.events, self.server, self.admission)

    def offer(self, arrivals: Arrivals, factor: float, start_s: float = 0.0, end_s: float = END_S) -> None:
        for at_s in arrivals(self.random, self.capacity * factor, start_s, end_s):
            self.events.at(at_s, lambda: self.door.arrive(self.budget_s))

    def goodput(self, start_s: float = SETTLED_S, end_s: float = END_S) -> float:
        """Of the capacity, by arrival."""
        return self.door.good(start_s, end_s) / (end_s - start_s) / self.capacity

    def share(self, start_s: float, end_s: float) -> float:
        """Answered in time, of what came."""
        came = sum(start_s <= one.arrival_s < end_s for one in self.door.requests)
        return self.door.good(start_s, end_s) / came


SERVERS: dict[str, Callable[[Events, Random], tuple[Server, float]]] = {
    "4 workers": lambda events, random: (Workers(events, 4, gamma(random, 0.02, 0.0)), 200.0),
    "4 workers, varying": lambda events, random: (Workers(events, 4, gamma(random, 0.02, 0.3)), 200.0),
    "2 workers, varying widely": lambda events, random: (Workers(events, 2, gamma(random, 0.02, 1.0)), 100.0),
    "8 slow workers": lambda events, random: (Workers(events, 8, gamma(random, 0.1, 0.3)), 80.0),
    "1 worker": lambda events, random: (Workers(events, 1, gamma(random, 0.005, 0.0)), 200.0),
    "batches": lambda events, _random: (Batches(events, 16, 0.02, 0.001), 16 / 0.036),
}


QUICK = ["4 workers", "4 workers, varying", "1 worker", "batches"]  # whose calls take 20 ms, or little more


@pytest.mark.parametrize("factor", [1.5, 3.0, 10.0])
@pytest.mark.parametrize("kind", QUICK)
def test_under_any_overload_goodput_stays_at_95_percent_of_what_the_server_can_do(kind: str, factor: float) -> None:
    run = Run(kind, 0.3 if kind == "batches" else 0.1)
    run.offer(poisson, factor)
    run.events.run()
    assert run.goodput() >= 0.95
    assert set(run.door.outcomes()) <= {"in time", "late", "cut off", "expired", "predicted late", "line full"}


@pytest.mark.parametrize("kind", QUICK)
def test_bursts_of_twice_the_capacity_cost_little(kind: str) -> None:
    run = Run(kind, 0.2)
    run.offer(bursts, 2.0)
    run.events.run()
    assert run.goodput() >= 0.85


@pytest.mark.parametrize(
    ("kind", "budget_s", "load", "size"),
    [
        ("1 worker", 0.1, 0.2, 20),
        ("4 workers, varying", 0.2, 0.1, 10),
        ("2 workers, varying widely", 0.2, 0.3, 10),
        ("8 slow workers", 0.4, 0.3, 30),
    ],
)
def test_bursts_at_a_low_load_lose_at_most_two_in_a_hundred_by_it(
    kind: str, budget_s: float, load: float, size: int
) -> None:
    shares = []
    for admission in (True, False):
        run = Run(kind, budget_s, admission=admission)
        run.offer(partial(bursts, size=size), load, 0.0, 100.0)
        run.events.run()
        shares.append(run.share(0.0, 100.0))
    assert shares[0] >= shares[1] - 0.02


@pytest.mark.parametrize("kind", QUICK)
def test_a_server_that_is_not_overloaded_is_not_hurt(kind: str) -> None:
    run = Run(kind, 0.2)
    run.offer(poisson, 0.6)
    run.events.run()
    assert run.door.outcomes()["in time"] >= 0.995 * len(run.door.requests)


def test_without_admission_the_same_overload_leaves_next_to_nothing() -> None:
    run = Run("4 workers", 0.1, admission=False)
    run.offer(poisson, 2.0)
    run.events.run()
    assert run.goodput() < 0.3


@pytest.mark.parametrize(("kind", "least", "most"), [("4 workers", 3, 6), ("1 worker", 1, 3), ("batches", 16, 60)])
def test_the_limit_is_found_without_being_told(kind: str, least: int, most: int) -> None:
    run = Run(kind, 0.3)
    run.offer(poisson, 3.0)
    limits: list[int] = []
    assert run.admission is not None
    for n in range(100):
        run.events.at(SETTLED_S + n * 0.1, lambda: limits.append(run.admission.limit))  # type: ignore[union-attr]
    run.events.run()
    limits.sort()
    assert least <= limits[len(limits) // 2] <= most


def test_two_seconds_after_an_overload_all_is_as_before() -> None:
    run = Run("4 workers", 0.1)
    run.offer(poisson, 10.0, 0.0, 8.0)
    run.offer(poisson, 0.6, 8.0, 20.0)
    run.events.run()
    after = [one for one in run.door.requests if one.arrival_s >= 10.0]
    assert sum(one.outcome == "in time" for one in after) >= 0.99 * len(after)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("kind", "budget_s", "load", "stuck_s"),
    [
        ("4 workers", 0.1, 0.7, 1.0),
        ("4 workers, varying", 0.1, 0.7, 1.0),
        ("1 worker", 0.1, 0.7, 0.5),
        ("8 slow workers", 1.0, 0.5, 5.0),
        ("8 slow workers", 0.3, 0.5, 0.4),
        ("4 workers", 0.1, 2.0, 1.0),
    ],
)
def test_a_second_after_a_server_that_stood_still_is_well_again_all_is_as_before(
    kind: str, budget_s: float, load: float, stuck_s: float, seed: int
) -> None:
    run = Run(kind, budget_s, seed=seed)
    run.offer(poisson, load, 0.0, 24.0)
    server = run.server
    assert isinstance(server, Workers)
    quick = server.take_s

    def slow() -> None:
        server.take_s = lambda: stuck_s

    def well() -> None:
        server.take_s = quick

    run.events.at(6.0, slow)
    run.events.at(12.0, well)
    run.events.run()
    last_stuck_s = 12.0 + stuck_s
    assert run.share(6.5 + budget_s, 12.0) <= 0.05
    assert run.share(last_stuck_s + 1.0, 24.0) >= 0.95 * run.share(3.0, 6.0 - budget_s)


def test_an_upstream_that_answers_nobody_in_time_any_more_is_tried_and_not_crowded() -> None:
    run = Run("4 workers", 0.1)
    server = run.server
    assert isinstance(server, Workers)
    run.offer(poisson, 0.8, 0.0, 30.0)

    def stuck() -> None:
        server.take_s = lambda: 0.5

    run.events.at(5.0, stuck)
    run.events.run()
    sent = sum(one.arrival_s >= 8.0 and one.work is not None for one in run.door.requests)
    assert 22 * 5 <= sent <= 22 * 20  # ten a second and what is tried by chance, of 160


def test_the_share_of_false_refusals_is_measured_and_stays_near_its_ceiling() -> None:
    run = Run("4 workers, varying", 0.1)
    run.offer(poisson, 2.0, 0.0, 30.0)
    run.events.run()
    assert run.admission is not None
    refusals = run.admission.refusals
    assert refusals.tried >= 100
    assert refusals.in_time / refusals.tried <= 0.1 + 1.1 / (0.1 * refusals.tried)


def test_hours_pass_in_seconds_and_the_same_seed_gives_the_same_run() -> None:
    outcomes = []
    for _ in range(2):
        run = Run("1 worker", 0.1, seed=5)
        run.offer(poisson, 1.2, 0.0, 20.0)
        run.events.run()
        outcomes.append((run.door.outcomes(), run.events.now_s))
    assert outcomes[0] == outcomes[1]
