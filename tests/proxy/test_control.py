"""Calls other than ModelInfer, one at a time and without a socket: collected, passed on once, answered once."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tailgate.errors import Status
from tailgate.http2.events import Field
from tailgate.http2.grpc_messages import frame_message
from tailgate_proxy.call import Answer, Arrival, CallFailed, Reply
from tailgate_proxy.control import CONTROL_TIMEOUT_S, MAX_CONTROL_BYTES, ControlCall
from tailgate_proxy.forwarding import Forwarding
from tailgate_proxy.held import Held

OnVirtualTime = Callable[[Any], Any]
PATH = b"/inference.GRPCInferenceService/ModelReady"


@dataclass
class Ends:
    """A client and an upstream, and what they were told."""

    takes_s: float = 0.0
    fails: CallFailed | None = None
    replies: list[Reply] = field(default_factory=list)
    taken_bytes: int = 0
    asked: list[tuple[bytes, bytes, list[Field], float]] = field(default_factory=list)
    cancelled: int = 0
    held: Held = field(default_factory=lambda: Held(4 << 20))

    def taken(self, stream_id: int, count: int) -> None:
        assert stream_id == 1
        self.taken_bytes += count

    def answer(self, stream_id: int, reply: Reply) -> None:
        assert stream_id == 1
        self.replies.append(reply)

    async def pass_on(self, path: bytes, body: bytes, fields: list[Field], timeout_s: float) -> Answer:
        self.asked.append((path, body, fields, timeout_s))
        try:
            await asyncio.sleep(self.takes_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.fails is not None:
            raise self.fails
        return Answer(frame_message(b"yes"), ((b"theirs", b"1"),))

    def call(self, *fields: Field, offered: bool = True) -> ControlCall:
        pass_on = self.pass_on if offered else None
        arrival = Arrival(fields, dict(fields), 0.0, 0.0)
        call = ControlCall(PATH, arrival, self, 1, pass_on, forwarding=Forwarding(("x-custom",)), held=self.held)
        call.arrive()
        return call

    def send(self, body: bytes, *fields: Field) -> ControlCall:
        """A whole call, in pieces of seven bytes."""
        call = self.call(*fields)
        for at in range(0, len(body), 7):
            call.body(memoryview(bytearray(body[at : at + 7])), end=False)
        call.body(memoryview(b""), end=True)
        return call


@pytest.mark.parametrize("compressed", [False, True])
def test_a_call_is_passed_on_whole_and_opened_and_its_answer_comes_back(
    on_virtual_time: OnVirtualTime, compressed: bool
) -> None:
    ends = Ends()
    body = frame_message(gzip.compress(b"request"), compressed=True) if compressed else frame_message(b"request")

    async def scenario() -> None:
        ends.send(body, (b"grpc-encoding", b"gzip"), (b"grpc-timeout", b"3S"), (b"x-custom", b"kept"))
        await asyncio.sleep(1.0)

    on_virtual_time(scenario())
    assert ends.asked == [(PATH, b"request", [(b"x-custom", b"kept")], 3.0)]
    assert ends.taken_bytes == len(body)
    assert ends.held.bytes == 0
    (reply,) = ends.replies
    assert (reply.status, reply.body, reply.trailers) == (Status.OK, frame_message(b"yes"), ((b"theirs", b"1"),))


@pytest.mark.parametrize(
    ("body", "fields", "status", "sentence"),
    [
        (b"", (), Status.INVALID_ARGUMENT, "not one whole gRPC message"),
        (frame_message(b"ab")[:-1], (), Status.INVALID_ARGUMENT, "not one whole gRPC message"),
        (frame_message(b"ab") * 2, (), Status.INVALID_ARGUMENT, "not one whole gRPC message"),
        (frame_message(b"ab", compressed=True), (), Status.UNIMPLEMENTED, "grpc-encoding 'identity'"),
        (frame_message(b""), ((b"grpc-timeout", b"soon"),), Status.INVALID_ARGUMENT, "grpc-timeout is 'soon'"),
        (frame_message(b""), ((b"grpc-timeout", b"1S"),) * 2, Status.INVALID_ARGUMENT, "more than once"),
        (bytes(MAX_CONTROL_BYTES + 1), (), Status.RESOURCE_EXHAUSTED, str(MAX_CONTROL_BYTES)),
    ],
)
def test_what_cannot_be_passed_on_is_refused_in_words(
    on_virtual_time: OnVirtualTime, body: bytes, fields: tuple[Field, ...], status: Status, sentence: str
) -> None:
    ends = Ends()

    async def scenario() -> None:
        call = ends.call(*fields)
        call.body(memoryview(body), end=len(body) <= MAX_CONTROL_BYTES)
        await asyncio.sleep(1.0)

    on_virtual_time(scenario())
    assert ends.asked == []
    assert ends.held.bytes == 0
    assert [reply.status for reply in ends.replies] == [status]
    assert sentence in ends.replies[0].message


def test_what_is_not_offered_is_said_so_before_any_body() -> None:
    ends = Ends()
    ends.call(offered=False)
    assert [reply.status for reply in ends.replies] == [Status.UNIMPLEMENTED]
    assert PATH.decode() in ends.replies[0].message


def test_what_has_come_of_a_call_counts_as_held_until_it_is_over(on_virtual_time: OnVirtualTime) -> None:
    ends = Ends(takes_s=5.0, held=Held(100))

    async def scenario() -> None:
        leaves, asks, shed = ends.call(), ends.call(), ends.call()
        leaves.body(memoryview(bytes(40)), end=False)
        asks.body(memoryview(frame_message(b"a request of 30 bytes at most")), end=True)
        assert ends.held.bytes == 40 + 34
        shed.body(memoryview(bytes(30)), end=False)
        assert [reply.status for reply in ends.replies] == [Status.RESOURCE_EXHAUSTED]
        assert "--max-held-mib" in ends.replies[0].message
        leaves.client_left()
        assert ends.held.bytes == 34
        await asyncio.sleep(6.0)

    on_virtual_time(scenario())
    assert [reply.status for reply in ends.replies[1:]] == [Status.OK]
    assert ends.held.bytes == 0


def test_a_request_that_does_not_become_whole_is_given_up(on_virtual_time: OnVirtualTime) -> None:
    ends = Ends()

    async def scenario() -> None:
        ends.call().body(memoryview(b"its beginning"), end=False)
        await asyncio.sleep(CONTROL_TIMEOUT_S - 0.1)
        assert ends.replies == []
        await asyncio.sleep(0.2)

    on_virtual_time(scenario())
    assert [reply.status for reply in ends.replies] == [Status.DEADLINE_EXCEEDED]
    assert (ends.asked, ends.held.bytes) == ([], 0)


def test_a_failure_of_the_upstream_is_passed_on(on_virtual_time: OnVirtualTime) -> None:
    ends = Ends(fails=CallFailed(Status.NOT_FOUND, "no such model", ((b"theirs", b"1"),)))

    async def scenario() -> None:
        ends.send(frame_message(b""))
        await asyncio.sleep(1.0)

    on_virtual_time(scenario())
    (reply,) = ends.replies
    assert (reply.status, reply.message) == (Status.NOT_FOUND, "no such model")
    assert reply.trailers == ((b"theirs", b"1"),)
    assert ends.asked[0][3] == CONTROL_TIMEOUT_S


def test_a_client_that_leaves_ends_the_upstreams_work_and_is_not_answered(on_virtual_time: OnVirtualTime) -> None:
    ends = Ends(takes_s=5.0)

    async def scenario() -> None:
        ends.call().client_left()  # before anything was sent
        call = ends.send(frame_message(b""))
        await asyncio.sleep(1.0)
        call.client_left()
        await asyncio.sleep(10.0)

    on_virtual_time(scenario())
    assert (ends.cancelled, ends.replies) == (1, [])


def test_a_proxy_that_stops_answers_once(on_virtual_time: OnVirtualTime) -> None:
    ends = Ends(takes_s=5.0)

    async def scenario() -> None:
        call = ends.send(frame_message(b""))
        await asyncio.sleep(1.0)
        call.stop()
        await asyncio.sleep(10.0)

    on_virtual_time(scenario())
    assert [reply.status for reply in ends.replies] == [Status.UNAVAILABLE]
    assert ends.cancelled == 1
