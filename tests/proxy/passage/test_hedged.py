"""Requests whose call takes too long, and that another member is given as well: what comes of either call."""

from __future__ import annotations

from typing import Any

import pytest

from tailgate.errors import Status
from tailgate.outcome import Outcome
from tailgate.policy.attempts import Result

NewWorld = Any  # defined in conftest.py, which tests do not import


def hedged(world: Any, kind: str = "plain", model: str = "other") -> Any:
    """A request with both its calls under way."""
    call = world.send(kind, model)
    assert world.hedge(call)
    return call


def learned(world: Any, take_s: float = 0.01, calls: int = 40) -> None:
    """The upstream answers some calls one after another, each after so long."""
    for _ in range(calls):
        call = world.send()
        world.pass_time(take_s)
        world.answer(call)


def in_flight(world: Any) -> int:
    (counts,) = world.entrances.counts().values()
    return int(counts.in_flight)


@pytest.fixture
def world(new_world: NewWorld) -> Any:
    return new_world(upstream_limit=4, hedges=True)


def test_the_first_answer_counts_and_the_other_call_is_cancelled_whichever_it_is(world: Any) -> None:
    one, other = hedged(world), hedged(world)
    assert in_flight(world) == 4
    assert [bytes(call.hedges[0].received) for call in (one, other)] == [one.body, other.body]
    world.answer(one, 3)
    world.answer_hedge(other, 4)
    assert (one.hedges[0].over, other.attempts[0].over) == (True, True)
    assert world.outcomes == [Outcome.OK, Outcome.OK]
    assert [seen.predicted for seen in world.seen] == [3, 4]
    world.check_end()


@pytest.mark.parametrize("other_first", [False, True])
def test_an_error_of_one_waits_for_the_other(other_first: bool, world: Any) -> None:
    call = hedged(world)
    if other_first:
        world.fail_hedge(call)
    else:
        world.fail(call, Status.INTERNAL)
    assert (call.passage.ended, in_flight(world)) == (False, 1)
    world.pass_time(0.01)
    if other_first:
        world.answer(call)
    else:
        world.answer_hedge(call)
    assert world.outcomes == [Outcome.OK]
    world.check_end()


def test_an_answer_that_is_none_waits_for_the_other_too(world: Any) -> None:
    call = hedged(world)
    world.answer_garbage(call)
    assert not call.passage.ended
    world.answer_hedge(call)
    assert world.outcomes == [Outcome.OK]
    world.check_end()


def test_where_both_fail_the_request_ends_as_without_a_second_call(world: Any) -> None:
    one, other = hedged(world), hedged(world)
    world.fail(one, Status.UNAVAILABLE)
    world.fail_hedge(one, Status.INTERNAL)
    world.answer_hedge_with_garbage(other)
    world.fail(other, Status.UNAVAILABLE)
    assert world.outcomes == [Outcome.UPSTREAM_UNAVAILABLE] * 2
    assert [call.replies[0][0].status for call in (one, other)] == [Status.UNAVAILABLE] * 2
    world.check_end()


@pytest.mark.parametrize("first_fails_first", [False, True])
@pytest.mark.parametrize(
    ("model", "outcome"), [("other", Outcome.DEADLINE_IN_FLIGHT), ("soft", Outcome.DEFAULT_ANSWERED)]
)
def test_where_both_say_a_moment_early_that_the_time_is_up_they_have_kept_the_deadline(
    model: str, outcome: Outcome, first_fails_first: bool, world: Any
) -> None:
    call = hedged(world, model=model)
    world.pass_time(0.0499, timers=False)
    if first_fails_first:
        world.fail(call, Status.DEADLINE_EXCEEDED)
    world.fail_hedge(call, Status.DEADLINE_EXCEEDED, Result.DEADLINE)
    if not first_fails_first:
        world.fail(call, Status.DEADLINE_EXCEEDED)
    assert world.outcomes == [outcome]
    ((reply, _),) = call.replies
    assert reply.message == ("" if model == "soft" else "the deadline passed before the upstream answered")
    world.check_end()


@pytest.mark.parametrize("first_fails_first", [False, True])
def test_the_default_answer_is_given_at_the_deadline_although_both_fail_before_the_timer_has_its_turn(
    first_fails_first: bool, world: Any
) -> None:
    call = hedged(world, model="soft")
    if first_fails_first:
        world.fail(call, Status.INTERNAL)
    else:
        world.fail_hedge(call)
    world.pass_time(0.0501, timers=False)
    if first_fails_first:
        world.fail_hedge(call)
    else:
        world.fail(call, Status.INTERNAL)
    assert world.outcomes == [Outcome.DEFAULT_ANSWERED]
    assert call.replies[0][0].status is Status.OK
    world.check_end()


