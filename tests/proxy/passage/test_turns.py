"""Calls that wait for their turn at the upstream: what they hold, when they go, and what they are told."""

from __future__ import annotations

from typing import Any

import pytest

from tailgate.errors import Status
from tailgate.outcome import Outcome
from tailgate.policy.admission import Ended
from tailgate.policy.attempts import Result
from tailgate_proxy.steps.enter import WAIT_BUCKETS_S, learned_later
from tailgate_proxy.steps.observe import RACE_S

NewWorld = Any  # defined in conftest.py, which tests do not import


def told(call: Any) -> tuple[Status, dict[bytes, bytes]]:
    ((reply, _),) = call.replies
    return reply.status, dict(reply.trailers)


def learned(world: Any, take_s: float = 0.01, calls: int = 40, model: str = "other") -> None:
    """The upstream answers some calls one after another, each after so long."""
    for _ in range(calls):
        call = world.send("plain", model)
        world.pass_time(take_s)
        world.answer(call)


def test_a_call_waits_until_another_has_ended_and_is_then_sent_as_it_came(new_world: NewWorld) -> None:
    world = new_world(upstream_limit=1)
    first = world.send()
    second = world.start()
    second.feed(30, end=False)
    second.feed(1 << 20, end=True)
    assert second.attempts == []
    assert world.held.bytes >= len(second.body)
    world.check()
    world.answer(first)
    assert second.attempt is not None
    assert bytes(second.attempt.received) == second.body
    world.answer(second)
    world.check_end()
    assert world.outcomes == [Outcome.OK, Outcome.OK]


def test_what_waits_slows_its_client_and_is_bounded_by_what_the_proxy_may_hold(new_world: NewWorld) -> None:
    world = new_world(upstream_limit=1, max_held_bytes=100_000)
    first = world.send()
    large = world.start("large")
    large.feed(50_000, end=False)
    assert large.taken_bytes == 0  # its client may not send more than its window
    large.feed(60_000, end=False)
    assert told(large)[0] is Status.RESOURCE_EXHAUSTED
    world.answer(first)
    world.check_end()


def test_the_urgent_one_goes_first(new_world: NewWorld) -> None:
    world = new_world(upstream_limit=1)
    first, patient, urgent = world.send(), world.send("plain", "patient"), world.send("plain", "tight")
    world.answer(first)
    assert (patient.attempt is None, urgent.attempt is None) == (True, False)


def test_one_whose_deadline_passes_while_it_waits_is_never_sent_and_told_so(new_world: NewWorld) -> None:
    world = new_world(upstream_limit=1)
    world.send("plain", "patient")
    second = world.send()
    world.pass_time(0.06)
    assert told(second) == (Status.DEADLINE_EXCEEDED, {b"tailgate-outcome": b"expired_in_queue"})
    assert second.attempts == []
    assert world.outcomes == [Outcome.EXPIRED_IN_QUEUE]


def test_whoever_leaves_while_waiting_gives_its_place_in_the_line_to_the_next(new_world: NewWorld) -> None:
    world = new_world(upstream_limit=1)
    first, second, third = world.send(), world.send(), world.send()
    second.leave()
    world.answer(first)
    assert second.attempts == []
    assert third.attempt is not None


def test_one_that_fails_at_once_lets_the_next_go(new_world: NewWorld) -> None:
    world = new_world(upstream_limit=1)
    first, second, third = world.send(), world.send(), world.send()
    world.upstream = ["fail"]
    world.answer(first)
    assert told(second)[0] is Status.UNAVAILABLE
    assert third.attempt is not None


def test_who_cannot_make_it_is_refused_before_anything_is_sent_with_reason_and_pushback(new_world: NewWorld) -> None:
    world = new_world(upstream_limit=1)
    learned(world)
    calls = [world.send() for _ in range(10)]
    refused = [call for call in calls if call.replies]
    assert len(refused) in (4, 5)  # one is sent, four can wait, one or none is tried
    for call in refused:
        status, trailers = told(call)
        assert (status, trailers[b"tailgate-outcome"]) == (Status.RESOURCE_EXHAUSTED, b"shed_predicted_late")
        assert 10 <= int(trailers[b"grpc-retry-pushback-ms"]) <= 100
        assert call.attempts == []


def test_calls_that_had_no_connection_say_nothing_of_the_time_that_the_upstream_takes(new_world: NewWorld) -> None:
    world = new_world(upstream_limit=1)
    learned(world)
    (before,) = world.entrances.counts().values()
    for _ in range(40):
        world.upstream = ["away"]
        call = world.send()
        world.pass_time(0.06)
        assert told(call)[0] is Status.DEADLINE_EXCEEDED
        world.queue.clear()
    (after,) = world.entrances.counts().values()
    assert (after.line_bound, after.in_flight) == (before.line_bound, 0)


def test_a_deadline_that_no_call_could_meet_is_refused_for_good(new_world: NewWorld) -> None:
    world = new_world(upstream_limit=1)
    learned(world, 0.04)
    hopeless = [world.send("plain", "other", (b"grpc-timeout", b"5m")) for _ in range(3)]
    status, trailers = told(hopeless[-1])
    assert status is Status.RESOURCE_EXHAUSTED
    assert trailers[b"grpc-retry-pushback-ms"] == b"-1"


