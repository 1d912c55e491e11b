"""One call to one member, driven by numbers: whatever happens in whichever order, it is settled once."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tailgate.errors import Status
from tailgate.http2.events import Headers
from tailgate.policy.attempts import Result, result_of
from tailgate_proxy.call import Answer, CallFailed, Leg
from tailgate_proxy.profiles import PROFILES, Profile
from tailgate_proxy.upstreams.attempt import Attempt
from tailgate_proxy.upstreams.member import Member

STREAM = 1


@dataclass
class Asking:
    """Who wants an answer: a `Requester` that notes what it is told."""

    pool: str = "default"
    tried: tuple[str, ...] = ()
    repeatable: bool = False
    overdue: bool = False
    overtaken: bool = False
    wanted: bool = True
    leg: Leg | None = None
    left_bytes: int = 0
    answers: list[Answer] = field(default_factory=list)
    failures: list[CallFailed] = field(default_factory=list)
    malformed: bool = False
    going_on: int = 0
    done_with: list[Result] = field(default_factory=list)

    def headers(self, authority: bytes, *, tls: bool) -> Headers:
        return ((b":scheme", b"https" if tls else b"http"), (b":authority", authority), (b"grpc-timeout", b"1S"))

    def begun(self, leg: Leg, stream_id: int) -> None:
        assert stream_id == STREAM
        self.leg = leg

    def left(self, count: int) -> None:
        self.left_bytes += count

    def answered(self, answer: Answer) -> None:
        answer.malformed = self.malformed
        self.answers.append(answer)

    def failed(self, failure: CallFailed) -> None:
        self.failures.append(failure)

    def second(self) -> None:
        """Nothing is hedged here."""

    def goes_on(self) -> None:
        self.going_on += 1

    def done(self, result: Result) -> None:
        self.done_with.append(result)


@dataclass
class Wire:
    """The connection: takes so many bytes, and notes whether the call was cancelled."""

    room: int = 0
    kept: int = 0
    ended: bool = False
    cancelled: bool = False

    def send(self, stream_id: int, data: bytes | memoryview, *, end: bool) -> int:
        assert stream_id == STREAM
        assert not self.ended
        assert not self.cancelled
        self.ended = end
        sent = min(self.room, len(data)) if not self.kept else 0
        self.room -= sent
        self.kept += len(data) - sent
        return sent

    def cancel(self, stream_id: int) -> None:
        assert stream_id == STREAM
        assert not self.cancelled
        self.cancelled = True


@dataclass
class Notes:
    """The book."""

    begun: list[Attempt] = field(default_factory=list)
    gone: list[Attempt] = field(default_factory=list)
    heard_late: list[Attempt] = field(default_factory=list)
    freed_by: list[Attempt] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    asked: list[tuple[Attempt, CallFailed, Result]] = field(default_factory=list)

    def began(self, attempt: Attempt) -> None:
        self.begun.append(attempt)

    def sent(self, attempt: Attempt) -> None:
        raise AssertionError(f"nothing is hedged here, and {attempt} would be")

    def left(self, attempt: Attempt) -> None:
        self.gone.append(attempt)

    def heard(self, attempt: Attempt) -> None:
        assert attempt.gone is not None
        self.heard_late.append(attempt)

    def freed(self, attempt: Attempt) -> None:
        self.freed_by.append(attempt)

    def settled(self, attempt: Attempt, result: Result) -> None:
        assert attempt.over
        assert attempt in self.freed_by
        self.results.append(result)

    def may_repeat(self, attempt: Attempt, failure: CallFailed, result: Result) -> bool:
        self.asked.append((attempt, failure, result))
        return False


class AnyOrder(RuleBasedStateMachine):
    """A connection, a server and a client that do as they please, as far as the protocols let them."""

    profile: Profile = PROFILES["generic"]

    def __init__(self) -> None:
        super().__init__()
        self.asking, self.wire, self.notes = Asking(), Wire(), Notes()
        self.attempt = Attempt(self.asking, Member.__new__(Member), 0.0, self.profile, self.notes)
        self.attempt.member.name = "here"
        self.begun = self.ended = self.answered = self.gone = self.body_ended = False
        self.expected: list[Result] = []  # how the server ends what it goes on with

    @property
    def on_wire(self) -> bool:
        return self.begun and not self.ended and not self.wire.cancelled

    @precondition(lambda self: not self.begun and not self.gone and not self.ended)
    @rule(room=st.integers(0, 20))
    def begin(self, room: int) -> None:
        self.begun, self.wire.room = True, room
        self.attempt.begun(self.wire, STREAM)

    @precondition(lambda self: self.on_wire and not self.gone and not self.body_ended)
    @rule(size=st.integers(0, 10), end=st.booleans())
    def send(self, size: int, end: bool) -> None:
        assert self.asking.leg is self.attempt
        self.body_ended = end
        self.attempt.send(STREAM, bytes(size), end=end)

    @precondition(lambda self: self.on_wire and self.wire.kept)
    @rule(data=st.data())
    def make_room(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, self.wire.kept))
        self.wire.kept -= count
        self.attempt.left(count)

    @precondition(lambda self: self.on_wire)
    @rule(malformed=st.booleans())
    def answer(self, malformed: bool) -> None:
        self.asking.malformed = malformed
        self.ended = self.answered = True
        self.expect(Result.ANSWERED)
        self.attempt.answered(Answer(b""))

    @precondition(lambda self: not self.ended and not self.wire.cancelled and not (self.gone and not self.begun))
    @rule(
        status=st.sampled_from(
            [Status.INTERNAL, Status.UNAVAILABLE, Status.RESOURCE_EXHAUSTED, Status.INVALID_ARGUMENT]
        )
    )
    def fail(self, status: Status) -> None:
        self.ended = True
        self.expect(result_of(status, self.profile.shed))
        self.attempt.failed(CallFailed(status, "no"))

    @precondition(lambda self: self.on_wire and not self.gone)
    @rule(overdue=st.booleans(), overtaken=st.booleans())
    def cancel(self, overdue: bool, overtaken: bool) -> None:
        self.gone, self.asking.overdue, self.asking.overtaken = True, overdue, overtaken
        self.asking.wanted = False
        self.attempt.cancel(STREAM)

    @precondition(lambda self: not self.begun and not self.gone and not self.ended)
    @rule(overdue=st.booleans(), overtaken=st.booleans())
    def go_before_there_is_a_connection(self, overdue: bool, overtaken: bool) -> None:
        self.gone, self.asking.overdue, self.asking.overtaken = True, overdue, overtaken
        self.asking.wanted = False
        assert not self.attempt.wanted
        self.attempt.give_up()

    @precondition(lambda self: self.gone or self.ended)
    @rule()
    def run_out_of_patience(self) -> None:
        if self.on_wire:
            self.expect(Result.DEADLINE)
        self.attempt.give_up()

    def expect(self, result: Result) -> None:
        if self.notes.gone and not self.expected:
            self.expected.append(result)

    @invariant()
    def it_is_settled_once_when_it_is_over_at_the_server(self) -> None:
        over = self.ended or self.wire.cancelled or (self.gone and not self.begun)
        assert len(self.notes.results) == len(self.notes.freed_by) == over == self.attempt.over

    @invariant()
    def who_has_gone_is_told_nothing_and_who_waits_is_told_once(self) -> None:
        told = len(self.asking.answers) + len(self.asking.failures)
        assert told == (self.ended and not self.gone) == bool(told)
        assert [failure for _, failure, _ in self.notes.asked] == self.asking.failures
        assert len(self.notes.begun) == self.begun
        assert all(failure.by == "here" for failure in self.asking.failures)

    @invariant()
    def who_has_gone_from_a_server_that_goes_on_is_told_that_and_once_when_it_has_done(self) -> None:
        assert self.asking.going_on == len(self.notes.gone)
        assert len(self.asking.done_with) == (self.attempt.over and bool(self.notes.gone))
        assert self.asking.done_with == self.expected

    @invariant()
    def an_answer_that_nobody_waits_for_is_noticed_once(self) -> None:
        assert len(self.notes.heard_late) == (self.answered and self.gone)
        assert not (self.notes.heard_late and self.profile.cancels)

    @invariant()
    def a_server_that_must_not_be_cancelled_is_so_only_before_it_has_the_whole_call(self) -> None:
        if not self.profile.cancels and self.notes.gone:
            assert self.body_ended
            assert not self.wire.kept

    @invariant()
    def the_result_says_how_it_ended_for_who_asked(self) -> None:
        if self.notes.results and self.gone:
            in_time = Result.DEADLINE if self.asking.overdue else Result.CANCELLED
            assert self.notes.results == [Result.OVERTAKEN if self.asking.overtaken else in_time]
        elif self.notes.results and self.asking.answers:
            assert (self.notes.results[0] is Result.INVALID) == self.asking.malformed


class AnyOrderSpared(AnyOrder):
    """The same, of a server that is not to be cancelled."""

    profile = PROFILES["mlserver"]


TestAnyOrder = AnyOrder.TestCase
TestAnyOrderSpared = AnyOrderSpared.TestCase


@pytest.mark.parametrize(("name", "told"), [("generic", True), ("mlserver", False)])
def test_a_server_that_would_cancel_by_it_is_not_told_how_long_a_call_has(name: str, told: bool) -> None:
    profile = {"generic": PROFILES["generic"], "mlserver": PROFILES["mlserver"]}[name]
    attempt = Attempt(Asking(), Member.__new__(Member), 0.0, profile, Notes())
    assert (b"grpc-timeout" in dict(attempt.headers(b"up", tls=False))) == told


@pytest.mark.parametrize(
    ("name", "overdue", "status", "result"),
    [
        ("generic", True, Status.DEADLINE_EXCEEDED, Result.DEADLINE),
        ("generic", False, Status.CANCELLED, Result.ERROR),
        ("mlserver", True, Status.CANCELLED, Result.ERROR),  # it was not told
    ],
)
def test_a_server_that_resets_a_call_when_the_time_it_was_told_is_over_keeps_the_deadline(
    name: str, overdue: bool, status: Status, result: Result
) -> None:
    profiles = {"generic": PROFILES["generic"], "mlserver": PROFILES["mlserver"]}
    asking, wire, notes = Asking(overdue=overdue), Wire(room=10), Notes()
    attempt = Attempt(asking, Member.__new__(Member), 0.0, profiles[name], notes)
    attempt.member.name = "here"
    attempt.begun(wire, STREAM)
    attempt.failed(CallFailed(Status.CANCELLED, "the upstream reset the stream with code 8"))
    assert [(failure.status, failure.result) for failure in asking.failures] == [(status, result)]
    assert notes.results == [result]


def test_half_a_call_is_cancelled_everywhere_since_no_batch_has_it() -> None:
    asking, wire, notes = Asking(), Wire(room=5), Notes()
    attempt = Attempt(asking, Member.__new__(Member), 0.0, PROFILES["mlserver"], notes)
    attempt.begun(wire, STREAM)
    attempt.send(STREAM, bytes(10), end=True)  # half of it waits for room
    attempt.cancel(STREAM)
    assert wire.cancelled
    assert notes.results == [Result.CANCELLED]


@pytest.mark.parametrize("raises", [False, True])
def test_an_answered_call_is_booked_once_also_where_its_requester_fails_or_looks_for_another_member_at_once(
    raises: bool,
) -> None:
    notes = Notes()

    class Busy(Asking):
        def answered(self, answer: Answer) -> None:
            assert (len(notes.freed_by), notes.results) == (1, [])  # whoever chooses a member now finds it free
            attempt.cancel(STREAM)
            attempt.give_up()
            if raises:
                raise RuntimeError("a fault of the proxy's own")
            super().answered(answer)

    asking, wire = Busy(), Wire(room=10)
    attempt = Attempt(asking, Member.__new__(Member), 0.0, PROFILES["generic"], notes)
    attempt.begun(wire, STREAM)
    with pytest.raises(RuntimeError) if raises else nullcontext():
        attempt.answered(Answer(b""))
    assert (notes.freed_by, len(notes.results), len(asking.answers)) == ([attempt], 1, not raises)


def test_a_call_that_was_overtaken_before_it_had_a_connection_was_not_too_slow() -> None:
    asking, notes = Asking(overtaken=True, overdue=True, wanted=False), Notes()
    Attempt(asking, Member.__new__(Member), 0.0, PROFILES["generic"], notes).give_up()
    assert notes.results == [Result.OVERTAKEN]
