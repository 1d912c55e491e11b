"""One call on its way, one thing at a time: what becomes of it, and what its client and the upstream are told."""

from __future__ import annotations

from typing import Any

import pytest

from tailgate.deadline import parse_grpc_timeout
from tailgate.errors import Status
from tailgate.http2.grpc_messages import PREFIX_BYTES, frame_message
from tailgate.observation import Verdict
from tailgate.outcome import Ending, Outcome
from tailgate.pb import inference_pb2 as pb
from tailgate.policy.reserve import RENEWED
from tailgate.protocol.envelope import RequestFrame
from tailgate_proxy import passage
from tailgate_proxy.call import MOST_TRIES, Answer, CallFailed, Reply
from tailgate_proxy.passage import REPLAYABLE_BYTES
from tailgate_proxy.steps.forward import judge
from tailgate_proxy.steps.observe import RACE_S

NewWorld = Any  # defined in conftest.py, which tests do not import
WRONG = 4  # where the label is 3


def test_a_late_answer_of_a_call_that_runs_on_is_scored_and_the_client_never_sees_it(new_world: NewWorld) -> None:
    world = new_world(late_share=1.0)
    call = world.send()
    world.pass_time(0.0501)
    ((reply, at_s),) = call.replies
    assert (reply.status, at_s) == (Status.DEADLINE_EXCEEDED, world.now_s)
    assert (b"tailgate-outcome", b"deadline_in_flight") in reply.trailers
    assert world.seen == []  # it is not over
    world.pass_time(0.05, timers=False)
    world.answer(call)
    assert len(call.replies) == 1
    (seen,) = world.seen
    assert (seen.outcome, seen.verdict, seen.status) == (
        Outcome.OK_LATE_DISCARDED,
        Verdict.RIGHT,
        Status.DEADLINE_EXCEEDED,
    )
    assert seen.latency_s == pytest.approx(0.1001)
    world.check_end()


def test_a_call_runs_on_only_for_as_long_as_configured_and_then_the_upstream_is_told(new_world: NewWorld) -> None:
    world = new_world(late_share=1.0)
    call = world.send()
    attempt = call.attempts[0]
    world.pass_time(0.06)
    world.pass_time(0.08)
    assert not attempt.over
    world.pass_time(0.02)
    assert attempt.over
    assert world.outcomes == [Outcome.DEADLINE_IN_FLIGHT]
    world.check_end()


def test_without_a_share_the_upstreams_work_ends_at_the_deadline(new_world: NewWorld) -> None:
    world = new_world()
    call = world.send()
    world.pass_time(0.0501)
    assert call.attempts[0].over
    assert world.outcomes == [Outcome.DEADLINE_IN_FLIGHT]
    world.check_end()


@pytest.mark.parametrize("late_share", [0.0, 1.0])
def test_once_the_time_is_up_the_client_is_told_so_in_the_same_words_whoever_noticed_first(
    late_share: float, new_world: NewWorld
) -> None:
    world = new_world(late_share=late_share)
    ours, theirs, early = world.send(), world.send(), world.send()
    world.fail(early, Status.DEADLINE_EXCEEDED)  # by a clock of its own
    world.pass_time(0.0501, timers=False)
    world.fail(theirs, Status.DEADLINE_EXCEEDED)
    world.pass_time(0.0)
    messages = [call.replies[0][0].message for call in (ours, theirs, early)]
    assert messages == ["the deadline passed before the upstream answered"] * 2 + ["failed"]
    world.pass_time(0.2)
    assert world.outcomes.count(Outcome.DEADLINE_IN_FLIGHT) == 3
    world.check_end()


def test_an_upstream_whose_clock_ends_a_call_a_moment_early_has_kept_the_deadline(new_world: NewWorld) -> None:
    """gRPC's own servers round instants to milliseconds."""
    world = new_world()
    call = world.send()
    world.pass_time(0.05 - RACE_S / 2)
    world.fail(call, Status.DEADLINE_EXCEEDED)
    assert call.replies[0][0].message == "the deadline passed before the upstream answered"
    assert world.outcomes == [Outcome.DEADLINE_IN_FLIGHT]
    world.check_end()


