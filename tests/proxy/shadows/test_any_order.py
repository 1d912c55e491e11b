"""Copies between made-up ends, in any order: every one is dropped or booked, once, and gives back what it held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tailgate.errors import Status
from tailgate.http2.grpc_messages import frame_message
from tailgate.labels import WRONG, Label
from tailgate.ledger import BASE_BUCKETS_S, Ledger
from tailgate.outcome import Mode, Outcome
from tailgate.pb import inference_pb2 as pb
from tailgate.policy.attempts import Result
from tailgate.protocol.envelope import Envelope
from tailgate_proxy.call import Answer, Arrival, CallFailed
from tailgate_proxy.exchange import read_headers
from tailgate_proxy.known_models import KnownModels
from tailgate_proxy.routes import Route, Routes
from tailgate_proxy.shadows.labels import CopyLabels
from tailgate_proxy.shadows.mirror import Mirror
from tailgate_proxy.shadows.shadows import MOST, Shadows

ROUTES = Routes(Route(Mode.ENFORCE, 1.0, shadow="next", shadow_share=1.0, shadow_suffix="-next"), {})


def answer_of(predicted: int) -> Answer:
    response = pb.ModelInferResponse(model_name="m", model_version="1")
    response.outputs.add(name="class", datatype="INT64", shape=[1]).contents.int64_contents.append(predicted)
    return Answer(frame_message(response.SerializeToString()))


class Upstream:
    """What a copy's call is carried by: a `Leg`. An upstream that cancels nothing goes on with what it has whole."""

    def __init__(self, requester: Any, *, cancels: bool = True) -> None:
        self.requester = requester
        self.cancels = cancels
        self.received = b""
        self.whole = False
        self.over = False
        self.left_to_finish = False

    def send(self, stream_id: int, data: bytes | memoryview, *, end: bool) -> int:
        assert stream_id == 3
        assert not self.whole
        self.received += data
        self.whole = end
        return len(data)

    def cancel(self, stream_id: int) -> None:
        assert stream_id == 3
        assert not self.over
        if self.cancels or not self.whole:
            self.over = True
        else:
            self.left_to_finish = True
            self.requester.goes_on()


