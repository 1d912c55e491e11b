"""A proxy's pipeline between made-up ends: a client, an upstream and a clock that are driven by numbers.

Everything between them is the real thing. What has to hold at any moment, and at the end, is said here.
"""

from __future__ import annotations

import gzip

import pytest

from tailgate.config import read_config
from tailgate.deadline import Deadline, parse_grpc_timeout
from tailgate.errors import Status
from tailgate.http2.events import Field
from tailgate.http2.grpc_messages import frame_message
from tailgate.ledger import BASE_BUCKETS_S, Ledger
from tailgate.observation import Observation, Verdict
from tailgate.outcome import Mode, Outcome
from tailgate.pb import inference_pb2 as pb
from tailgate.policy.attempts import Result
from tailgate.protocol.envelope import RequestFrame
from tailgate_proxy.call import MOST_TRIES, Answer, Arrival, CallFailed, Reply, Requester, Second
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.default_answer import DefaultAnswer
from tailgate_proxy.exchange import read_headers
from tailgate_proxy.held import Held
from tailgate_proxy.known_models import KnownModels
from tailgate_proxy.passage import REPLAYABLE_BYTES, Passage
from tailgate_proxy.pipeline import Watched, build_pipeline
from tailgate_proxy.routes import Route, Routes
from tailgate_proxy.steps.admit import Admit
from tailgate_proxy.steps.enter import Entrances
from tailgate_proxy.steps.limit import patience
from tailgate_proxy.steps.observe import Observe

LABEL = 3
DEFAULT = DefaultAnswer(pb.ModelInferResponse(model_name="fallback").SerializeToString())
ROUTES = Routes(
    Route(Mode.ENFORCE, 0.05),
    {
        "tight": Route(Mode.ENFORCE, 0.01),
        "watched": Route(Mode.OBSERVE, 0.05),
        "soft": Route(Mode.DEFAULT_ANSWER, 0.05, "", DEFAULT),
        "patient": Route(Mode.ENFORCE, 0.2),
    },
)


def answer_of(predicted: int) -> Answer:
    response = pb.ModelInferResponse(model_name="m", model_version="1")
    response.outputs.add(name="class", datatype="INT64", shape=[1]).contents.int64_contents.append(predicted)
    return Answer(frame_message(response.SerializeToString()), ((b"theirs", b"1"),))


