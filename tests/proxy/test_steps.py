"""The steps, each a plain function of what is known of a call and of the time: no socket, no clock, no waiting."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.deadline import Deadline
from tailgate.errors import InvalidRequest, Status
from tailgate.http2.grpc_messages import frame_message
from tailgate.ledger import BASE_BUCKETS_S, Ledger
from tailgate.observation import Observation, Verdict
from tailgate.outcome import ANSWER_SEEN, Ending, Mode, Outcome, decide
from tailgate.pb import inference_pb2 as pb
from tailgate.policy.reserve import RENEWED, Reserve
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.protocol.envelope import Envelope
from tailgate_proxy.call import Answer, CallFailed, Reply
from tailgate_proxy.default_answer import DefaultAnswer
from tailgate_proxy.exchange import Exchange
from tailgate_proxy.known_models import OTHER, KnownModels
from tailgate_proxy.routes import Route
from tailgate_proxy.steps.admit import Admit, refuse_expired, refuse_malformed
from tailgate_proxy.steps.forward import MAX_ID_LENGTH, MAX_JUDGED_BYTES, forwarded_headers, judge, reply_to_failure
from tailgate_proxy.steps.limit import PATIENCE_S, end_if_over, patience, reply_at_limit, runs_on
from tailgate_proxy.steps.observe import RACE_S, Observe

DEFAULT = DefaultAnswer(pb.ModelInferResponse(model_name="fallback").SerializeToString())


def call(
    budget_s: float = 0.05,
    *,
    mode: Mode = Mode.ENFORCE,
    request_id: str = "id",
    made: bool = False,
    fault: InvalidRequest | None = None,
    grpc_budget_s: float | None = None,
    default: DefaultAnswer | None = DEFAULT,
    model: str = "digits",
) -> Exchange:
    """A call that arrived at 0 s, with the label 1."""
    return Exchange(
        arrival_s=0.0,
        arrival_unix_s=1.7e9,
        forwarded=[(b"x-custom", b"kept")],
        encoding="identity",
        request_id=request_id,
        id_made=made,
        client_budget_s=None,
        grpc_budget_s=grpc_budget_s,
        deadline=Deadline(0.0, budget_s),
        label=1,
        slice="",
        fault=fault,
        route=Route(mode, 0.05, "", default),
        envelope=Envelope(model, "", "of the message"),
    )


@dataclass
class Booked:
    """An observe step, and all that it booked."""

    ledger: Ledger = field(default_factory=lambda: Ledger(BASE_BUCKETS_S))
    seen: list[Observation] = field(default_factory=list)
    known: KnownModels = field(default_factory=lambda: KnownModels(["digits"]))

    def book(self, exchange: Exchange, reply: Reply, now_s: float) -> Reply:
        observe = Observe(self.ledger, self.known, [self.ledger.book, self.seen.append])
        observe.arrive()
        return observe.book(exchange, reply, now_s)


def reply_of(ending: Ending) -> Reply:
    """What the proxy has in hand when a call ends so."""
    if ending is Ending.ANSWERED:
        return Reply(ending, body=b"answer", trailers=((b"theirs", b"1"),), version="3", predicted=1)
    if ending is Ending.DEFAULTED:
        return Reply(ending, body=b"default")
    return Reply(ending, Status.UNAVAILABLE, "in words")


# -- observe -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "mode", "late", "made"), list(itertools.product(Ending, Mode, (False, True), (False, True)))
)
def test_every_ending_is_booked_once_with_the_outcome_the_table_says_and_the_client_is_told(
    ending: Ending, mode: Mode, late: bool, made: bool
) -> None:
    booked = Booked()
    now_s = 0.06 if late else 0.02
    reply = booked.book(call(mode=mode, made=made), reply_of(ending), now_s)
    outcome = decide(ending, mode, late=late)
    (seen,) = booked.seen
    assert (seen.outcome, seen.status, seen.latency_s, seen.budget_s) == (outcome, reply.status, now_s, 0.05)
    assert (booked.ledger.received, booked.ledger.ended, booked.ledger.in_flight) == (1, 1, 0)
    assert +booked.ledger.outcomes() == {outcome: 1}
    assert reply.trailers.count((b"tailgate-outcome", outcome.label.encode())) == (outcome is not Outcome.OK)
    assert reply.trailers.count((b"x-request-id", b"id")) == made
    assert seen.predicted == (1 if ending is Ending.ANSWERED else UNKNOWN_CLASS)
    assert (seen.verdict is not Verdict.UNKNOWN) == (outcome in ANSWER_SEEN)


@given(st.sampled_from(Ending), st.sampled_from(Mode), st.floats(-0.01, 0.2), st.floats(0.0, 0.3))
def test_nothing_late_is_delivered_as_on_time_and_in_enforce_not_at_all(
    ending: Ending, mode: Mode, budget_s: float, now_s: float
) -> None:
    booked = Booked()
    exchange = call(budget_s, mode=mode)
    reply = booked.book(exchange, reply_of(ending), now_s)
    (seen,) = booked.seen
    assert sum(booked.ledger.outcomes().values()) == booked.ledger.ended == 1
    delivered = reply.status is Status.OK
    assert delivered == bool(reply.body)
    if exchange.deadline.passed(now_s):
        assert seen.outcome is not Outcome.OK
        assert not (delivered and mode is Mode.ENFORCE and ending is Ending.ANSWERED)
        assert not delivered or (b"tailgate-outcome", seen.outcome.label.encode()) in reply.trailers
    if seen.outcome is Outcome.OK_LATE_DISCARDED:
        assert (reply.status, reply.body) == (Status.DEADLINE_EXCEEDED, b"")
        assert (b"theirs", b"1") not in reply.trailers


@pytest.mark.parametrize(
    ("now_s", "mode", "outcome", "status"),
    [
        (0.05, Mode.ENFORCE, Outcome.OK, Status.OK),  # at the instant itself it is in time
        (0.0500001, Mode.ENFORCE, Outcome.OK_LATE_DISCARDED, Status.DEADLINE_EXCEEDED),
        (0.0500001, Mode.OBSERVE, Outcome.OK_LATE, Status.OK),
        (0.0500001, Mode.DEFAULT_ANSWER, Outcome.OK_LATE_DISCARDED, Status.DEADLINE_EXCEEDED),
    ],
)
def test_an_answer_is_late_only_after_the_instant_and_is_judged_all_the_same(
    now_s: float, mode: Mode, outcome: Outcome, status: Status
) -> None:
    booked = Booked()
    reply = booked.book(call(mode=mode), reply_of(Ending.ANSWERED), now_s)
    assert (booked.seen[0].outcome, booked.seen[0].verdict, reply.status) == (outcome, Verdict.RIGHT, status)


@pytest.mark.parametrize(
    ("now_s", "outcome"),
    [
        (0.02, Outcome.CLIENT_CANCELLED),
        (0.05 - RACE_S * 1.5, Outcome.CLIENT_CANCELLED),
        (0.05 - RACE_S / 2, Outcome.DEADLINE_IN_FLIGHT),
        (0.06, Outcome.DEADLINE_IN_FLIGHT),
    ],
)
def test_a_client_that_leaves_at_its_deadline_has_met_the_deadline(now_s: float, outcome: Outcome) -> None:
    booked = Booked()
    booked.book(call(), Reply(Ending.CANCELLED, Status.CANCELLED), now_s)
    assert [seen.outcome for seen in booked.seen] == [outcome]


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("ending", Ending)
def test_what_a_client_was_told_to_have_missed_is_never_booked_as_in_time(ending: Ending, mode: Mode) -> None:
    ledger, seen = Ledger(BASE_BUCKETS_S), list[Observation]()
    observe = Observe(ledger, KnownModels([]), [ledger.book, seen.append])
    observe.arrive()
    observe.book(call(mode=mode), reply_of(ending), 0.01, missed=True)
    assert [one.outcome for one in seen] == [decide(ending, mode, late=True)]


def test_how_long_answers_take_on_their_way_back_is_kept_back_from_what_upstreams_are_told() -> None:
    reserve, booked = Reserve(), Booked()
    observe = Observe(booked.ledger, booked.known, [], reserve=reserve)
    for ending in [Ending.UPSTREAM_ERROR] * RENEWED + [Ending.ANSWERED] * RENEWED:
        exchange = call()
        exchange.begun_s, exchange.answered_s = 0.001, 0.02
        observe.arrive()
        observe.book(exchange, reply_of(ending), 0.023)
        if ending is Ending.UPSTREAM_ERROR:
            assert reserve.seconds == 0.0
    assert reserve.seconds == pytest.approx(0.003)
    assert booked.ledger.reply.sum == pytest.approx(0.003 * RENEWED)


def test_only_an_answer_makes_a_model_known() -> None:
    booked = Booked()
    booked.book(call(model="made-up"), reply_of(Ending.UPSTREAM_ERROR), 0.01)
    booked.book(call(model="new"), reply_of(Ending.ANSWERED), 0.01)
    booked.book(call(model="new"), reply_of(Ending.UPSTREAM_ERROR), 0.01)
    assert [(seen.model, seen.version) for seen in booked.seen] == [(OTHER, OTHER), ("new", "3"), ("new", "3")]


# -- admit -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget_s", "now_s", "mode", "refused"),
    [
        (0.0, 0.0, Mode.ENFORCE, True),
        (-1.0, 0.0, Mode.OBSERVE, True),  # a client that says so has no use for an answer
        (1e-9, 0.0, Mode.ENFORCE, False),
        (0.05, 0.05, Mode.ENFORCE, False),  # at the instant itself it is in time
        (0.05, 0.051, Mode.ENFORCE, True),  # it lay at the socket for longer than it had
        (0.05, 0.051, Mode.OBSERVE, False),
    ],
)
def test_what_has_no_time_left_is_refused(budget_s: float, now_s: float, mode: Mode, refused: bool) -> None:
    reply = refuse_expired(call(budget_s, mode=mode), now_s)
    assert (reply is not None) == refused
    if reply is not None:
        assert (reply.ending, reply.status) == (Ending.EXPIRED, Status.DEADLINE_EXCEEDED)


@pytest.mark.parametrize(
    ("mode", "now_s", "ending"),
    [
        (Mode.ENFORCE, 0.05, None),
        (Mode.ENFORCE, 0.051, Ending.DEADLINE),
        (Mode.OBSERVE, 0.051, None),
    ],
)
def test_a_call_whose_deadline_was_unknown_until_it_had_passed_ends_as_it_would_have_at_it(
    mode: Mode, now_s: float, ending: Ending | None
) -> None:
    reply = end_if_over(call(0.05, mode=mode), now_s)
    assert (reply and reply.ending) == ending


def test_what_is_malformed_is_refused_in_the_faults_own_words() -> None:
    fault = InvalidRequest("tailgate-label is 'x'")
    reply = refuse_malformed(call(fault=fault), 0.0)
    assert reply is not None
    assert (reply.ending, reply.status, reply.message) == (Ending.INVALID, fault.status, str(fault))
    assert refuse_malformed(call(), 0.0) is None


def test_a_draining_proxy_refuses_with_a_pushback() -> None:
    admit = Admit(1)
    assert admit.refuse_while_draining(call(), 0.0) is None
    admit.draining = True
    reply = admit.refuse_while_draining(call(), 0.0)
    assert reply is not None
    assert (reply.ending, reply.status) == (Ending.DRAINING, Status.UNAVAILABLE)
    assert (b"grpc-retry-pushback-ms", b"100") in reply.trailers


@given(st.integers(1, 5), st.lists(st.booleans() | st.integers(0, 20), max_size=60))
def test_never_more_in_flight_than_allowed_and_every_place_is_given_back_once(
    limit: int, steps: list[bool | int]
) -> None:
    admit = Admit(limit)
    inside: list[Exchange] = []
    ended: list[Exchange] = []
    for step in steps:
        if isinstance(step, bool):
            exchange = call()
            reply = admit.refuse_beyond_room(exchange, 0.0)
            assert (reply is None) == (len(inside) < limit) == exchange.admitted
            if reply is None:
                inside.append(exchange)
            else:
                assert (reply.ending, reply.status) == (Ending.SHED, Status.RESOURCE_EXHAUSTED)
                assert str(limit) in reply.message
                ended.append(exchange)
        elif inside:
            exchange = inside.pop(step % len(inside))
            admit.leave(exchange)
            ended.append(exchange)
        for exchange in ended:
            admit.leave(exchange)  # one that has left, or never had a place, gives none back
    for _ in range(limit - len(inside)):
        assert admit.refuse_beyond_room(call(), 0.0) is None
    assert admit.refuse_beyond_room(call(), 0.0) is not None


# -- limit -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "budget_s", "grpc_budget_s", "limit_s"),
    [
        (Mode.ENFORCE, 0.05, 3.0, 0.05),
        (Mode.DEFAULT_ANSWER, 0.05, None, 0.05),
        (Mode.OBSERVE, 0.05, None, 0.05 + PATIENCE_S),
        (Mode.OBSERVE, 0.05, 3.0, 3.0),  # a gRPC client that is gone takes no answer
        (Mode.OBSERVE, 0.05, 0.05, 0.05),
    ],
)
def test_the_wait_ends_at_the_deadline_or_where_it_is_only_observed_with_the_clients_own(
    mode: Mode, budget_s: float, grpc_budget_s: float | None, limit_s: float
) -> None:
    assert patience(call(budget_s, mode=mode, grpc_budget_s=grpc_budget_s)) == Deadline(0.0, limit_s)


@given(st.text(max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_whether_a_late_call_runs_on_is_the_ids_alone_and_a_larger_share_holds_every_smaller_one(
    request_id: str, a: float, b: float
) -> None:
    exchange = call(request_id=request_id)
    less, more = sorted((a, b))
    assert runs_on(exchange, less) == runs_on(call(9.9, request_id=request_id), less)
    assert runs_on(exchange, more) or not runs_on(exchange, less)
    assert not runs_on(exchange, 0.0)
    assert runs_on(exchange, 1.0)
    assert not any(runs_on(call(request_id=request_id, mode=m), 1.0) for m in (Mode.OBSERVE, Mode.DEFAULT_ANSWER))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_the_share_that_runs_on_is_the_configured_one(share: float) -> None:
    # Numbered ids are what a load generator sends. Beyond five standard errors the hash would not be one.
    count = 20_000
    chosen = sum(runs_on(call(request_id=f"run-3-{number}"), share) for number in range(count))
    assert abs(chosen - count * share) < 5 * (count * share * (1 - share)) ** 0.5


def test_at_the_limit_the_client_is_given_what_its_route_says() -> None:
    for mode, default in itertools.product(Mode, (DEFAULT, None)):
        reply = reply_at_limit(call(mode=mode, default=default, request_id="mine"))
        if mode is Mode.DEFAULT_ANSWER and default is not None:
            assert (reply.ending, reply.status) == (Ending.DEFAULTED, Status.OK)
            answer = pb.ModelInferResponse.FromString(reply.body[5:])
            assert (answer.model_name, answer.id) == ("fallback", "of the message")
        else:
            assert (reply.ending, reply.status, reply.body) == (Ending.DEADLINE, Status.DEADLINE_EXCEEDED, b"")


# -- forward -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mine", "with space", "x" * MAX_ID_LENGTH])
def test_the_upstream_is_told_the_id_and_the_time_that_is_left(name: str) -> None:
    headers = forwarded_headers(call(request_id=name), b"up:1", 0.02)
    assert headers[:4] == (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/inference.GRPCInferenceService/ModelInfer"),
        (b":authority", b"up:1"),
    )
    assert dict(headers)[b"grpc-timeout"] == b"20000000n"
    assert dict(headers)[b"x-request-id"] == name.encode()
    assert (b"x-custom", b"kept") in headers
    assert dict(forwarded_headers(call(), b"up:1", 0.02, tls=True))[b":scheme"] == b"https"


@pytest.mark.parametrize("name", ["café", "a\nb", " a", "a ", "a\x7f", "x" * (MAX_ID_LENGTH + 1)])
def test_an_id_that_a_header_cannot_carry_stays_in_the_message(name: str) -> None:
    assert b"x-request-id" not in dict(forwarded_headers(call(request_id=name), b"up:1", 1.0))


def test_time_that_is_up_is_never_forwarded_as_time_without_end() -> None:
    assert dict(forwarded_headers(call(), b"up:1", -3.0))[b"grpc-timeout"] == b"1n"


def answer(scores: tuple[float, ...], *, cut: int = 0, name: str = "") -> Answer:
    response = pb.ModelInferResponse(model_name="digits", model_version="3", id=name)
    response.outputs.add(name="scores", datatype="FP32", shape=[1, len(scores) + cut]).contents.fp32_contents[:] = (
        scores
    )
    return Answer(frame_message(response.SerializeToString()), ((b"theirs", b"1"),))


def test_an_answer_is_passed_on_as_it_came_with_the_class_it_names() -> None:
    given_answer = answer((0.1, 0.2, 0.7))
    reply = judge(given_answer, "")
    assert (reply.ending, reply.status, reply.version, reply.predicted) == (Ending.ANSWERED, Status.OK, "3", 2)
    assert reply.body is given_answer.body
    assert reply.trailers == ((b"theirs", b"1"),)
    assert judge(given_answer, "another").predicted == UNKNOWN_CLASS


def test_a_large_answer_is_passed_on_unread_but_for_its_version() -> None:
    reply = judge(answer((0.5,) * (MAX_JUDGED_BYTES // 4)), "")
    assert (reply.ending, reply.version, reply.predicted) == (Ending.ANSWERED, "3", UNKNOWN_CLASS)


@pytest.mark.parametrize(
    "body", [b"\xff\xff\xff", b"\xff" * (MAX_JUDGED_BYTES + 1), answer((0.1, 0.9), cut=1).body[5:]]
)
def test_what_is_no_answer_never_reaches_the_client_as_one(body: bytes) -> None:
    reply = judge(Answer(frame_message(body)), "")
    assert (reply.ending, reply.status, reply.body) == (Ending.UPSTREAM_INVALID, Status.INTERNAL, b"")
    assert "the upstream's answer is malformed" in reply.message


@pytest.mark.parametrize("count", [3, MAX_JUDGED_BYTES // 4])
def test_an_answer_to_another_request_is_no_answer_however_large_it_is(count: int) -> None:
    scores = (0.5,) * count
    reply = judge(answer(scores, name="b"), "", request_id="a")
    assert (reply.ending, reply.status, reply.body) == (Ending.UPSTREAM_INVALID, Status.INTERNAL, b"")
    assert "its id is not the request's" in reply.message
    for name, asked in (("a", "a"), ("b", ""), ("", "a")):
        assert judge(answer(scores, name=name), "", request_id=asked).ending is Ending.ANSWERED
    makes_ids_up = answer(scores, name="b")
    makes_ids_up.repeats_id = False
    assert judge(makes_ids_up, "", request_id="a").ending is Ending.ANSWERED


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_a_failure_of_the_upstream_is_passed_on_with_its_words_and_an_ending_that_says_whose_it_is(
    status: Status,
) -> None:
    reply = reply_to_failure(CallFailed(status, "in words", ((b"theirs", b"1"),)))
    expected = {
        Status.UNAVAILABLE: Ending.UNREACHABLE,
        Status.DEADLINE_EXCEEDED: Ending.DEADLINE,
        Status.INVALID_ARGUMENT: Ending.INVALID,
        Status.NOT_FOUND: Ending.INVALID,
        Status.OUT_OF_RANGE: Ending.INVALID,
    }.get(status, Ending.UPSTREAM_ERROR)
    assert (reply.ending, reply.message, reply.trailers) == (expected, "in words", ((b"theirs", b"1"),))
    # A client that is told CANCELLED would think that it had left itself.
    assert reply.status is (Status.UNAVAILABLE if status is Status.CANCELLED else status)