def test_what_is_wrong_with_the_request_itself_is_told_at_once(world: Any) -> None:
    call = hedged(world)
    world.fail(call, Status.INVALID_ARGUMENT, result=Result.REJECTED)
    assert (call.passage.ended, call.hedges[0].over) == (True, True)
    assert world.outcomes == [Outcome.REJECTED_INVALID]
    world.check_end()


@pytest.mark.parametrize("first_failed", [False, True])
def test_at_the_deadline_both_are_cancelled_and_one_outcome_is_booked(first_failed: bool, world: Any) -> None:
    call = hedged(world)
    if first_failed:
        world.fail(call, Status.INTERNAL)
    world.pass_time(0.0501)
    assert world.outcomes == [Outcome.DEADLINE_IN_FLIGHT]
    assert (call.attempts[0].over, call.hedges[0].over) == (True, True)
    world.check_end()


def test_a_client_that_leaves_has_both_cancelled(world: Any) -> None:
    call = hedged(world)
    call.leave()
    assert (call.attempts[0].over, call.hedges[0].over) == (True, True)
    assert world.outcomes == [Outcome.CLIENT_CANCELLED]
    world.check_end()


def test_a_second_call_that_has_no_place_yet_is_never_begun_once_the_first_is_answered(world: Any) -> None:
    call = world.send()
    assert world.hedge(call, place=False)
    world.answer(call)
    world.place_hedge(call)
    assert call.hedges == []
    world.check_end()


@pytest.mark.parametrize("first_fails_first", [False, True])
def test_a_second_call_is_made_instead_of_another_try_not_besides(first_fails_first: bool, world: Any) -> None:
    call = hedged(world)
    if not first_fails_first:
        world.fail_hedge(call)
    assert not call.passage.repeatable
    world.fail(call, Status.UNAVAILABLE, retryable=True)
    if first_fails_first:
        world.fail_hedge(call)
    assert len(call.attempts) == 1
    assert world.outcomes == [Outcome.UPSTREAM_UNAVAILABLE]
    world.check_end()


def test_a_request_that_was_tried_again_is_given_to_nobody_besides(world: Any) -> None:
    call = world.send()
    world.fail(call, Status.UNAVAILABLE, retryable=True)
    assert (len(call.attempts), call.attempt.second) == (2, None)
    world.answer(call)
    world.check_end()


@pytest.mark.parametrize(
    ("options", "kind", "model"),
    [
        ({"upstream_limit": None}, "plain", "other"),  # nothing is learned
        ({"late_share": 1.0}, "plain", "other"),
        ({}, "plain", "watched"),
        ({}, "large", "other"),
    ],
)
def test_what_is_watched_not_kept_or_of_unknown_time_is_never_given_to_another(
    options: dict[str, Any], kind: str, model: str, new_world: NewWorld
) -> None:
    world = new_world(**{"upstream_limit": 4, "hedges": True} | options)
    call = world.send(kind, model)
    assert call.attempt.second is None
    world.answer(call)
    world.check_end()


def test_who_is_only_tried_to_see_whether_a_refusal_is_right_is_never_given_to_another(world: Any) -> None:
    learned(world, 0.04)
    tried = []
    for _ in range(2000):
        call = world.send("plain", "other", (b"grpc-timeout", b"5m"))
        if call.attempt is not None:
            tried.append(call.attempt.second)
        call.leave() if call.connected else None
    assert tried
    assert set(tried) == {None}


def test_there_is_no_room_to_spare_while_others_wait_the_limit_is_reached_or_the_proxy_stops(
    new_world: NewWorld,
) -> None:
    world = new_world(upstream_limit=2, hedges=True)
    call = world.send()
    second = call.attempt.second
    assert second.prospect().spare
    world.admit.draining = True
    assert not second.prospect().spare
    world.admit.draining = False
    others = [world.send(), world.send()]
    assert others[1].attempt is None  # it waits
    assert not second.prospect().spare
    for one in (*others, call):
        one.leave()
    assert not second.prospect().spare  # nobody waits for it
    world.check_end()


def test_the_time_it_takes_is_known_by_its_kind_and_its_chance_by_what_is_left(world: Any) -> None:
    learned(world)
    call = world.send()
    second = call.attempt.second
    assert 0.01 <= second.usual_s(0.95) < 0.0105
    assert second.prospect().chance == 1.0
    world.pass_time(0.042)
    assert second.prospect().chance == 0.0  # 8 ms are not enough
    world.answer(call)


def test_neither_call_teaches_a_time_that_it_did_not_take(world: Any) -> None:
    learned(world)
    for _ in range(40):
        call = world.send()
        world.pass_time(0.02)
        assert world.hedge(call)
        world.pass_time(0.01)
        world.answer_hedge(call)  # in 10 ms, as ever; the first was cancelled after 30
    call = world.send()
    second = call.attempt.second
    assert second.prospect().chance < 0.75  # a third of all calls take more than 30 ms, and nobody knows how much more
    assert 0.01 <= second.usual_s(0.95) < 0.0105  # but none was seen to end that took longer than ever
    world.answer(call)
    world.check_end()