@pytest.mark.parametrize("waiting", ["for its body", "for a place"])
def test_a_call_that_the_upstream_does_not_have_whole_never_runs_on(waiting: str, new_world: NewWorld) -> None:
    world = new_world(late_share=1.0)
    if waiting == "for a place":
        world.upstream = ["keep waiting"]
        world.send()
    else:
        call = world.start()
        call.feed(len(call.body) - 5, end=False)
    world.pass_time(0.06)
    assert world.outcomes == [Outcome.DEADLINE_IN_FLIGHT]
    world.check_end()


def test_a_client_that_leaves_at_its_deadline_does_not_end_a_call_that_runs_on(new_world: NewWorld) -> None:
    world = new_world(late_share=1.0)
    call = world.send()
    world.pass_time(0.051, timers=False)  # its own timer was faster than ours
    call.leave()
    world.answer(call, WRONG)
    (seen,) = world.seen
    assert (seen.outcome, seen.verdict) == (Outcome.OK_LATE_DISCARDED, Verdict.WRONG)
    world.check_end()


def test_what_the_upstream_has_for_a_call_that_may_run_on_includes_the_patience(new_world: NewWorld) -> None:
    for late_share, expected_s in ((0.0, 0.05), (1.0, 0.15)):
        world = new_world(late_share=late_share)
        call = world.send()
        timeout = dict(call.passage.headers(b"up:1", tls=False))[b"grpc-timeout"]
        assert parse_grpc_timeout(timeout.decode()) == pytest.approx(expected_s)


def slow_way_back(world: Any, seconds: float) -> None:
    """The loop was so late of late."""
    for _ in range(RENEWED):
        world.pipeline.reserve.lag(seconds)


@pytest.mark.parametrize(("lag_s", "expected_s"), [(0.0, 0.05), (0.002, 0.048), (0.004, 0.046), (1.0, 0.045)])
def test_what_the_way_back_takes_is_not_told_to_the_upstream_but_for_a_tenth_of_what_is_left(
    lag_s: float, expected_s: float, new_world: NewWorld
) -> None:
    world = new_world()
    slow_way_back(world, lag_s)
    call = world.send()
    timeout = dict(call.passage.headers(b"up:1", tls=False))[b"grpc-timeout"]
    assert parse_grpc_timeout(timeout.decode()) == pytest.approx(expected_s)
    world.pass_time(0.0499)
    assert call.connected  # its own time is what it was
    world.answer(call)
    assert world.outcomes == [Outcome.OK]


@pytest.mark.parametrize(("model", "outcome"), [("other", "deadline_in_flight"), ("soft", "default_answered")])
def test_an_upstream_that_ends_a_call_when_the_time_it_was_told_is_over_has_kept_the_deadline(
    model: str, outcome: str, new_world: NewWorld
) -> None:
    replies = []
    for lag_s, ends_s in ((0.0, 0.0501), (0.02, 0.0451)):
        world = new_world()
        slow_way_back(world, lag_s)
        call = world.send("plain", model)
        world.pass_time(ends_s, timers=False)
        assert call.passage.overdue
        world.fail(call, Status.DEADLINE_EXCEEDED)
        ((reply, at_s),) = call.replies
        assert at_s == world.now_s
        replies.append(reply)
        world.check_end()
    assert replies[0] == replies[1]
    assert dict(replies[1].trailers)[b"tailgate-outcome"] == outcome.encode()


def test_in_mode_observe_a_call_that_its_upstream_has_ended_ends_with_its_clients_patience(new_world: NewWorld) -> None:
    world = new_world()
    slow_way_back(world, 0.02)
    call = world.send("plain", "watched", (b"grpc-timeout", b"50m"))
    world.pass_time(0.0451)
    world.fail(call, Status.DEADLINE_EXCEEDED)
    world.check()
    world.pass_time(0.0051)
    assert world.outcomes == [Outcome.DEADLINE_IN_FLIGHT]
    world.check_end()


@pytest.mark.parametrize(("model", "late_share"), [("watched", 0.0), ("other", 1.0)])
def test_a_call_that_goes_on_after_its_deadline_is_due_at_once_and_once(
    model: str, late_share: float, new_world: NewWorld
) -> None:
    world = new_world(late_share=late_share)
    call = world.send("plain", model)
    world.pass_time(0.0499)
    assert world.due == 0
    world.pass_time(0.0002)
    assert (world.due, world.outcomes) == (1, [])
    world.pass_time(0.01)
    world.answer(call)
    assert (world.due, len(world.outcomes)) == (1, 1)
    world.check_end()