def body_of(kind: str, model: str, number: int) -> tuple[bytes, bytes | None]:
    """What a client sends, and what the upstream is to get of it; None where it is not to get it whole."""
    size = {"large": 2 * REPLAYABLE_BYTES, "too long": 1 << 20}.get(kind, 50)
    message = RequestFrame(model, "x", "UINT8", (1,)).build(str(number), (bytes(range(251)) * (size // 251 + 1))[:size])
    if kind == "without a model":
        message = pb.ModelInferRequest(id=str(number), raw_input_contents=[bytes(40)]).SerializeToString()
    plain = frame_message(message)
    malformed = {
        "empty": b"",
        "cut": plain[:-1],
        "two messages": plain * 2,
        "no message": b"\7" + plain[1:],
        "too long": plain,
    }
    if kind in malformed:
        return malformed[kind], None
    sent = frame_message(gzip.compress(message, mtime=0), compressed=True) if kind == "gzip" else plain
    return sent, plain


class Attempt:
    """One call to the made-up upstream, which reads as much as it is told to: a `Leg`.

    Where the upstream cancels nothing, it goes on with what it has whole.
    """

    def __init__(self, caller: Requester, room: int, *, cancels: bool, hedges: bool = False) -> None:
        self.caller = caller
        self.hedges = hedges  # whether it is asked for a second call once it has all
        self.second: Second | None = None
        self.room = room
        self.cancels = cancels
        self.received = bytearray()
        self.kept = bytearray()
        self.ended = False  # the whole body is there
        self.over = False
        self.left_to_finish = False  # nobody waits for it any more, and the upstream goes on with it
        self.broken = False
        self._end_kept = False

    def send(self, stream_id: int, data: bytes | memoryview, *, end: bool) -> int:
        if self.broken:
            raise RuntimeError("a fault of the proxy's own")
        assert stream_id == id(self)
        assert not self.over
        assert not self._end_kept
        self._end_kept = end
        sent = 0 if self.kept else min(self.room, len(data))
        self.room -= sent
        self.received += data[:sent]
        self.kept += data[sent:]
        self._see_end()
        if end and self.hedges:
            self.second = self.caller.second()
        return sent

    def cancel(self, stream_id: int) -> None:
        assert stream_id == id(self)
        assert not self.over
        assert not self.left_to_finish
        if self.cancels or not self.ended:
            self.over = True
        else:
            self.left_to_finish = True
            self.caller.goes_on()

    def read(self, count: int) -> None:
        """The upstream makes room for so many bytes more."""
        sent = min(len(self.kept), count)
        self.room += count - sent
        self.received += self.kept[:sent]
        del self.kept[:sent]
        self._see_end()
        if sent:
            self.caller.left(sent)

    def _see_end(self) -> None:
        self.ended = self._end_kept and not self.kept


class Call:
    """One call of the made-up clients, and all that came of it: a `Client` of its own."""

    def __init__(self, world: World, body: bytes, forwarded: bytes | None) -> None:
        self.world = world
        self.body = body
        self.forwarded = forwarded  # what the upstream is to get; None: this body is not to get there whole
        self.fed = 0
        self.body_ended = False
        self.taken_bytes = 0
        self.left = False
        self.replies: list[tuple[Reply, float]] = []
        self.attempts: list[Attempt] = []
        self.seconds: list[Second] = []  # that were made
        self.hedges: list[Attempt] = []  # those of them that have a place
        self.answers: list[int] = []
        self.passage: Passage

    def taken(self, stream_id: int, count: int) -> None:
        assert stream_id == 1
        assert count >= 0
        assert not self.replies
        assert not self.left
        self.taken_bytes += count
        assert self.taken_bytes <= self.fed

    def answer(self, stream_id: int, reply: Reply) -> None:
        assert stream_id == 1
        assert not self.left
        self.replies.append((reply, self.world.now_s))

    @property
    def connected(self) -> bool:
        """Whether its client is there and has had no reply: only then anything comes from it."""
        return not self.left and not self.replies

    @property
    def attempt(self) -> Attempt | None:
        """What it waits for at the upstream."""
        latest = self.attempts[-1] if self.attempts else None
        return None if latest is None or latest.over or latest.left_to_finish else latest

    @property
    def hedge(self) -> Attempt | None:
        """Its second call, while that is under way."""
        return None if not self.hedges or self.hedges[-1].over else self.hedges[-1]

    @property
    def at_upstream(self) -> bool:
        """Whether the upstream is at work on it, also where nobody waits for that any more."""
        return bool(self.attempts) and not self.attempts[-1].over

    @property
    def held_bytes(self) -> int:
        """How many bytes of it should count as held."""
        if self.passage.ended:
            return 0
        if self.attempt is not None and not self.passage.replayable:
            return len(self.attempt.kept)
        opened = self.forwarded is not None and self.forwarded != self.body and self.fed == len(self.body)
        return len(self.forwarded or b"") if opened else self.fed

    def feed(self, count: int, *, end: bool) -> None:
        """The client sends so many bytes more, into a buffer that is used again at once."""
        piece = self.body[self.fed : self.fed + count]
        self.fed += len(piece)
        self.body_ended = end = end and self.fed == len(self.body)
        buffer = memoryview(bytearray(piece))
        self.passage.body(buffer, end=end)
        buffer[:] = bytes(len(piece))

    def leave(self) -> None:
        self.left = True
        self.passage.client_left()


class World:
    """A proxy's pipeline between made-up ends."""

    def __init__(
        self,
        *,
        late_share: float = 0.0,
        max_in_flight: int = 20,
        max_held_bytes: int = 1 << 30,
        upstream_limit: int | None = None,
        cancels: bool = True,
        hedges: bool = False,
    ) -> None:
        config = read_config(
            ProxyConfig,
            None,
            {
                "upstream": "127.0.0.1:1",
                "deadline": "50ms",
                "late_share": late_share,
                "late_patience": "100ms",
                "max_in_flight": max_in_flight,
                "max_message_mib": 1,
            },
        )
        self.now_s = 10.0
        self.max_in_flight = max_in_flight
        self.upstream: list[str] = []  # what it does with the next calls; then it takes each at once
        self.room = 1 << 30
        self.queue: list[Requester] = []
        self.calls: list[Call] = []
        self.watched: dict[int, tuple[Watched, Deadline]] = {}
        self.seen: list[Observation] = []
        self.ledger = Ledger(BASE_BUCKETS_S)
        self.held = Held(max_held_bytes)
        self.admit = Admit(max_in_flight)
        self.upstream_limit = upstream_limit
        self.cancels = cancels  # the upstream, what nobody waits for any more
        self.hedges = hedges and cancels
        self.entrances = Entrances(
            "off" if upstream_limit is None else "fixed",
            longest_s=ROUTES.longest_deadline_s,
            upstream_limit=upstream_limit,
            clock=lambda: self.now_s,
            seed=1,
        )
        self.pipeline = build_pipeline(
            config,
            ROUTES,
            clock=lambda: self.now_s,
            observe=Observe(self.ledger, KnownModels([]), [self.ledger.book, self.seen.append]),
            admit=self.admit,
            begin=self.begin,
            watch=self.watch,
            held=self.held,
            entrances=self.entrances,
        )

    def start(self, kind: str = "plain", model: str = "other", *fields: Field, named: bool = True) -> Call:
        """A call arrives, with none of its body yet; it is named by its message, too."""
        number = len(self.calls)
        body, forwarded = body_of(kind, model, number)
        call = Call(self, body, forwarded)
        encoding = ((b"grpc-encoding", b"gzip"),) if kind == "gzip" else ()
        name = ((b"x-request-id", b"%d" % number),) if named else ()
        headers = (*fields, *encoding, *name, (b"tailgate-label", b"%d" % LABEL))
        exchange = read_headers(Arrival(headers, dict(headers), self.now_s, 1.7e9), ROUTES, lambda: "made")
        call.passage = Passage(exchange, self.pipeline, call, 1)
        self.calls.append(call)
        call.passage.arrive()
        return call

    def send(self, kind: str = "plain", model: str = "other", *fields: Field) -> Call:
        """A call with its whole body."""
        call = self.start(kind, model, *fields)
        call.feed(len(call.body), end=True)
        return call

    def begin(self, caller: Requester) -> None:
        does = self.upstream.pop(0) if self.upstream else "take"
        if does == "fail":
            caller.failed(CallFailed(Status.UNAVAILABLE, "away"))
        elif does == "refuse":
            caller.failed(CallFailed(Status.UNAVAILABLE, "refused", retryable=True))
        else:
            self.queue.append(caller)
            if does == "take":
                self.place()

    def place(self) -> None:
        """The upstream has a place for the next that waits."""
        caller = self.queue.pop(0)
        if not caller.wanted:
            return
        call = next(call for call in self.calls if call.passage is caller)
        timeout_s = parse_grpc_timeout(dict(caller.headers(b"up:1", tls=False))[b"grpc-timeout"].decode())
        assert timeout_s <= max(self.latest(call) - self.now_s, 0.0) + 1e-9
        attempt = Attempt(caller, self.room, cancels=self.cancels, hedges=self.hedges)
        call.attempts.append(attempt)
        caller.begun(attempt, id(attempt))

    def hedge(self, call: Call, *, place: bool = True) -> bool:
        """Its call takes long: make a second one, if there is room to spare; another member may have a place for it
        only later.
        """
        second = call.attempt.second if call.attempt is not None else None
        if second is None or call.seconds or not second.prospect().spare:
            return False
        call.seconds.append(second)
        second.take_place()
        assert second.wanted
        if place:
            self.place_hedge(call)
        return True

    def place_hedge(self, call: Call) -> None:
        """Another member has a place for its second call."""
        (second,) = call.seconds
        if not second.wanted or call.hedges:
            return
        second.headers(b"up:2", tls=False)
        attempt = Attempt(second, self.room, cancels=True)
        call.hedges.append(attempt)
        second.begun(attempt, id(attempt))

    def latest(self, call: Call) -> float:
        """Until when anything may go on for a call."""
        exchange = call.passage.exchange
        longest_s = self.pipeline.late_patience_s
        return max(call.passage.limit.at_s, patience(exchange).at_s, exchange.deadline.at_s + longest_s)

    def watch(self, watched: Watched) -> None:
        self.watched[id(watched)] = watched, watched.limit

    def answer(self, call: Call, predicted: int = LABEL) -> None:
        """The upstream answers with a class."""
        call.answers.append(predicted)
        self._end(call).answered(answer_of(predicted))

    def answer_garbage(self, call: Call) -> None:
        """It answers, and it is no answer."""
        self._end(call).answered(Answer(frame_message(b"\xff\xff\xff")))

    def answer_hedge(self, call: Call, predicted: int = LABEL) -> None:
        """The other member answers its second call."""
        call.answers.append(predicted)
        self._end_hedge(call).answered(answer_of(predicted))

    def answer_hedge_with_garbage(self, call: Call) -> None:
        """It answers, and it is no answer."""
        self._end_hedge(call).answered(Answer(frame_message(b"\xff\xff\xff")))

    def fail_hedge(self, call: Call, status: Status = Status.INTERNAL, result: Result = Result.ERROR) -> None:
        """It does not answer it."""
        self._end_hedge(call).failed(CallFailed(status, "failed there", result=result))

    def fail(self, call: Call, status: Status, *, retryable: bool = False, result: Result | None = None) -> None:
        """It does not answer."""
        self._end(call).failed(CallFailed(status, "failed", ((b"theirs", b"1"),), retryable=retryable, result=result))

    def have_done(self, call: Call, result: Result = Result.ANSWERED) -> None:
        """It has done with a call that it had gone on with."""
        (attempt,) = (one for one in call.attempts if one.left_to_finish and not one.over)
        attempt.over = True
        call.passage.done(result)

    def pass_time(self, seconds: float, *, timers: bool = True) -> None:
        """Time passes, and timers have their turn."""
        self.now_s += seconds
        for watched, limit in list(self.watched.values()) if timers else ():
            if not watched.ended and limit.passed(self.now_s):
                watched.time_up()

    @property
    def due(self) -> int:
        """How many were counted as due."""
        return sum(books.due for books in self.ledger.series.values())

    @property
    def outcomes(self) -> list[Outcome]:
        """What was booked, in order."""
        return [seen.outcome for seen in self.seen]

    def _end(self, call: Call) -> Passage:
        assert call.attempt is not None
        call.attempt.over = True
        return call.passage

    def _end_hedge(self, call: Call) -> Requester:
        assert call.hedge is not None
        call.hedge.over = True
        return call.hedges[-1].caller

    def check(self) -> None:
        """What holds at any moment."""
        assert Outcome.INTERNAL not in {seen.outcome for seen in self.seen}  # the log says what it was
        assert self.ledger.ended == len(self.seen) == len({seen.request_id for seen in self.seen})
        assert self.ledger.in_flight == sum(not call.passage.ended for call in self.calls)
        assert self.ledger.ended <= self.due <= self.ledger.received
        assert self.held.bytes == sum(call.held_bytes for call in self.calls) <= self.held.max_bytes
        if self.upstream_limit is not None:
            for counts in self.entrances.counts().values():
                observed = sum(call.passage.exchange.route.mode is Mode.OBSERVE for call in self.calls)
                assert 0 <= counts.in_flight <= self.upstream_limit + observed
                waiting_there = sum(caller.wanted for caller in self.queue)
                hedges = sum(second.wanted for call in self.calls for second in call.seconds)
                at_upstream = sum(call.at_upstream for call in self.calls) + hedges
                assert counts.in_flight == waiting_there + at_upstream
        for call in self.calls:
            passage = call.passage
            assert len(call.replies) <= 1
            if not passage.ended:
                assert self.watched[id(passage)] == (passage, passage.limit)
                if call.connected and call.attempt is not None and not call.attempt.kept:
                    assert call.taken_bytes == call.fed
                    assert call.attempt.ended == call.body_ended
            else:
                assert call.left or call.replies
                assert call.attempt is None
                assert call.hedge is None
                assert not any(second.wanted for second in call.seconds)
            assert len(call.seconds) <= 1
            for attempt in (*call.attempts, *call.hedges):
                expected = call.body if call.forwarded is None else call.forwarded
                assert bytes(attempt.received) == expected[: len(attempt.received)]
                assert not attempt.ended or bytes(attempt.received) == call.forwarded
            assert len(call.attempts) <= MOST_TRIES

    def check_end(self) -> None:
        """What holds once nothing is under way."""
        self.check()
        assert self.held.bytes == 0
        assert self.due == self.ledger.ended
        assert all((counts.in_flight, counts.waiting) == (0, 0) for counts in self.entrances.counts().values())
        assert self.ledger.received == self.ledger.ended == len(self.calls)
        assert sum(self.ledger.outcomes().values()) == len(self.calls)
        by_id = {seen.request_id: seen for seen in self.seen}
        for number, call in enumerate(self.calls):
            check_booked(call, by_id[str(number)])
        self.admit.draining = False
        spare = read_headers(Arrival((), {}, 0.0, 0.0), ROUTES, str)
        places = [self.admit.refuse_beyond_room(spare, 0.0) for _ in range(self.max_in_flight + 1)]
        assert [reply is None for reply in places] == [True] * self.max_in_flight + [False]


def check_booked(call: Call, seen: Observation) -> None:
    """What the books say of a call is what its client was given."""
    exchange = call.passage.exchange
    replied = call.replies[0] if call.replies else None
    if seen.outcome in (Outcome.OK, Outcome.OK_LATE, Outcome.DEFAULT_ANSWERED):
        assert replied is not None
    if seen.outcome is Outcome.OK_LATE_DISCARDED:
        assert seen.predicted == call.answers[-1]
        assert seen.verdict is (Verdict.RIGHT if seen.predicted == LABEL else Verdict.WRONG)
    if replied is None:
        return
    reply, at_s = replied
    late = exchange.deadline.passed(at_s)
    told = dict(reply.trailers).get(b"tailgate-outcome", b"ok").decode()
    assert seen.status is reply.status
    assert (reply.status is Status.OK) == bool(reply.body)
    if reply.status is Status.OK:
        assert told == seen.outcome.label
        if seen.outcome is Outcome.DEFAULT_ANSWERED:
            assert pb.ModelInferResponse.FromString(reply.body[5:]).id == exchange.envelope.id
        else:
            assert reply.body == answer_of(call.answers[-1]).body
            assert late == (seen.outcome is Outcome.OK_LATE)
            assert not (late and exchange.route.mode is Mode.ENFORCE)
    elif seen.outcome is Outcome.OK_LATE_DISCARDED:
        assert told in ("ok_late_discarded", "deadline_in_flight")
    else:
        assert told == seen.outcome.label


@pytest.fixture(scope="session")
def new_world() -> type[World]:
    """Makes a world, with options of its own."""
    return World
