"""Quality expected while labels are missing: what it is made of, and that its past errors are owned up to."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.calibration import LEAST_LABELS
from tailgate.counts import Counts
from tailgate.expectations import ERROR_BUCKETS, Expectations
from tailgate.expected_sums import ExpectedSums
from tailgate.monitor import Monitor
from tailgate.observation import Expected, Observation
from tailgate.outcome import Outcome
from tailgate.protocol.answers import NO_CONFIDENCE

START = 1.7e9 - 1.7e9 % 60
WAIT_S = 120.0
SERIES = ("a", "1", "")


def answer(at_s: float, expected: Expected | None, *, right: bool, outcome: Outcome = Outcome.OK) -> Observation:
    return Observation(
        "id", "a", "1", START + at_s, 0.05, 0.01, outcome, predicted=3 if right else 4, label=3, expected=expected
    )


def taught(expectations: Expectations, share: float, labels: int = 1000, confidence: float = 0.9) -> None:
    """So many labels, of which that share was right."""
    for number in range(labels):
        expected = expectations.expect(SERIES, confidence, 1)
        expectations.judge(answer(0.0, expected, right=number < share * labels))
    expectations.advance(START + 1.0)


def test_nothing_is_expected_where_no_label_ever_came() -> None:
    expectations = Expectations(WAIT_S)
    assert expectations.expect(SERIES, 0.9, 1) == Expected(0.9, 1)
    assert expectations.past(SERIES) is None
    sums = ExpectedSums()
    sums.observe(Expected(0.9, 1))
    assert sums.quality(10, 10) is None


def test_what_was_learned_of_one_version_says_nothing_of_another() -> None:
    expectations = Expectations(WAIT_S)
    taught(expectations, 0.8)
    assert expectations.expect(SERIES, 0.9, 1).right == pytest.approx(0.8)
    assert expectations.expect(("a", "2", ""), 0.9, 1).right is None
    assert expectations.expect(("b", "1", ""), 0.9, 1).right is None


def test_a_slice_is_known_by_its_own_labels_and_before_it_has_enough_by_its_version_s() -> None:
    expectations, rare = Expectations(WAIT_S), ("a", "1", "rare")
    taught(expectations, 0.9)
    assert expectations.expect(rare, 0.9, 1).right == pytest.approx(0.9)
    for number in range(100):
        expected = expectations.expect(rare, 0.9, 1)
        expectations.judge(answer(60.0, expected, right=number < 40)._replace(slice="rare"))
    expectations.advance(START + 600.0)
    assert expectations.expect(rare, 0.9, 1).right == pytest.approx(0.4)
    assert expectations.expect(SERIES, 0.9, 1).right == pytest.approx(0.9)
    of_slice, of_version = expectations.past(rare), expectations.pasts()["a", "1"]
    assert of_slice is not None
    assert of_slice.errors[0][0] == of_version.errors[0][0] == pytest.approx(0.5)


def test_an_answer_that_was_not_looked_at_teaches_nothing() -> None:
    expectations = Expectations(WAIT_S)
    for _ in range(2 * LEAST_LABELS):
        expectations.judge(answer(0.0, None, right=True))
    expectations.advance(START)
    assert expectations.expect(SERIES, 0.9, 1).right is None


def test_the_error_is_of_what_was_said_before_the_label_was_known() -> None:
    expectations = Expectations(WAIT_S)
    taught(expectations, 1.0, labels=500)
    said = [expectations.expect(SERIES, 0.9, 1) for _ in range(200)]
    for number, expected in enumerate(said):
        expectations.judge(answer(60.0, expected, right=number % 2 == 0))
    past = expectations.past(SERIES)
    assert past is not None
    expectations.advance(START + 60.0 + 60.0 + WAIT_S - 0.1)
    assert past.answers == 0  # labels of that minute may still come
    expectations.advance(START + 60.0 + 60.0 + WAIT_S)
    assert (past.answers, past.right) == (200, 100)
    assert past.expected == pytest.approx(200)
    assert past.errors[0][0] == pytest.approx(0.5)
    assert past.sizes.counts == [int(bound == 0.5) for bound in ERROR_BUCKETS] + [0]


def minutes(expectations: Expectations, count: int, truth: float, seed: int, answers: int = 200) -> None:
    """Answers of which that share is right, labelled at once."""
    chance = random.Random(seed)
    for minute in range(1, count + 1):
        for number in range(answers):
            at_s = 60.0 * minute + 60.0 * number / answers
            expected = expectations.expect(SERIES, 0.9, 1)
            expectations.judge(answer(at_s, expected, right=chance.random() < truth))
        expectations.advance(START + 60.0 * (minute + 1) + WAIT_S)


def test_minutes_that_are_off_by_chance_alone_widen_nothing_and_a_drift_does() -> None:
    steady, drifted = Expectations(WAIT_S), Expectations(WAIT_S)
    taught(steady, 0.8, labels=20_000)
    taught(drifted, 0.8, labels=20_000)
    minutes(steady, 30, 0.8, seed=1)
    minutes(drifted, 30, 0.6, seed=1)
    calm, off = steady.past(SERIES), drifted.past(SERIES)
    assert calm is not None
    assert off is not None
    assert calm.beyond < 0.02
    assert 0.05 < off.beyond < 0.2  # less than 0.2, for it learns while it is wrong
    assert drifted.expect(SERIES, 0.9, 1).beyond == off.beyond


def test_an_interval_holds_as_often_as_it_says_where_confidences_mean_what_they_meant() -> None:
    chance = random.Random(7)
    held = tried = 0
    for _ in range(60):
        expectations = Expectations(WAIT_S)
        for _ in range(150):  # few labels: the interval has to know it
            confidence = chance.random()
            expected = expectations.expect(SERIES, confidence, 1)
            expectations.judge(answer(0.0, expected, right=chance.random() < confidence**2))
        expectations.advance(START + 1.0)
        for _ in range(5):
            counts, right = Counts(), 0
            for _ in range(100):
                confidence = chance.random()
                outcome = Outcome.OK if chance.random() < 0.9 else Outcome.DEADLINE_IN_FLIGHT
                counts.observe(outcome, expectations.expect(SERIES, confidence, 1))
                right += outcome is Outcome.OK and chance.random() < confidence**2
            quality = counts.expected.quality(counts.in_time, counts.requests)
            assert quality is not None
            held += quality.lower <= right / counts.requests <= quality.upper
            tried += 1
    assert 0.93 <= held / tried <= 1.0


def test_what_is_late_is_not_expected_to_be_right_in_time() -> None:
    counts = Counts()
    for outcome in (Outcome.OK, Outcome.OK_LATE, Outcome.DEADLINE_IN_FLIGHT, Outcome.SHED_QUEUE_FULL):
        counts.observe(outcome, Expected(0.9, 1, 0.8))
    quality = counts.expected.quality(counts.in_time, counts.requests)
    assert quality is not None
    assert quality.tca == pytest.approx(0.8 / 4)


SUMS = st.builds(ExpectedSums, st.integers(1, 100), st.floats(1, 1e4), st.just(0.0), st.floats(0, 10))


@given(SUMS, st.floats(0, 1), st.integers(0, 50), st.integers(0, 50))
def test_an_interval_lies_around_its_quality_and_within_the_share_in_time(
    sums: ExpectedSums, share: float, in_time: int, others: int
) -> None:
    sums.right = share * sums.answers
    quality = sums.quality(in_time, in_time + others)
    if not in_time + others:
        assert quality is None
        return
    assert quality is not None
    assert -1e-12 <= quality.lower <= quality.tca + 1e-12
    assert quality.tca <= quality.upper + 1e-12
    assert quality.upper <= in_time / (in_time + others) + 1e-12


def test_of_many_answers_of_which_few_were_looked_at_the_few_say_how_sure_it_is() -> None:
    few, many = ExpectedSums(), ExpectedSums()
    for _ in range(10):
        few.observe(Expected(0.9, 100, 0.8))
    for _ in range(1000):
        many.observe(Expected(0.9, 1, 0.8))
    assert (few.answers, few.right) == pytest.approx((many.answers, many.right))
    one, other = few.quality(1000, 1000), many.quality(1000, 1000)
    assert one is not None
    assert other is not None
    assert one.upper - one.lower > 5 * (other.upper - other.lower)


def test_the_monitor_shows_what_is_expected_while_no_label_is_there_and_how_wrong_it_was() -> None:
    monitor = Monitor(bounds_s=(0.1,), objectives={}, label_wait_s=WAIT_S)
    for number in range(100):
        expected = monitor.expect(SERIES, NO_CONFIDENCE, 1)
        labelled = answer(0.0, expected, right=number % 10 > 0)
        monitor.observe(labelled)
        monitor.judge(labelled)
    monitor.advance(START + 1.0)
    for _ in range(50):
        monitor.observe(answer(120.0, monitor.expect(SERIES, NO_CONFIDENCE, 1), right=True))
    monitor.advance(START + 200.0)
    (shown,) = monitor.snapshot(START + 200.0)["series"]
    rows = {row[0] - START: row for row in shown["recent"]}
    first, last = rows[0.0], rows[120.0]
    assert first[7:] == [None, None, None]
    assert last[7] == pytest.approx(0.9)
    assert last[8] < 0.9 < last[9]
    assert shown["past_error"] is None
    assert shown["hour"]["expected"] == {
        "tca": pytest.approx(0.9 ), "lower": pytest.approx(last[8]), "upper": pytest.approx(last[9]), "answers": 50
    }  # fmt: skip
