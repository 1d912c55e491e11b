"""What the connections of one loop share: one that fails costs no other anything."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from tailgate.http2.codes import Role
from tailgate.http2.connection import Connection
from tailgate.http2.events import DataReceived, Event
from tailgate.http2.limits import DEFAULT_LIMITS
from tailgate_proxy.wire.link import WRITE_AFTER_S, Desk, Link

HEADERS = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/s/m"))


class Writes:
    """What a desk knows of a connection."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.written = 0
        self.aborted = False

    def write(self) -> None:
        self.written += 1
        if self.fails:
            raise RuntimeError("it is broken")

    def abort(self) -> None:
        self.aborted = True


def link(one: Writes) -> Link:
    return cast(Link, one)


async def test_a_connection_that_cannot_be_written_to_is_ended_and_the_others_are_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk(asyncio.get_running_loop())
    connections = [Writes(), Writes(fails=True), Writes()]
    for one in connections:
        desk.write_soon(link(one))
    await asyncio.sleep(0)
    assert [one.written for one in connections] == [1, 1, 1]
    assert [one.aborted for one in connections] == [False, True, False]
    assert "could not be written to" in caplog.text


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False


class Passing(Link):
    """Passes every body on to another connection, and fails if it is told to."""

    def __init__(self, role: Role, desk: Desk) -> None:
        super().__init__(role, DEFAULT_LIMITS, desk)
        self.to: tuple[Passing, int] | None = None
        self.transport = Transport()
        self.connection_made(self.transport)

    def handle(self, event: Event) -> None:
        if isinstance(event, DataReceived) and self.to is not None:
            to, stream_id = self.to
            to.send(stream_id, event.data)
            raise RuntimeError("it is broken")

    def lost(self) -> None:
        pass

    def progress(self, stream_id: int, count: int) -> None:
        pass


async def test_a_connection_that_fails_while_it_is_read_leaves_whole_what_it_had_passed_on() -> None:
    """All connections read into one buffer: what one has passed on of it must not become what the next one is sent."""
    desk = Desk(asyncio.get_running_loop())
    fails, onward = Passing(Role.SERVER, desk), Passing(Role.CLIENT, desk)
    fails.to = onward, onward.http2.open_stream(HEADERS)
    client, body = Connection(Role.CLIENT), b"of one client" * 100
    client.send_data(client.open_stream(HEADERS), body)
    sent = client.data_to_send()
    desk.buffer[: len(sent)] = sent
    with pytest.raises(RuntimeError, match="it is broken"):
        fails.buffer_updated(len(sent))
    desk.buffer[:] = b"\xff" * len(desk.buffer)  # the next read, of another client
    await asyncio.sleep(0)
    assert body in onward.transport.written


def test_a_turn_that_reads_for_long_writes_in_between_and_lets_others_have_their_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Loop:
        now_s = 0.0

        def time(self) -> float:
            return self.now_s

        def call_soon(self, *_: Any) -> None:
            """The turn goes on: its end does not come."""

    loop, connection, told = Loop(), Writes(), list[float]()

    def between(now_s: float) -> None:
        told.append(now_s)
        if len(told) == 2:
            raise RuntimeError("it is broken")

    desk = Desk(cast(asyncio.AbstractEventLoop, loop))
    desk.between_reads = between
    for _ in range(4):
        desk.write_soon(link(connection))
        desk.settle()
        loop.now_s += WRITE_AFTER_S * 0.6
    assert len(told) == 4
    assert (
        connection.written == 3
    )  # at the third read, all that was asked for by then; the fourth comes too soon after it
    assert "between two reads failed" in caplog.text


class Turns:
    """A loop on virtual time, and a desk on it."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self._planned: list[Any] = []
        self.desk = Desk(cast(asyncio.AbstractEventLoop, self))

    def time(self) -> float:
        return self.now_s

    def call_soon(self, call: Any) -> None:
        self._planned.append(call)

    def read(self, seconds: float) -> float:
        """A connection is read from, which takes a while; returns for how long nobody had looked before."""
        self.desk.begin_read(self.now_s)
        blind_s = self.desk.blind_s(self.now_s)
        self.now_s += seconds
        self.desk.settle()
        self.desk.write_soon(link(Writes()))
        return blind_s

    def end(self) -> None:
        """The turn ends."""
        planned, self._planned = self._planned, []
        for call in planned:
            call()


def test_a_request_right_after_an_answer_has_not_waited_for_as_long_as_the_answer_took() -> None:
    turns = Turns()
    for _ in range(5):
        turns.read(0.0001)  # a request
        turns.end()
        turns.now_s += 0.1  # that the upstream needs
        assert turns.read(0.0001) == 0.0  # its answer
        turns.end()
        turns.now_s += 0.0002  # the client's next request, as fast as it can
        assert turns.read(0.0001) == pytest.approx(0.0003)  # since the answer was read
        turns.end()
        turns.now_s += 0.1


def test_what_came_while_the_loop_stood_still_may_have_come_at_any_time_of_it() -> None:
    turns = Turns()
    turns.read(0.0001)
    turns.end()
    turns.now_s += 0.5
    turns.desk.overdue_s = lambda now_s: 0.48 if now_s < 100.51 else 0.0
    turns.read(0.0001)  # what is read first is stamped by the timer that is overdue
    assert turns.read(0.0001) == pytest.approx(0.5002)


def test_what_waited_while_others_were_read_for_long_is_counted_from_the_turn_before() -> None:
    turns = Turns()
    turns.read(0.02)
    turns.end()
    assert turns.read(0.03) == pytest.approx(0.02)  # it may have come as soon as the turn before had begun
    turns.end()
    assert turns.read(0.01) == pytest.approx(0.03)
