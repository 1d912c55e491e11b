"""Where the time of a late answer went, as the soak tells it."""

from __future__ import annotations

import asyncio
import time

import pytest

from bench._late import Stalls, despite_running, parts
from bench._raw_client import Asked
from tailgate.errors import Status

ASKED = Asked("a", 0.1, sent_s=10.0, sent_unix_s=1000.0, status=Status.OK, ended_s=10.5)
ROW = {"arrival_unix_s": 1000.2, "latency_s": 0.05}


def stood_still(*spans: tuple[float, float]) -> Stalls:
    stalls = Stalls()
    stalls.spans += spans
    return stalls


def test_the_parts_of_an_answer_add_up_to_its_time() -> None:
    found = parts(ASKED, ROW, Stalls())
    assert (found.before_s, found.there_s, found.after_s) == pytest.approx((0.2, 0.05, 0.25))
    assert (found.late_s, found.stood_still_s) == pytest.approx((0.4, 0.0))


def test_a_standstill_of_the_client_counts_before_and_behind_the_proxy_and_not_while_the_call_was_there() -> None:
    found = parts(ASKED, ROW, stood_still((9.9, 10.1), (10.21, 10.24), (10.3, 10.6)))
    assert found.stood_still_s == pytest.approx(0.1 + 0.2)


def test_an_answer_is_late_though_its_client_ran_if_what_is_left_is_beyond_the_tolerance() -> None:
    late = [parts(ASKED, ROW, stood_still((10.3, 10.5))), parts(ASKED, ROW, stood_still((10.1, 10.2), (10.25, 10.5)))]
    assert [round(one.late_s - one.stood_still_s, 6) for one in late] == [0.2, 0.05]
    assert despite_running(late, 0.1) == 1


async def test_a_loop_that_stands_still_is_noted_with_when_and_for_how_long() -> None:
    stalls = Stalls()
    watching = asyncio.create_task(stalls.watch())
    await asyncio.sleep(0)
    began_s = asyncio.get_running_loop().time()
    time.sleep(0.1)  # a standstill
    async with asyncio.timeout(60):
        while not stalls.spans:
            await asyncio.sleep(0.001)
    watching.cancel()
    assert stalls.within(began_s, began_s + 0.1) == pytest.approx(0.1)
    assert stalls.total_s >= 0.1
