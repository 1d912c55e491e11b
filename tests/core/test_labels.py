"""The join of requests and labels: any order, each counted once, bounded, and in balance at every step."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.labels import MOST_ATTEMPTS, RIGHT, WRONG, Given, Judged, Label, LabelJoin, Result, labelled
from tailgate.ledger import BASE_BUCKETS_S, Ledger
from tailgate.observation import Observation, Verdict
from tailgate.outcome import ANSWER_SEEN, PROXY_OUTCOMES, Outcome
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.trace.format import Encoder, decode, encode_header

EVENTS = int(os.environ.get("TAILGATE_LABEL_EVENTS", "30000"))


class Seen:
    """A join and what it judged."""

    def __init__(self, **options: Any) -> None:
        self.judged: list[Judged] = []
        limits = {"wait_s": 60.0, "settle_s": 0.0, "max_predictions": 100, "max_labels": 100} | options
        self.join = LabelJoin(self.judged.append, **limits)

    @property
    def verdicts(self) -> list[Verdict]:
        return [judged.observation.verdict for judged in self.judged]


def ended(
    name: str = "a", *, predicted: int = 1, label: int = UNKNOWN_CLASS, outcome: Outcome = Outcome.OK
) -> Observation:
    return Observation(name, "m", "1", 1.7e9, 0.05, 0.01, outcome, predicted=predicted, label=label)


@pytest.mark.parametrize("label_first", [True, False])
def test_a_label_and_its_request_meet_in_either_order(label_first: bool) -> None:
    seen = Seen()
    steps: list[Callable[[], object]] = [
        lambda: seen.join.observe(ended(), 1.0),
        lambda: seen.join.label(Label("a", 1, weight=4.0), 1.0),
    ]
    for step in reversed(steps) if label_first else steps:
        step()
    assert seen.verdicts == [Verdict.RIGHT]
    assert seen.judged[0].given.weight == 4.0
    assert seen.join.results[Result.JOINED] == seen.join.received == 1
    assert (seen.join.pending, seen.join.predictions_pending) == (0, 0)


def test_the_same_label_again_changes_nothing() -> None:
    seen = Seen()
    seen.join.observe(ended(), 1.0)
    assert [seen.join.label(Label("a", 1), at_s) for at_s in (1.0, 2.0, 3.0)] == [
        Result.JOINED,
        Result.DUPLICATE,
        Result.DUPLICATE,
    ]
    assert len(seen.judged) == 1


def test_the_last_label_wins_until_it_has_settled_and_then_none_does() -> None:
    seen = Seen(settle_s=10.0)
    seen.join.observe(ended(), 0.0)
    assert seen.join.label(Label("a", 2), 0.0) is Result.JOINED
    assert seen.join.label(Label("a", 1), 5.0) is Result.CORRECTION
    assert seen.join.label(Label("a", 1), 6.0) is Result.DUPLICATE
    seen.join.advance(9.9)
    assert seen.judged == []
    seen.join.advance(10.0)
    assert seen.verdicts == [Verdict.RIGHT]
    assert seen.join.label(Label("a", 2), 11.0) is Result.CONFLICT
    assert seen.join.label(Label("a", 1), 11.0) is Result.DUPLICATE
    assert seen.verdicts == [Verdict.RIGHT]


def test_a_label_that_came_with_its_request_is_not_overruled() -> None:
    seen = Seen()
    seen.join.observe(ended(label=1), 0.0)
    assert seen.judged == []  # it was judged where it was booked
    assert seen.join.label(Label("a", 1), 1.0) is Result.DUPLICATE
    assert seen.join.label(Label("a", 2), 1.0) is Result.CONFLICT


@pytest.mark.parametrize(("truth", "result"), [(1, Result.DUPLICATE), (2, Result.CONFLICT)])
def test_a_label_that_waited_for_a_request_that_brought_its_own_is_held_against_it(truth: int, result: Result) -> None:
    seen = Seen()
    assert seen.join.label(Label("a", truth), 0.0) is None
    seen.join.observe(ended(label=1), 1.0)
    assert (seen.join.results[result], seen.join.pending, seen.judged) == (1, 0, [])


def test_a_label_is_for_every_request_of_its_id_also_for_those_that_come_later() -> None:
    seen = Seen()
    for outcome, predicted in ((Outcome.DEADLINE_IN_FLIGHT, -1), (Outcome.OK, 1)):
        seen.join.observe(ended(outcome=outcome, predicted=predicted), 0.0)
    seen.join.label(Label("a", 1, weight=2.0), 1.0)
    seen.join.observe(ended(predicted=3), 2.0)
    assert seen.verdicts == [Verdict.UNKNOWN, Verdict.RIGHT, Verdict.WRONG]
    assert {judged.given.weight for judged in seen.judged} == {2.0}


@pytest.mark.parametrize("settle_s", [0.0, 5.0])
def test_a_client_that_gives_everything_one_id_is_labelled_for_the_last_of_it_and_keeps_no_more(
    settle_s: float,
) -> None:
    seen = Seen(settle_s=settle_s)
    for number in range(1000):
        seen.join.observe(ended(predicted=number), 0.0)
    seen.join.label(Label("a", 999), 0.0)
    if settle_s:
        for number in range(1000, 2000):
            seen.join.observe(ended(predicted=number), 1.0)
        seen.join.advance(5.0)
    last = 2000 if settle_s else 1000
    assert [judged.observation.predicted for judged in seen.judged] == list(range(last - MOST_ATTEMPTS, last))
    assert seen.join.given_up[Given.TOO_MANY] == last - MOST_ATTEMPTS


def test_what_has_waited_too_long_is_given_up_and_counted() -> None:
    seen = Seen(wait_s=10.0)
    seen.join.observe(ended("old"), 0.0)
    seen.join.label(Label("nobody", 1), 0.0)
    seen.join.advance(10.0)
    assert (seen.join.given_up[Given.TOO_OLD], seen.join.results[Result.UNKNOWN]) == (1, 1)
    assert seen.join.label(Label("old", 1), 11.0) is Result.LATE
    seen.join.advance(21.0)
    assert seen.join.label(Label("old", 1), 21.0) is None  # not even that it was given up is known for ever
    assert seen.judged == []


def test_of_too_many_the_oldest_are_given_up() -> None:
    seen = Seen(max_predictions=2, max_labels=2)
    for name in "abc":
        seen.join.observe(ended(name), 0.0)
        seen.join.label(Label(name * 2, 1), 0.0)
    assert (seen.join.given_up[Given.TOO_MANY], seen.join.results[Result.UNKNOWN]) == (1, 1)
    assert [seen.join.label(Label(name, 1), 1.0) for name in "abc"] == [Result.LATE, Result.JOINED, Result.JOINED]


@given(st.sampled_from(PROXY_OUTCOMES), st.sampled_from([RIGHT, WRONG, 0, 1, 7]), st.integers(-1, 2))
def test_a_judgement_of_somebody_else_counts_where_there_was_an_answer(
    outcome: Outcome, truth: int, predicted: int
) -> None:
    observation = ended(outcome=outcome, predicted=predicted if outcome in ANSWER_SEEN else UNKNOWN_CLASS)
    verdict = labelled(observation, truth).verdict
    if outcome not in ANSWER_SEEN:
        assert verdict is Verdict.UNKNOWN
    elif truth in (RIGHT, WRONG):
        assert verdict is (Verdict.RIGHT if truth == RIGHT else Verdict.WRONG)
    else:
        assert verdict is observation._replace(label=truth).verdict


class Simulation:
    """Clients, labellers, another process and a clock; the books of the live counters beside a trace of the same."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now_s = 1.7e9
        self.number = 0
        self.ledger = Ledger(BASE_BUCKETS_S)
        self.items: list[Observation | Judged] = []
        self.weights: Counter[Verdict] = Counter()
        self.join = LabelJoin(self.judge, wait_s=10.0, settle_s=2.0, max_predictions=80, max_labels=100)
        self.given = 0
        self.lent: list[Label] = []

    def judge(self, judged: Judged) -> None:
        self.ledger.judge(judged.observation, judged.given.weight)
        self.items.append(judged)

    def request(self) -> None:
        draw = self.random
        self.number += draw.random() > 0.05  # else the id of the one before: a client that tries again
        outcome = draw.choice(PROXY_OUTCOMES) if draw.random() < 0.4 else Outcome.OK
        observation = Observation(
            f"r{self.number}",
            draw.choice("mn"),
            "1",
            self.now_s,
            0.05,
            draw.expovariate(50),
            outcome,
            predicted=draw.randrange(3) if outcome in ANSWER_SEEN else UNKNOWN_CLASS,
            label=draw.randrange(3) if draw.random() < 0.2 else UNKNOWN_CLASS,
            slice=draw.choice(("", "rare")),
        )
        self.ledger.arrive()
        self.ledger.book(observation)
        self.items.append(observation)
        self.join.observe(observation, self.now_s)

    def label(self) -> None:
        draw = self.random
        self.given += 1
        if draw.random() < 0.02:
            self.join.reject()
            return
        behind = int(draw.expovariate(0.01)) - 20  # also of requests that are yet to come
        truth = draw.choice((0, 1, 2, RIGHT, WRONG))
        self.join.label(Label(f"r{self.number - behind}", truth, draw.choice((1.0, 5.0)), self.now_s), self.now_s)

    def exchange(self) -> None:
        """Something goes to another process, gets there or comes back; or comes from there."""
        draw = self.random
        if self.lent and draw.random() < 0.5:
            label = self.lent.pop(draw.randrange(len(self.lent)))
            if draw.random() < 0.5:
                self.join.handed_over()
            else:
                self.join.given_back(label, self.now_s)
        elif self.join.waiting and draw.random() < 0.5:
            lent = self.join.lend(draw.choice(list(self.join.waiting)))
            assert lent is not None
            self.lent.append(lent)
        else:
            self.given += 1
            label = Label(f"r{self.number - draw.randrange(200)}", draw.choice((0, 1, 2, RIGHT, WRONG)))
            self.join.take(label, self.now_s)

    def step(self) -> None:
        self.now_s += self.random.expovariate(40)
        self.random.choice((self.request, self.label))()
        if self.random.random() < 0.05:
            self.exchange()
        if self.random.random() < 0.02:
            self.join.advance(self.now_s)


