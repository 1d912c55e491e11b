"""What the connections of one loop share: one that fails costs no other anything."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from tailgate_proxy.wire.link import WRITE_AFTER_S, Desk, Link


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
