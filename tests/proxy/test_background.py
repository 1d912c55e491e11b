"""What runs beside the requests does not fail in silence."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tailgate_proxy.background import in_background


async def fails() -> None:
    await asyncio.sleep(0)
    raise ValueError("it is broken")


async def goes_on() -> None:
    while True:
        await asyncio.sleep(0)


async def test_work_that_fails_says_so_at_once_and_work_that_is_ended_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks = [in_background(fails(), "this"), in_background(goes_on(), "that")]
    await asyncio.wait(tasks[:1])
    tasks[1].cancel()
    await asyncio.wait(tasks)
    (record,) = (record for record in caplog.records if record.levelno >= logging.ERROR)
    assert "this has failed" in record.message
    assert "it is broken" in caplog.text