@pytest.mark.parametrize("model", ["other", "watched", "soft"])
def test_an_answer_before_its_timer_had_a_turn_is_late_all_the_same(model: str, new_world: NewWorld) -> None:
    world = new_world()
    call = world.send("plain", model)
    world.pass_time(0.0501, timers=False)
    world.answer(call)
    expected = {
        "other": Outcome.OK_LATE_DISCARDED,
        "watched": Outcome.OK_LATE,
        "soft": Outcome.DEFAULT_ANSWERED,
    }
    assert world.outcomes == [expected[model]]
    world.check_end()


def test_a_refused_call_is_made_again_with_all_that_was_sent_of_it(new_world: NewWorld) -> None:
    world = new_world()
    call = world.start()
    call.feed(len(call.body) - 5, end=False)  # its tensor has begun, so all its names are there
    world.fail(call, Status.UNAVAILABLE, retryable=True)
    call.feed(len(call.body), end=True)
    assert [attempt.received == call.body for attempt in call.attempts] == [False, True]
    world.answer(call)
    assert world.outcomes == [Outcome.OK]
    assert call.taken_bytes == call.fed  # the client was told of every byte once
    world.check_end()


def test_a_call_is_not_made_again_for_ever_nor_where_the_upstream_may_have_seen_it(new_world: NewWorld) -> None:
    world = new_world()
    call = world.send()
    for _ in range(MOST_TRIES):
        world.fail(call, Status.UNAVAILABLE, retryable=True)
    seen_once = world.send()
    world.fail(seen_once, Status.UNAVAILABLE)
    assert (len(call.attempts), len(seen_once.attempts)) == (MOST_TRIES, 1)
    assert world.outcomes == [Outcome.UPSTREAM_UNAVAILABLE] * 2
    world.check_end()


def test_a_body_too_large_to_keep_is_not_sent_again(new_world: NewWorld) -> None:
    world = new_world()
    call = world.start("large")
    call.feed(REPLAYABLE_BYTES, end=False)
    call.feed(1, end=False)
    world.fail(call, Status.UNAVAILABLE, retryable=True)
    assert len(call.attempts) == 1
    assert world.outcomes == [Outcome.UPSTREAM_UNAVAILABLE]
    world.check_end()


def test_a_slow_upstream_slows_its_client(new_world: NewWorld) -> None:
    world = new_world()
    world.room = REPLAYABLE_BYTES
    call = world.start("large")
    call.feed(REPLAYABLE_BYTES, end=False)
    call.feed(3000, end=False)
    assert (call.taken_bytes, world.held.bytes) == (REPLAYABLE_BYTES, 3000)
    call.attempts[0].read(2500)
    assert (call.taken_bytes, world.held.bytes) == (REPLAYABLE_BYTES + 2500, 500)
    call.leave()
    world.check_end()


def test_a_body_that_may_be_sent_again_is_held_to_the_end_and_once(new_world: NewWorld) -> None:
    world = new_world()
    world.room = 1000
    call = world.start("large")
    call.feed(3000, end=False)
    assert (call.taken_bytes, world.held.bytes) == (1000, 3000)
    call.attempts[0].read(2000)
    assert (call.taken_bytes, world.held.bytes) == (3000, 3000)
    call.leave()
    world.check_end()


@pytest.mark.parametrize("kind", ["plain", "gzip", "large"])
def test_what_does_not_fit_among_the_held_bytes_is_shed_and_says_which_option_it_was(
    kind: str, new_world: NewWorld
) -> None:
    world = new_world(max_held_bytes=40)
    world.upstream = ["keep waiting"]
    call = world.send(kind)
    ((reply, _),) = call.replies
    assert (reply.status, "--max-held-mib" in reply.message) == (Status.RESOURCE_EXHAUSTED, True)
    assert world.outcomes == [Outcome.SHED_QUEUE_FULL]
    world.check_end()