def test_labels_balance_at_every_step_and_live_counts_are_those_of_the_trace() -> None:
    simulation = Simulation(seed=4)
    join = simulation.join
    for _ in range(EVENTS):
        simulation.step()
        assert join.received == simulation.given
        assert join.predictions_pending <= 80
        assert join.pending <= 100
    join.finish(simulation.now_s)
    assert all(join.results[result] for result in Result)
    assert all(join.given_up[reason] for reason in Given)

    encoder, data = Encoder(), [encode_header({"role": "proxy"})]
    for start in range(0, len(simulation.items), 1000):
        batch = encoder.encode(simulation.items[start : start + 1000])
        encoder.commit(batch)
        data.append(batch.data)
    records = decode(b"".join([*data, encoder.end()]), "simulation").records
    live = simulation.ledger.judgements()
    known = records[records["label"] != UNKNOWN_CLASS]
    answered = np.isin(known["outcome"], ANSWER_SEEN)
    named = answered & (known["predicted"] != UNKNOWN_CLASS)
    right = named & (known["predicted"] == known["label"])
    for outcome in PROXY_OUTCOMES:
        mine = known["outcome"] == outcome
        assert live[outcome, Verdict.RIGHT] == np.count_nonzero(mine & right)
        assert live[outcome, Verdict.WRONG] == np.count_nonzero(mine & named & ~right)
        assert live[outcome, Verdict.UNKNOWN] == np.count_nonzero(mine & ~named)
    assert len(records) == simulation.ledger.received == simulation.ledger.ended
