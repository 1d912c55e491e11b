"""A real pool of made-up members, driven by numbers: who gets a call, and what is made again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import cast

import pytest

from tailgate.config import Address
from tailgate.errors import Status
from tailgate.http2.events import Headers
from tailgate.policy.attempts import Result
from tailgate_proxy.call import Answer, Caller, CallFailed, Leg
from tailgate_proxy.profiles import PROFILES, ProfileName
from tailgate_proxy.upstreams.places import Place
from tailgate_proxy.upstreams.pool import Pool
from tailgate_proxy.upstreams.upstream import Upstream


class Reached:
    """The way to a member, which takes every call at once: a `Leg` to each."""

    connected = True

    def __init__(self, place: Place) -> None:
        self.name = place.name
        self.calls: list[Caller] = []

    def begin(self, caller: Caller) -> None:
        self.calls.append(caller)
        caller.begun(self, len(self.calls))

    def send(self, stream_id: int, data: bytes | memoryview, *, end: bool) -> int:
        assert end
        assert stream_id == len(self.calls)
        return len(data)

    def cancel(self, stream_id: int) -> None:
        """Nothing waits here."""


@dataclass
class Asking:
    """Who wants an answer: a `Requester` that notes what it is told."""

    pool: str = "default"
    tried: tuple[str, ...] = ()
    repeatable: bool = True
    overdue: bool = False
    overtaken: bool = False
    wanted: bool = True
    on_answer: Callable[[], object] = list
    answers: list[Answer] = field(default_factory=list)
    failures: list[CallFailed] = field(default_factory=list)

    def headers(self, authority: bytes, *, tls: bool) -> Headers:
        return ((b":scheme", b"https" if tls else b"http"), (b":authority", authority))

    def begun(self, leg: Leg, stream_id: int) -> None:
        leg.send(stream_id, b"question", end=True)

    def left(self, count: int) -> None:
        """All is sent at once."""

    def answered(self, answer: Answer) -> None:
        self.answers.append(answer)
        self.on_answer()

    def failed(self, failure: CallFailed) -> None:
        self.failures.append(failure)

    def second(self) -> None:
        """Nothing is hedged here."""

    def goes_on(self) -> None:
        """Every call is cancelled."""

    def done(self, result: Result) -> None:
        """As above."""


def pool_of_two(profile: ProfileName = "generic") -> tuple[Pool, list[Reached]]:
    ways: list[Reached] = []

    def reach(place: Place) -> Upstream:
        ways.append(Reached(place))
        return cast(Upstream, ways[-1])

    addresses = [Address("10.0.0.1", 1), Address("10.0.0.2", 1)]
    draw = Random(1).random
    pool = Pool(
        "default", PROFILES[profile], addresses, reach=reach, clock=lambda: 10.0, draw=draw, watch=lambda _: None
    )
    return pool, ways


def call_of(ways: list[Reached]) -> Caller:
    (call,) = (call for way in ways for call in way.calls)
    return call


@pytest.mark.parametrize(
    ("failure", "again"),
    [
        (CallFailed(Status.RESOURCE_EXHAUSTED, "its queue is full", said=True), True),
        (CallFailed(Status.UNAVAILABLE, "it stops", said=True), True),
        (CallFailed(Status.INTERNAL, "it failed", said=True), False),
        (CallFailed(Status.RESOURCE_EXHAUSTED, "its answer is too large", result=Result.LIMIT), False),
        (CallFailed(Status.RESOURCE_EXHAUSTED, "no room for its answer", shed=True, result=Result.LIMIT), False),
        (CallFailed(Status.UNAVAILABLE, "the connection broke", result=Result.LOST), False),
        (CallFailed(Status.UNAVAILABLE, "the upstream answered with HTTP status 503 without grpc-status"), False),
        (CallFailed(Status.RESOURCE_EXHAUSTED, "the upstream reset the stream with code 11"), False),
    ],
    ids=lambda value: value.message if isinstance(value, CallFailed) else "",
)
def test_a_call_is_made_again_after_a_servers_own_word_that_it_has_not_run_and_never_where_it_may_have(
    failure: CallFailed, again: bool
) -> None:
    pool, ways = pool_of_two("tailgate")
    asking = Asking()
    pool.begin(asking)
    call_of(ways).failed(failure)
    assert [one.retryable for one in asking.failures] == [again]


def test_whoever_has_the_place_of_an_answered_call_goes_to_the_member_that_is_free_now() -> None:
    pool, ways = pool_of_two()
    members = pool.membership.members
    for number in range(200):
        asking = [Asking(), Asking()]
        for one in asking:
            pool.begin(one)
        assert [member.outstanding for member in members] == [1, 1]
        busy, free = ways[number % 2], ways[1 - number % 2]
        asking[0].on_answer = asking[1].on_answer = lambda: pool.begin(Asking())
        free.calls.pop().answered(Answer(b""))
        assert [member.outstanding for member in members] == [1, 1]
        asking[0].on_answer = asking[1].on_answer = list
        for way in (busy, free):
            way.calls.pop().answered(Answer(b""))
        assert [member.outstanding for member in members] == [0, 0]
    ended = [member.tally.results for member in members]
    assert sum(results[Result.ANSWERED] for results in ended) == sum(sum(results.values()) for results in ended) == 600