def test_a_fault_of_the_proxy_ends_its_one_call_and_no_other(
    caplog: pytest.LogCaptureFixture, new_world: NewWorld
) -> None:
    world = new_world()
    other = world.send()
    call = world.start()
    call.feed(len(call.body) - 5, end=False)  # its tensor has begun, so all its names are there
    call.attempts[0].broken = True
    call.feed(len(call.body), end=True)
    world.answer(other)
    assert "request 1 failed inside the proxy" in caplog.text
    assert world.outcomes == [Outcome.INTERNAL, Outcome.OK]
    assert world.held.bytes == 0
    assert call.attempts[0].over


def test_a_proxy_that_stops_answers_what_is_under_way_and_the_upstream_hears_of_it(new_world: NewWorld) -> None:
    world = new_world(late_share=1.0)
    calls = [world.start(), world.send()]
    for call in calls:
        call.passage.stop()
    assert [call.replies[0][0].status for call in calls] == [Status.UNAVAILABLE] * 2
    assert world.outcomes == [Outcome.DRAINING] * 2
    assert calls[1].attempts[0].over
    world.check_end()


def test_an_answer_to_a_call_whose_client_is_gone_changes_nothing(new_world: NewWorld) -> None:
    world = new_world()
    call = world.send()
    call.leave()
    call.passage.answered(Answer(b""))
    call.passage.failed(CallFailed(Status.INTERNAL, "late"))
    call.passage.time_up()
    call.passage.stop()
    assert world.outcomes == [Outcome.CLIENT_CANCELLED]
    world.check_end()


@pytest.mark.parametrize("ends", ["fails", "answers garbage"])
def test_a_call_that_runs_on_in_vain_is_booked_as_its_client_was_told(ends: str, new_world: NewWorld) -> None:
    world = new_world(late_share=1.0)
    call = world.send()
    world.pass_time(0.06)
    if ends == "fails":
        world.fail(call, Status.INTERNAL)
    else:
        world.answer_garbage(call)
    (seen,) = world.seen
    assert (seen.outcome, seen.status) == (Outcome.DEADLINE_IN_FLIGHT, Status.DEADLINE_EXCEEDED)


def test_no_answer_counts_as_given_to_a_client_that_left(new_world: NewWorld) -> None:
    world = new_world(late_share=1.0)
    call = world.send()
    world.pass_time(0.047, timers=False)  # so close to the deadline that it has met it
    call.leave()
    world.pass_time(0.001, timers=False)
    world.answer(call)
    assert [seen.outcome.answered for seen in world.seen] == [False]


def test_the_default_answer_is_given_also_where_the_model_became_known_only_after_its_deadline(
    new_world: NewWorld,
) -> None:
    world = new_world()
    call = world.start("plain", "soft")
    world.pass_time(0.0501, timers=False)  # "soft" has 50 ms; nothing of its name has come yet
    call.feed(len(call.body), end=True)
    assert not call.attempts
    assert world.outcomes == [Outcome.DEFAULT_ANSWERED]
    assert call.replies[0][0].status is Status.OK
    world.check_end()


@pytest.mark.parametrize("status", [Status.DEADLINE_EXCEEDED, Status.UNAVAILABLE])
def test_the_default_answer_is_given_at_the_deadline_although_the_upstream_says_first_that_there_is_none(
    status: Status, new_world: NewWorld
) -> None:
    world = new_world()
    call = world.send("plain", "soft")
    world.pass_time(
        0.0501, timers=False
    )  # the upstream keeps the deadline too, and its word may come before our timer's turn
    world.fail(call, status)
    assert world.outcomes == [Outcome.DEFAULT_ANSWERED]
    assert call.replies[0][0].status is Status.OK


@pytest.mark.parametrize(("wait_s", "overdue"), [(0.01, False), (0.0501, True)])
def test_whether_a_call_was_too_slow_or_unwanted_is_a_matter_of_when_its_request_ended(
    wait_s: float, overdue: bool, new_world: NewWorld
) -> None:
    world = new_world()
    world.upstream = ["queue"]  # it has no place for it, and is told only later that none is wanted any more
    call = world.send()
    world.pass_time(wait_s)
    if not call.passage.ended:
        call.leave()
    world.pass_time(0.4)
    assert (call.passage.wanted, call.passage.overdue) == (False, overdue)
    world.check_end()


