"""The closed set of outcomes, and the two functions that decide among them."""

from __future__ import annotations

import itertools

import pytest

from tailgate.errors import Status
from tailgate.outcome import ANSWER_SEEN, PROXY_OUTCOMES, Ending, Mode, Outcome, decide, decide_at_client

EVERY_CASE = list(itertools.product(Ending, Mode, (False, True)))


@pytest.mark.parametrize(("ending", "mode", "late"), EVERY_CASE)
def test_every_ending_is_decided_and_within_the_proxys_own_outcomes(ending: Ending, mode: Mode, late: bool) -> None:
    assert decide(ending, mode, late=late) in PROXY_OUTCOMES


def test_the_set_is_closed_and_its_numbers_are_what_traces_hold() -> None:
    assert {outcome.name: int(outcome) for outcome in Outcome} == {
        "OK": 1,
        "OK_LATE": 2,
        "OK_LATE_DISCARDED": 3,
        "DEFAULT_ANSWERED": 4,
        "EXPIRED_ON_ARRIVAL": 10,
        "EXPIRED_IN_QUEUE": 11,
        "DEADLINE_IN_FLIGHT": 12,
        "SHED_QUEUE_FULL": 20,
        "SHED_PREDICTED_LATE": 21,
        "DRAINING": 22,
        "REJECTED_INVALID": 30,
        "REJECTED_LIMIT": 31,
        "REJECTED_AUTH": 32,
        "CLIENT_CANCELLED": 40,
        "UPSTREAM_UNAVAILABLE": 50,
        "UPSTREAM_ERROR": 51,
        "UPSTREAM_INVALID": 52,
        "INTERNAL": 60,
        "NOT_SENT": 70,
    }


def test_every_outcome_of_the_proxy_can_be_reached() -> None:
    assert {decide(ending, mode, late=late) for ending, mode, late in EVERY_CASE} == set(PROXY_OUTCOMES)


@pytest.mark.parametrize("ending", Ending)
@pytest.mark.parametrize("mode", Mode)
def test_a_late_answer_is_never_ok_and_passed_on_in_observe_alone(ending: Ending, mode: Mode) -> None:
    outcome = decide(ending, mode, late=True)
    assert outcome is not Outcome.OK
    assert mode is Mode.OBSERVE or outcome is not Outcome.OK_LATE


def test_only_an_answer_within_its_deadline_is_ok() -> None:
    assert [case for case in EVERY_CASE if decide(case[0], case[1], late=case[2]) is Outcome.OK] == [
        (Ending.ANSWERED, mode, False) for mode in Mode
    ]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("mode", Mode)
def test_the_configured_answer_is_no_answer_of_the_models(mode: Mode, late: bool) -> None:
    outcome = decide(Ending.DEFAULTED, mode, late=late)
    assert outcome is Outcome.DEFAULT_ANSWERED
    assert not outcome.answered
    assert outcome not in ANSWER_SEEN


@pytest.mark.parametrize("mode", Mode)
def test_a_client_that_leaves_at_its_deadline_has_met_it(mode: Mode) -> None:
    assert decide(Ending.CANCELLED, mode, late=False) is Outcome.CLIENT_CANCELLED
    assert decide(Ending.CANCELLED, mode, late=True) is Outcome.DEADLINE_IN_FLIGHT


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("ending", [ending for ending in Ending if ending is not Ending.ANSWERED])
def test_the_mode_matters_for_answers_only(ending: Ending, late: bool) -> None:
    assert len({decide(ending, mode, late=late) for mode in Mode}) == 1


def test_labels_are_distinct_and_fit_for_a_metric() -> None:
    labels = [outcome.label for outcome in Outcome]
    assert len(set(labels)) == len(labels)
    assert all(label.replace("_", "").isalpha() and label == label.lower() for label in labels)


def test_answered_means_that_the_client_has_the_models_answer() -> None:
    assert {outcome for outcome in Outcome if outcome.answered} == {Outcome.OK, Outcome.OK_LATE}


@pytest.mark.parametrize(("status", "late"), list(itertools.product(Status, (False, True))))
def test_at_the_client_only_status_ok_is_an_answer_and_only_in_time_is_it_ok(status: Status, late: bool) -> None:
    outcome = decide_at_client(status, late=late)
    assert outcome.answered == (status is Status.OK)
    assert (outcome is Outcome.OK) == (status is Status.OK and not late)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (Status.DEADLINE_EXCEEDED, Outcome.DEADLINE_IN_FLIGHT),
        (Status.UNAVAILABLE, Outcome.UPSTREAM_UNAVAILABLE),
        (Status.RESOURCE_EXHAUSTED, Outcome.SHED_QUEUE_FULL),
        (Status.INVALID_ARGUMENT, Outcome.REJECTED_INVALID),
        (Status.CANCELLED, Outcome.CLIENT_CANCELLED),
        (Status.INTERNAL, Outcome.UPSTREAM_ERROR),
    ],
)
def test_a_status_says_the_same_in_time_and_late(status: Status, outcome: Outcome) -> None:
    assert decide_at_client(status, late=False) is decide_at_client(status, late=True) is outcome