def test_in_mode_observe_nobody_waits_or_is_refused(new_world: NewWorld) -> None:
    world = new_world(upstream_limit=1)
    learned(world, 0.04, model="watched")
    calls = [world.send("plain", "watched", (b"tailgate-deadline-ms", b"5")) for _ in range(6)]
    assert all(call.attempt is not None for call in calls)
    (counts,) = world.entrances.counts().values()
    assert counts.would_refuse == 6
    assert (counts.in_flight, counts.waiting) == (6, 0)


def test_in_mode_default_answer_a_refusal_is_the_default_answer_at_once(new_world: NewWorld) -> None:
    world = new_world(upstream_limit=1)
    learned(world, model="soft")
    calls = [world.send("plain", "soft") for _ in range(10)]
    answered = [call for call in calls if call.replies]
    assert answered
    assert {told(call)[1][b"tailgate-outcome"] for call in answered} == {b"default_answered"}


def test_the_time_of_a_slow_client_is_not_taken_for_the_upstreams(new_world: NewWorld) -> None:
    world = new_world(upstream_limit=1)
    for _ in range(40):
        call = world.start("plain", "patient")
        call.feed(30, end=False)
        world.pass_time(0.1)
        call.feed(1 << 20, end=True)
        world.pass_time(0.01)
        world.answer(call)
    calls = [world.send() for _ in range(3)]
    assert not any(call.replies for call in calls)  # 50 ms are plenty for an upstream that takes 10


def test_a_call_that_the_upstream_goes_on_with_keeps_its_place_until_that_has_done(new_world: NewWorld) -> None:
    world = new_world(upstream_limit=1, cancels=False)
    first, second = world.send(), world.send("plain", "patient")
    world.pass_time(0.0501)
    assert told(first) == (Status.DEADLINE_EXCEEDED, {b"tailgate-outcome": b"deadline_in_flight"})
    assert (world.outcomes, world.ledger.in_flight) == ([Outcome.DEADLINE_IN_FLIGHT], 1)
    assert second.attempts == []
    world.check()
    world.pass_time(0.05)
    world.have_done(first)
    assert second.attempt is not None
    world.answer(second)
    world.check_end()
    assert world.outcomes == [Outcome.DEADLINE_IN_FLIGHT, Outcome.OK]


def test_a_call_that_the_upstream_does_not_have_whole_leaves_its_place_with_its_client(new_world: NewWorld) -> None:
    world = new_world(upstream_limit=1, cancels=False)
    first = world.start()
    first.feed(len(first.body) - 5, end=False)
    assert first.attempt is not None
    second = world.send("plain", "patient")
    assert second.attempts == []
    first.leave()
    assert second.attempt is not None
    world.check()


def test_what_is_learned_of_a_call_whose_client_left_early_is_the_time_that_it_took(new_world: NewWorld) -> None:
    world = new_world(upstream_limit=1, cancels=False)
    for _ in range(40):
        call = world.send("plain", "patient")
        world.pass_time(0.01)
        call.leave()
        world.pass_time(0.07)
        world.have_done(call)
    hopeless = [world.send("plain", "patient", (b"grpc-timeout", b"50m")) for _ in range(3)]
    status, trailers = told(hopeless[-1])
    assert status is Status.RESOURCE_EXHAUSTED
    assert trailers[b"grpc-retry-pushback-ms"] == b"-1"


@pytest.mark.parametrize(("before_s", "ended"), [(RACE_S / 2, Ended.CUT_OFF), (2 * RACE_S, Ended.UNTOLD)])
def test_a_client_whose_own_timer_was_a_little_early_has_still_seen_its_upstream_be_late(
    before_s: float, ended: Ended, new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_world(upstream_limit=1)
    told_of: list[Ended] = []
    leave = world.entrances.leave

    def noted(ticket: Any, how: Ended) -> None:
        told_of.append(how)
        leave(ticket, how)

    monkeypatch.setattr(world.entrances, "leave", noted)
    call = world.send("plain", "patient", (b"grpc-timeout", b"50m"))
    world.pass_time(0.05 - before_s)
    call.leave()
    assert told_of == [ended]
    world.check_end()


@pytest.mark.parametrize("result", list(Result))
@pytest.mark.parametrize("late", [False, True])
def test_how_an_upstream_ends_what_it_went_on_with_says_how_long_it_takes_or_nothing(
    result: Result, late: bool
) -> None:
    expected = {
        Result.ANSWERED: Ended.LATE if late else Ended.IN_TIME,
        Result.SHED: Ended.OVERLOADED,
        Result.DEADLINE: Ended.CUT_OFF if late else Ended.UNTOLD,
    }
    assert learned_later(result, late=late) is expected.get(result, Ended.UNTOLD)


def test_waits_are_counted(new_world: NewWorld) -> None:
    world = new_world(upstream_limit=1)
    first, second = world.send(), world.send()
    world.pass_time(0.02)
    world.answer(first)
    world.answer(second)
    (counts,) = world.entrances.counts().values()
    assert counts.waits.bounds == WAIT_BUCKETS_S
    assert sum(counts.waits.counts) == 2
    assert abs(counts.waits.sum - 0.02) < 1e-9