@pytest.mark.parametrize("in_form", [True, False])
def test_the_default_answer_is_given_also_where_the_deadline_passed_while_the_answer_was_put_into_its_form(
    in_form: bool, new_world: NewWorld
) -> None:
    world = new_world(upstream_limit=4)
    call = world.send("plain", "soft")
    world.pass_time(0.045)
    rendered: list[Reply] = []

    def render(reply: Reply) -> Reply:
        rendered.append(reply)
        world.pass_time(0.01, timers=False)
        return reply if in_form or len(rendered) > 1 else Reply(Ending.INVALID, Status.INVALID_ARGUMENT, "no such form")

    call.passage.exchange.render = render
    world.answer(call)
    assert world.outcomes == [Outcome.DEFAULT_ANSWERED]
    ((reply, _),) = call.replies
    assert [one.ending for one in rendered] == [Ending.ANSWERED, Ending.DEFAULTED]
    assert reply is rendered[-1]
    world.check_end()


def test_the_default_answer_is_given_also_where_the_deadline_passed_while_an_answer_was_found_to_be_none(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_world()
    call = world.send("plain", "soft")
    world.pass_time(0.045)

    def judge_slowly(*given: Any) -> Reply:
        world.pass_time(0.01, timers=False)
        return judge(*given)

    monkeypatch.setattr(passage, "judge", judge_slowly)
    world.answer_garbage(call)
    assert world.outcomes == [Outcome.DEFAULT_ANSWERED]
    world.check_end()


def test_a_call_has_the_id_of_its_message_wherever_that_was_cut(new_world: NewWorld) -> None:
    world = new_world(max_in_flight=1)
    length = len(world.start().body)
    world.calls[0].leave()
    for cut in range(length + 1):
        call = world.start(named=False)
        call.feed(cut, end=False)
        call.feed(length, end=True)
        world.answer(call)
    assert [seen.request_id for seen in world.seen] == [str(number) for number in range(length + 2)]


@pytest.mark.parametrize(("answered", "outcome"), [("last", Outcome.OK), ("0", Outcome.UPSTREAM_INVALID)])
def test_an_answer_is_held_against_the_id_that_counts_where_a_message_gives_one_behind_its_tensors_too(
    new_world: NewWorld, answered: str, outcome: Outcome
) -> None:
    world = new_world()
    length = len(world.start().body) - PREFIX_BYTES
    world.calls[0].leave()
    for cut in range(length + 10):
        call = world.start()
        named = RequestFrame("other", "x", "UINT8", (1,)).build("0", bytes(50))
        call.body = call.forwarded = frame_message(named + pb.ModelInferRequest(id="last").SerializeToString())
        call.feed(cut, end=False)
        call.feed(len(call.body), end=True)
        call.attempt.over = True
        call.passage.answered(Answer(frame_message(pb.ModelInferResponse(id=answered).SerializeToString())))
        assert world.outcomes[-1] is outcome


@pytest.mark.parametrize(
    "behind",
    [pb.ModelInferRequest(model_name="tight"), pb.ModelInferRequest(model_version="2")],
    ids=["name", "version"],
)
def test_no_request_is_served_by_another_model_than_it_was_counted_for(
    new_world: NewWorld, behind: pb.ModelInferRequest
) -> None:
    world = new_world()
    named = RequestFrame("other", "x", "UINT8", (1,)).build("0", bytes(2 * REPLAYABLE_BYTES))
    body = frame_message(named + behind.SerializeToString())
    for cut in (*range(0, 60), 2000, REPLAYABLE_BYTES, *range(len(body) - 20, len(body) + 1)):
        call = world.start()
        call.body = call.forwarded = body
        call.feed(cut, end=False)
        call.feed(len(body), end=True)
        envelope = call.passage.exchange.envelope
        if call.replies:
            ((reply, _),) = call.replies
            assert reply.status is Status.INVALID_ARGUMENT
            assert "behind its tensors" in reply.message
            assert not any(attempt.ended for attempt in call.attempts)
        else:  # it was read whole before anything was decided: the last counts, as for the upstream
            read = pb.ModelInferRequest.FromString(body[PREFIX_BYTES:])
            assert (envelope.model, envelope.version) == (read.model_name, read.model_version)
            world.answer(call)
    assert set(world.outcomes) == {Outcome.OK, Outcome.REJECTED_INVALID}
    world.check_end()
