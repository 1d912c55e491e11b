"""The live books: every request once, every scrape in balance."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tailgate.ledger import BASE_BUCKETS_S, RATIO_BUCKETS, Histogram, Ledger, latency_buckets_s
from tailgate.observation import Observation, Verdict
from tailgate.outcome import PROXY_OUTCOMES, Outcome

SEEN = (Outcome.OK, Outcome.OK_LATE, Outcome.OK_LATE_DISCARDED)


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    outcome = draw(st.sampled_from(PROXY_OUTCOMES))
    return Observation(
        request_id="id",
        model=draw(st.sampled_from(["a", "b"])),
        version=draw(st.sampled_from(["", "1"])),
        arrival_unix_s=1.7e9,
        budget_s=0.05,
        latency_s=draw(st.floats(0, 20) | st.sampled_from(BASE_BUCKETS_S)),
        outcome=outcome,
        predicted=draw(st.integers(-1, 2)) if outcome in SEEN else -1,
        label=draw(st.integers(-1, 2)),
        slice=draw(st.sampled_from(["", "rare"])),
    )


@given(st.lists(observations()), st.integers(0, 5))
def test_received_equals_the_outcomes_plus_what_is_in_flight_at_every_event(
    ended: list[Observation], unfinished: int
) -> None:
    ledger = Ledger(BASE_BUCKETS_S)
    for _ in range(unfinished):
        ledger.arrive()
    for observation in ended:
        ledger.arrive()
        assert ledger.received == sum(ledger.outcomes().values()) + ledger.in_flight
        ledger.book(observation)
        assert ledger.received == sum(ledger.outcomes().values()) + ledger.in_flight
    assert ledger.in_flight == unfinished
    assert +ledger.outcomes() == Counter(o.outcome for o in ended)
    assert +ledger.judgements() == Counter((o.outcome, o.verdict) for o in ended if o.label >= 0)


@given(st.lists(observations()))
def test_right_answers_at_every_bucket_are_the_count_over_the_definition(ended: list[Observation]) -> None:
    ledger = Ledger(latency_buckets_s([0.05]))
    for observation in ended:
        ledger.arrive()
        ledger.book(observation)
    for key, books in ledger.series.items():
        mine = [o for o in ended if (o.model, o.version, o.slice) == key]
        right = [o.latency_s for o in mine if o.verdict is Verdict.RIGHT]
        for bound, count in zip(ledger.bounds_s, books.right_latency.cumulative(), strict=False):
            assert count == sum(latency <= bound for latency in right)
        for bound, count in zip(RATIO_BUCKETS, books.right_ratio.cumulative(), strict=False):
            assert count == sum(latency / 0.05 <= bound for latency in right)
        assert books.latency.cumulative()[-1] == len(mine)
        assert sum(books.labelled.values()) == sum(o.label >= 0 for o in mine)
    assert ledger.labelled == sum(o.label >= 0 for o in ended)


@given(st.lists(observations()))
def test_answered_and_labelled_are_those_whose_client_got_an_answer_that_can_be_judged(
    ended: list[Observation],
) -> None:
    ledger = Ledger(BASE_BUCKETS_S)
    for observation in ended:
        ledger.arrive()
        ledger.book(observation)
    given_out = [o for o in ended if o.outcome in (Outcome.OK, Outcome.OK_LATE)]
    assert ledger.answered_labelled == sum(o.label >= 0 for o in given_out)


@given(st.lists(observations()), st.lists(st.sampled_from([1.0, 2.5, 20.0])))
def test_a_request_that_is_labelled_later_counts_as_if_it_had_been_at_once_but_for_its_weight(
    ended: list[Observation], weights: list[float]
) -> None:
    at_once, later = Ledger(BASE_BUCKETS_S), Ledger(BASE_BUCKETS_S)
    heavy = 0.0
    for index, observation in enumerate(ended):
        for ledger in (at_once, later):
            ledger.arrive()
        at_once.book(observation)
        later.book(observation._replace(label=-1))
        if observation.label >= 0:
            weight = weights[index] if index < len(weights) else 1.0
            later.judge(observation, weight)
            heavy += weight
    for key, books in at_once.series.items():
        twin = later.series[key]
        assert (books.labelled, books.outcomes) == (twin.labelled, twin.outcomes)
        assert books.right_latency.counts == twin.right_latency.counts
    assert sum(sum(books.weight.values()) for books in later.series.values()) == heavy


@given(st.lists(observations()))
def test_a_copy_of_the_books_does_not_move(ended: list[Observation]) -> None:
    ledger = Ledger(BASE_BUCKETS_S)
    half = len(ended) // 2
    for observation in ended[:half]:
        ledger.arrive()
        ledger.book(observation)
    copied, before = ledger.copy(), repr(ledger)
    for observation in ended[half:]:
        ledger.arrive()
        ledger.book(observation)
    assert repr(copied) == before


def test_every_outcome_of_a_proxy_is_there_at_zero_when_a_model_is_opened() -> None:
    books = Ledger(BASE_BUCKETS_S).open("digits", "1")
    assert set(books.outcomes) == set(PROXY_OUTCOMES) == {outcome for outcome, _ in books.labelled}
    assert {*books.outcomes.values(), *books.labelled.values(), *books.weight.values()} == {0}
    assert {verdict for outcome, verdict in books.labelled if outcome is Outcome.OK} == set(Verdict)


def test_a_deadline_its_half_and_its_double_are_buckets() -> None:
    assert {0.015, 0.03, 0.06} <= set(latency_buckets_s([0.03]))
    assert list(latency_buckets_s([0.03])) == sorted(set(latency_buckets_s([0.03])))


def test_a_value_on_a_bound_is_counted_within_it() -> None:
    histogram = Histogram((0.1, 0.2))
    histogram.add(0.1)
    histogram.add(0.2)
    histogram.add(0.2000001)
    assert histogram.cumulative() == [1, 2, 3]
