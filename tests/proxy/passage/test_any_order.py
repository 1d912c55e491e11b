"""Calls on their way, and whatever clients, upstream and clock can do to them, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tailgate.errors import Status
from tailgate.http2.events import Field
from tailgate.policy.attempts import Result
from tailgate.policy.reserve import RENEWED

NewWorld = Any  # defined in conftest.py, which tests do not import

BODIES = ("plain", "large", "gzip", "without a model", "empty", "cut", "two messages", "no message", "too long")
MODELS = ("other", "tight", "watched", "soft", "patient")


class AnyOrder(RuleBasedStateMachine):
    """Whatever clients, upstream and clock can do, in any order."""

    new_world: NewWorld
    world: Any
    hedges = False

    def pick(self, calls: Sequence[Any], choice: int) -> Any:
        return calls[choice % len(calls)] if calls else None

    def asking(self) -> list[Any]:
        return [call for call in self.world.calls if call.connected]

    def under_way(self) -> list[Any]:
        return [call for call in self.world.calls if call.attempt is not None]

    def left_to_finish(self) -> list[Any]:
        return [call for call in self.world.calls if call.at_upstream and call.attempt is None]

    @initialize(
        late_share=st.sampled_from([0.0, 1.0, 1.0]),
        max_held=st.sampled_from([1 << 30, 1 << 30, 1 << 30, 100_000, 60]),
        limit=st.sampled_from([None, None, 1, 2]),
        cancels=st.booleans(),
        lag_s=st.sampled_from([0.0, 0.0, 0.003, 1.0]),
    )
    def begin(self, late_share: float, max_held: int, limit: int | None, cancels: bool, lag_s: float) -> None:
        self.world = self.new_world(
            late_share=late_share, max_held_bytes=max_held, upstream_limit=limit, cancels=cancels, hedges=self.hedges
        )
        for _ in range(RENEWED):
            self.world.pipeline.reserve.lag(lag_s)

    @rule(kind=st.sampled_from(BODIES), model=st.sampled_from(MODELS))
    def arrive(self, kind: str, model: str) -> None:
        self.world.start(kind, model)

    @rule(
        kind=st.sampled_from(BODIES[:3]),
        model=st.sampled_from(MODELS),
        timeout=st.sampled_from([(), ((b"grpc-timeout", b"30m"),), ((b"grpc-timeout", b"100m"),)]),
        missing=st.sampled_from([0, 0, 0, 30]),
    )
    def arrive_with_the_body(self, kind: str, model: str, timeout: tuple[Field, ...], missing: int) -> None:
        call = self.world.start(kind, model, *timeout)
        if call.connected:
            call.feed(len(call.body) - missing, end=True)

    @rule(timeout=st.sampled_from([b"0n", b"x"]), draining=st.booleans())
    def arrive_in_vain(self, timeout: bytes, draining: bool) -> None:
        self.world.admit.draining = draining
        call = self.world.start("plain", "other", (b"grpc-timeout", timeout))
        self.world.admit.draining = False
        assert call.passage.ended
        assert not call.connected

    @rule(choice=st.integers(0), count=st.integers(0, 70) | st.just(1 << 20), end=st.booleans())
    def feed(self, choice: int, count: int, end: bool) -> None:
        call = self.pick([call for call in self.asking() if not call.body_ended], choice)
        if call is not None:
            call.feed(count, end=end)

    @rule(choice=st.integers(0), stopped=st.sampled_from([False, False, True]))
    def leave(self, choice: int, stopped: bool) -> None:
        call = self.pick(self.asking(), choice)
        if call is not None and stopped:
            call.passage.stop()
        elif call is not None:
            call.leave()

    @rule(does=st.lists(st.sampled_from(["keep waiting", "fail", "refuse"]), min_size=1, max_size=3))
    def upstream_is_busy(self, does: list[str]) -> None:
        self.world.upstream = does

    @rule(room=st.sampled_from([0, 1, 40, 1000, 1 << 30, 1 << 30]))
    def room_is(self, room: int) -> None:
        self.world.room = room

    @precondition(lambda self: self.world.queue)
    @rule()
    def place(self) -> None:
        self.world.place()

    @rule(choice=st.integers(0), count=st.integers(1, 100) | st.just(1 << 20))
    def read(self, choice: int, count: int) -> None:
        call = self.pick(self.under_way(), choice)
        if call is not None and call.attempt is not None:
            call.attempt.read(count)

    @rule(choice=st.integers(0), predicted=st.sampled_from([3, 4]))
    def answer(self, choice: int, predicted: int) -> None:
        call = self.pick(self.under_way(), choice)
        if call is not None:
            self.world.answer(call, predicted)

    @rule(choice=st.integers(0))
    def answer_garbage(self, choice: int) -> None:
        call = self.pick(self.under_way(), choice)
        if call is not None:
            self.world.answer_garbage(call)

    @rule(
        choice=st.integers(0),
        status=st.sampled_from([Status.UNAVAILABLE, Status.INTERNAL, Status.DEADLINE_EXCEEDED, Status.CANCELLED]),
        retryable=st.booleans(),
    )
    def fail(self, choice: int, status: Status, retryable: bool) -> None:
        call = self.pick(self.under_way(), choice)
        if call is not None:
            self.world.fail(call, Status.UNAVAILABLE if retryable else status, retryable=retryable)

    @rule(
        choice=st.integers(0),
        result=st.sampled_from([Result.ANSWERED, Result.ANSWERED, Result.SHED, Result.LOST, Result.DEADLINE]),
    )
    def have_done(self, choice: int, result: Result) -> None:
        call = self.pick(self.left_to_finish(), choice)
        if call is not None:
            self.world.have_done(call, result)

    @rule(seconds=st.sampled_from([1e-6, 0.004, 0.02, 0.042, 0.06, 0.11]), timers=st.sampled_from([True, True, False]))
    def time_passes(self, seconds: float, timers: bool) -> None:
        self.world.pass_time(seconds, timers=timers)

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for _ in range(3):  # a limit may move, but not for ever
            self.world.pass_time(100.0)
        while self.left_to_finish():
            self.world.have_done(self.left_to_finish()[0])
        self.world.check_end()


class AnyOrderHedged(AnyOrder):
    """The same, where calls are given to another member as well."""

    hedges = True

    @initialize(
        late_share=st.sampled_from([0.0, 0.0, 1.0]),
        max_held=st.sampled_from([1 << 30, 1 << 30, 1 << 30, 100_000, 60]),
        limit=st.sampled_from([2, 3, 10]),
        cancels=st.sampled_from([True, True, True, False]),
        lag_s=st.sampled_from([0.0, 0.0, 0.003, 1.0]),
    )
    def begin(self, late_share: float, max_held: int, limit: int | None, cancels: bool, lag_s: float) -> None:
        super().begin(late_share, max_held, limit, cancels, lag_s)

    def made(self) -> list[Any]:
        return [call for call in self.world.calls if any(second.wanted for second in call.seconds)]

    def hedged(self) -> list[Any]:
        return [call for call in self.world.calls if call.hedge is not None]

    @rule(choice=st.integers(0), place=st.sampled_from([True, True, True, False]))
    def hedge(self, choice: int, place: bool) -> None:
        call = self.pick([call for call in self.under_way() if not call.seconds], choice)
        if call is not None:
            self.world.hedge(call, place=place)

    @rule(choice=st.integers(0))
    def place_hedge(self, choice: int) -> None:
        call = self.pick(self.made(), choice)
        if call is not None:
            self.world.place_hedge(call)

    @rule(choice=st.integers(0), predicted=st.sampled_from([3, 4]))
    def answer_hedge(self, choice: int, predicted: int) -> None:
        call = self.pick(self.hedged(), choice)
        if call is not None:
            self.world.answer_hedge(call, predicted)
            assert call.passage.ended

    @rule(choice=st.integers(0))
    def answer_hedge_with_garbage(self, choice: int) -> None:
        call = self.pick(self.hedged(), choice)
        if call is not None:
            first = call.attempt is not None
            self.world.answer_hedge_with_garbage(call)
            assert call.passage.ended is not first or self.past(call)

    @rule(choice=st.integers(0), result=st.sampled_from([Result.ERROR, Result.SHED, Result.LOST, Result.REJECTED]))
    def fail_hedge(self, choice: int, result: Result) -> None:
        call = self.pick(self.hedged(), choice)
        if call is not None:
            first = call.attempt is not None
            self.world.fail_hedge(call, result=result)
            assert call.passage.ended is not first

    @rule(choice=st.integers(0))
    def drop(self, choice: int) -> None:
        call = self.pick(self.made(), choice)
        if call is not None:
            call.seconds[0].drop()

    def past(self, call: Any) -> bool:
        return bool(call.passage.exchange.deadline.passed(self.world.now_s))


def test_whatever_happens_in_whatever_order_a_call_ends_once_and_nothing_is_lost_or_kept(new_world: NewWorld) -> None:
    AnyOrder.new_world = new_world
    run_state_machine_as_test(AnyOrder, settings=settings(max_examples=150, stateful_step_count=40, deadline=None))


def test_the_same_holds_where_calls_are_given_to_another_member_as_well(new_world: NewWorld) -> None:
    AnyOrderHedged.new_world = new_world
    run_state_machine_as_test(
        AnyOrderHedged, settings=settings(max_examples=200, stateful_step_count=40, deadline=None)
    )
