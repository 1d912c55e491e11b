"""The steps on a virtual clock: no socket, no waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.deadline import Deadline
from tailgate.errors import InvalidRequest, Status
from tailgate.ledger import BASE_BUCKETS_S, Ledger
from tailgate.observation import Observation, Verdict
from tailgate.outcome import Ending, Mode, Outcome
from tailgate.protocol.envelope import Envelope
from tailgate_proxy.call import Call, Reply
from tailgate_proxy.exchange import Exchange
from tailgate_proxy.known_models import KnownModels
from tailgate_proxy.steps import Inner
from tailgate_proxy.steps.admit import Admit
from tailgate_proxy.steps.enforce import Enforce
from tailgate_proxy.steps.observe import RACE_S, Observe

OnVirtualTime = Callable[[Any], Any]


def exchange(budget_s: float = 0.05, label: int = 1, fault: InvalidRequest | None = None) -> Exchange:
    call = Call(_nothing, (), 0.0, 1.7e9, None)
    deadline = Deadline(0.0, budget_s)
    return Exchange(call, "id", False, None, None, deadline, label, fault, envelope=Envelope("digits", "", ""))


async def _nothing() -> bytes:
    return b""


@dataclass
class Watched:
    """An observe step at a settable time, and all it booked."""

    mode: Mode
    now_s: float = 0.0
    ledger: Ledger = field(default_factory=lambda: Ledger(BASE_BUCKETS_S))
    seen: list[Observation] = field(default_factory=list)

    def step(self) -> Observe:
        sinks = [self.ledger.book, self.seen.append]
        return Observe(self.mode, lambda: self.now_s, self.ledger, KnownModels(["digits"]), sinks)

    async def run(self, ending: Ending, at_s: float, status: Status = Status.OK) -> Reply:
        async def inner(_exchange: Exchange) -> Reply:
            self.now_s = at_s
            if ending is Ending.CANCELLED:
                raise asyncio.CancelledError
            if ending is Ending.FAULT:
                raise RuntimeError("a fault of the proxy")
            return Reply(ending, status, predicted=1 if ending is Ending.ANSWERED else -1)

        self.now_s = 0.0
        return await self.step()(exchange(), inner)


@given(st.sampled_from([e for e in Ending if e is not Ending.CANCELLED]), st.floats(0, 0.2), st.sampled_from(Mode))
def test_every_request_is_booked_exactly_once_however_it_ends(ending: Ending, at_s: float, mode: Mode) -> None:
    watched = Watched(mode)
    status = Status.OK if ending is Ending.ANSWERED else Status.UNAVAILABLE
    reply = asyncio.run(watched.run(ending, at_s, status))
    assert (watched.ledger.received, watched.ledger.ended, watched.ledger.in_flight) == (1, 1, 0)
    assert sum(watched.ledger.outcomes().values()) == 1
    (seen,) = watched.seen
    assert seen.status == reply.status
    assert seen.latency_s == at_s
    if mode is Mode.ENFORCE and at_s > 0.05:
        assert reply.status is not Status.OK
        assert seen.outcome is not Outcome.OK
    if reply.status is not Status.OK:
        assert ("tailgate-outcome", seen.outcome.label) in reply.trailers


@pytest.mark.parametrize(
    ("at_s", "mode", "outcome", "status"),
    [
        (0.05, Mode.ENFORCE, Outcome.OK, Status.OK),  # at the instant itself it is in time
        (0.0500001, Mode.ENFORCE, Outcome.OK_LATE_DISCARDED, Status.DEADLINE_EXCEEDED),
        (0.0500001, Mode.OBSERVE, Outcome.OK_LATE, Status.OK),
    ],
)
async def test_an_answer_is_late_only_after_the_instant(
    at_s: float, mode: Mode, outcome: Outcome, status: Status
) -> None:
    watched = Watched(mode)
    reply = await watched.run(Ending.ANSWERED, at_s)
    assert (watched.seen[0].outcome, reply.status) == (outcome, status)
    assert watched.seen[0].verdict is Verdict.RIGHT  # a late answer that is known is judged all the same
    assert reply.body == b""


@pytest.mark.parametrize(
    ("at_s", "outcome"),
    [
        (0.02, Outcome.CLIENT_CANCELLED),
        (0.05 - RACE_S * 1.5, Outcome.CLIENT_CANCELLED),
        (0.05 - RACE_S / 2, Outcome.DEADLINE_IN_FLIGHT),
        (0.06, Outcome.DEADLINE_IN_FLIGHT),
    ],
)
async def test_a_client_that_leaves_at_its_deadline_has_met_the_deadline(at_s: float, outcome: Outcome) -> None:
    watched = Watched(Mode.ENFORCE)
    with pytest.raises(asyncio.CancelledError):
        await watched.run(Ending.CANCELLED, at_s)
    assert [seen.outcome for seen in watched.seen] == [outcome]
    assert watched.ledger.in_flight == 0


async def _never(_exchange: Exchange) -> Reply:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("unreachable")


def test_at_the_deadline_the_client_is_answered_whatever_the_upstream_does(on_virtual_time: OnVirtualTime) -> None:
    async def scenario() -> tuple[Reply, float, bool]:
        cancelled = asyncio.Event()

        async def stuck(ex: Exchange) -> Reply:
            try:
                return await _never(ex)
            finally:
                cancelled.set()

        loop = asyncio.get_running_loop()
        reply = await Enforce(loop.time)(exchange(budget_s=0.05), stuck)
        answered_s = loop.time()
        await asyncio.sleep(0)
        return reply, answered_s, cancelled.is_set()

    reply, answered_s, cancelled = on_virtual_time(scenario())
    assert (reply.ending, reply.status) == (Ending.DEADLINE, Status.DEADLINE_EXCEEDED)
    assert answered_s == pytest.approx(0.05)
    assert cancelled


def test_work_that_will_not_be_cancelled_does_not_hold_up_the_answer(on_virtual_time: OnVirtualTime) -> None:
    async def scenario() -> float:
        async def stubborn(_exchange: Exchange) -> Reply:
            try:
                await asyncio.sleep(1.0)
            except asyncio.CancelledError:
                await asyncio.sleep(3.0)
            return Reply(Ending.ANSWERED)

        loop = asyncio.get_running_loop()
        reply = await Enforce(loop.time)(exchange(budget_s=0.05), stubborn)
        assert reply.ending is Ending.DEADLINE
        return loop.time()

    assert on_virtual_time(scenario()) == pytest.approx(0.05)


def test_a_client_that_leaves_takes_the_upstreams_work_with_it(on_virtual_time: OnVirtualTime) -> None:
    async def scenario() -> bool:
        ended = asyncio.Event()

        async def working(ex: Exchange) -> Reply:
            try:
                return await _never(ex)
            finally:
                ended.set()

        task = asyncio.ensure_future(Enforce(asyncio.get_running_loop().time)(exchange(), working))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        return ended.is_set()

    assert on_virtual_time(scenario())


def test_a_reply_before_the_deadline_passes_through_unchanged(on_virtual_time: OnVirtualTime) -> None:
    async def scenario() -> Reply:
        async def quick(_exchange: Exchange) -> Reply:
            await asyncio.sleep(0.04)
            return Reply(Ending.ANSWERED, body=b"answer")

        return await Enforce(asyncio.get_running_loop().time)(exchange(), quick)

    assert on_virtual_time(scenario()) == Reply(Ending.ANSWERED, body=b"answer")


async def test_refusals_come_before_any_work() -> None:
    async def forbidden(_exchange: Exchange) -> Reply:
        raise AssertionError("work was begun")

    admit = Admit(max_in_flight=10)
    for case, ending in (
        (exchange(budget_s=0.0), Ending.EXPIRED),
        (exchange(budget_s=-1.0), Ending.EXPIRED),
        (exchange(fault=InvalidRequest("no")), Ending.INVALID),
        (exchange(budget_s=-1.0, fault=InvalidRequest("no")), Ending.INVALID),
    ):
        assert (await admit(case, forbidden)).ending is ending
    admit.draining = True
    assert (await admit(exchange(), forbidden)).ending is Ending.DRAINING


@given(st.integers(1, 5), st.integers(0, 12))
def test_never_more_in_flight_than_allowed_and_every_place_is_given_back(limit: int, offered: int) -> None:
    async def scenario() -> None:
        admit, release, peak, inside = Admit(limit), asyncio.Event(), 0, 0

        async def hold(_exchange: Exchange) -> Reply:
            nonlocal peak, inside
            inside += 1
            peak = max(peak, inside)
            await release.wait()
            inside -= 1
            return Reply(Ending.ANSWERED)

        inner: Inner = hold
        tasks = [asyncio.ensure_future(admit(exchange(), inner)) for _ in range(offered)]
        await asyncio.sleep(0)
        release.set()
        endings = [reply.ending for reply in await asyncio.gather(*tasks)]
        assert peak <= limit
        assert endings.count(Ending.ANSWERED) == min(offered, limit)
        assert endings.count(Ending.SHED) == max(offered - limit, 0)
        assert (await admit(exchange(), inner)).ending is Ending.ANSWERED

    asyncio.run(scenario())
