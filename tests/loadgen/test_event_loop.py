"""The loop that requests are sent on."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest
import uvloop

from tailgate_loadgen.event_loop import loop_name, run_on_loop


async def kind_and_clock() -> tuple[bool, float]:
    loop = asyncio.get_running_loop()
    before_s, now_s, after_s = time.monotonic(), loop.time(), time.monotonic()
    assert before_s <= now_s <= after_s  # the clock of the kernel's timers, to the last digit
    return isinstance(loop, uvloop.Loop), now_s


def test_requests_are_sent_on_uvloop_with_the_clock_of_the_kernels_timers() -> None:
    assert loop_name() == "uvloop"
    assert run_on_loop(kind_and_clock())[0]


def test_without_uvloop_they_are_sent_on_asyncios_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)  # what an import meets where it is not installed
    assert loop_name() == "asyncio"
    assert not run_on_loop(kind_and_clock())[0]