class Copies(RuleBasedStateMachine):
    """Originals and their copies."""

    copies: Bundle[dict[str, Any]] = Bundle("copies")
    calls: Bundle[Upstream] = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.crowded = False
        self.dies = False
        self.later: list[Callable[[], None]] = []
        self.begun: list[Upstream] = []
        self.connected: list[Upstream] = []
        self.watched: list[Any] = []
        self.wanted = 0
        self.compared = 0
        self.mirrors: list[Mirror] = []
        ledger = Ledger(BASE_BUCKETS_S)
        self.labels = CopyLabels(ledger.judge, wait_s=2.0, most=3, now_s=lambda: self.now_s)
        self.shadows = Shadows(
            ledger,
            KnownModels(["m"]),
            self.labels,
            begin=self.begin,
            watch=self.watched.append,
            soon=self.later.append,
            clock=lambda: self.now_s,
            crowded=lambda: self.crowded,
        )

    def begin(self, requester: Any) -> None:
        if self.dies:
            raise RuntimeError("a fault of the proxy's own")
        self.begun.append(Upstream(requester))

    @rule(
        target=copies,
        size=st.sampled_from([10, 10, 10, 9 << 20]),
        crowded=st.sampled_from([False, False, True]),
        labelled=st.booleans(),
    )
    def offer(self, size: int, crowded: bool, labelled: bool) -> dict[str, Any]:
        self.crowded = crowded
        self.wanted += 1
        headers = ((b"x-request-id", b"%d" % (self.wanted // 2)), *(((b"tailgate-label", b"1"),) if labelled else ()))
        exchange = read_headers(Arrival(headers, dict(headers), self.now_s, 1.7e9), ROUTES, str)
        exchange.envelope = Envelope("m", "", "")
        mirror = self.shadows.offer(exchange, size)
        if mirror is not None:
            self.mirrors.append(mirror)
        return {"mirror": mirror, "fed": b"", "over": mirror is None, "done": False}

    @rule(copy=copies, piece=st.binary(min_size=1, max_size=5), end=st.booleans())
    def add(self, copy: dict[str, Any], piece: bytes, end: bool) -> None:
        if not copy["over"] and not copy["done"]:
            mirror: Mirror = copy["mirror"]
            if mirror.add(memoryview(piece), end=end):
                copy["fed"] += piece
                copy["done"] = end
            else:
                copy["over"] = True

    @rule(copy=copies, left_s=st.floats(-0.1, 1.0))
    def original_begun(self, copy: dict[str, Any], left_s: float) -> None:
        if not copy["over"]:
            copy["mirror"].original_begun(left_s)

    @rule(copy=consumes(copies), predicted=st.sampled_from([-1, 1, 2]))
    def original_ended(self, copy: dict[str, Any], predicted: int) -> None:
        if not copy["over"]:
            copy["mirror"].original_ended(predicted)

    @rule(dies=st.sampled_from([False, False, False, True]))
    def have_their_turn(self, dies: bool) -> None:
        self.dies = dies
        later, self.later = self.later, []
        for what in later:
            what()

    @rule(target=calls, cancels=st.booleans())
    def connect(self, cancels: bool) -> Any:
        if not self.begun:
            return Upstream(None)
        upstream = self.begun.pop(0)
        upstream.cancels = cancels
        if not upstream.requester.wanted:
            return Upstream(None)
        upstream.requester.headers(b"next:1", tls=False)
        upstream.requester.begun(upstream, 3)
        assert upstream.whole
        self.connected.append(upstream)
        return upstream

    @rule(call=consumes(calls), how=st.sampled_from(["1", "2", "garbage", "fails"]))
    def ends(self, call: Upstream, how: str) -> None:
        if call.requester is None or call.over:
            return
        call.over = True
        if call.left_to_finish:
            call.requester.done(Result.LOST if how == "fails" else Result.ANSWERED)
        elif how == "fails":
            call.requester.failed(CallFailed(Status.UNAVAILABLE, "away"))
        else:
            call.requester.answered(Answer(b"\0\0\0\0\1\xff") if how == "garbage" else answer_of(int(how)))

    @rule(back=st.integers(0, 3), truth=st.sampled_from([1, 2, WRONG]))
    def label_counts(self, back: int, truth: int) -> None:
        self.labels.given(Label(str(self.wanted // 2 - back), truth))

    @rule(seconds=st.floats(0.0, 0.6), stopping=st.booleans())
    def time_passes(self, seconds: float, stopping: bool) -> None:
        self.now_s += seconds
        self.labels.advance()
        for mirror in self.watched:
            if not mirror.ended and mirror.limit.passed(self.now_s):
                mirror.time_up()
            elif not mirror.ended and stopping and seconds > 0.5:
                mirror.stop()

    @invariant()
    def every_copy_is_dropped_booked_or_under_way(self) -> None:
        shadows = self.shadows
        counts = shadows.counts()
        assert sum(counts.dropped.values()) + counts.ledger.ended <= self.wanted
        assert counts.ledger.in_flight == sum(not mirror.ended for mirror in self.watched)
        assert 0 <= shadows._at_once <= MOST
        going_on = sum(one.left_to_finish and not one.over for one in self.connected)
        assert shadows._at_once - going_on + sum(counts.dropped.values()) + counts.ledger.ended == self.wanted
        assert shadows.held_bytes >= 0
        assert shadows._at_once or not shadows.held_bytes
        late = counts.ledger.outcomes()[Outcome.OK_LATE]
        assert late == 0  # what nobody gets cannot be passed on
        assert sum(counts.agreements.values()) <= counts.ledger.ended

    @invariant()
    def every_copy_that_ended_is_labelled_given_up_or_waits_for_a_label(self) -> None:
        counts, waiting = self.shadows.counts(), self.labels.join._waiting
        assert self.labels.under_way.total() == sum(not mirror.ended for mirror in self.mirrors)
        assert all(count > 0 for count in self.labels.under_way.values())
        assert len(waiting) <= 3
        wait = sum(len(entry.observations) for entry in waiting.values())
        assert counts.ledger.ended == counts.ledger.labelled + sum(counts.unlabelled.values()) + wait

    def teardown(self) -> None:
        for mirror in list(self.watched):
            mirror.stop()
        self.every_copy_is_dropped_booked_or_under_way()
        assert self.shadows.ledger.in_flight == 0


TestCopies = Copies.TestCase
TestCopies.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("late", [False, True])
def test_a_copy_that_ended_before_it_was_sent_was_too_slow_only_if_its_time_was_up_then(late: bool) -> None:
    copies = Copies()
    exchange = read_headers(Arrival((), {}, 0.0, 1.7e9), ROUTES, str)
    exchange.envelope = Envelope("m", "", "")
    mirror = copies.shadows.offer(exchange, 4)
    assert mirror is not None
    mirror.original_begun(1.0)
    mirror.add(memoryview(b"body"), end=True)
    (start,) = copies.later
    start()
    copies.now_s = 1.001 if late else 0.5
    if late:
        mirror.time_up()
    else:
        mirror.stop()
    copies.now_s = 2.0  # it waited for a connection until it was looked at
    assert (mirror.wanted, mirror.overdue) == (False, late)
