"""Quality while labels are missing, through a running proxy: from confidences that a real upstream's answers show."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tailgate.calibration import LEAST_LABELS
from tailgate.protocol.names import LABEL

RunningProxy = Any  # defined in conftest.py, which tests do not import
StartProxy = Any


async def counts(running: RunningProxy) -> dict[str, float]:
    """What is exported of the scripted model, in all."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{running.admin}/metrics") as response:
        text = await response.text()
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("model") == "scripted" and sample.labels.get("version") == "1" and len(sample.labels) <= 3
    }


async def teach(running: RunningProxy, labels: int) -> None:
    """So many labelled requests, every fourth of them answered wrong."""
    for number in range(labels):
        await running.infer(f"{int(number % 4 > 0)}/{number}", **{LABEL: "1"})


async def until_something_is_expected(running: RunningProxy) -> None:
    """Labels are learned from about once a second."""
    async with asyncio.timeout(60):
        while not (await counts(running)).get("tailgate_expected_looked_at_total"):
            await running.infer("1/asking")
            await asyncio.sleep(0.05)


async def test_without_labels_quality_is_expected_to_be_what_it_was_with_labels(start_proxy: StartProxy) -> None:
    running = await start_proxy(confidences=100_000)
    await teach(running, 2 * LEAST_LABELS)
    await until_something_is_expected(running)
    before = await counts(running)
    for number in range(20):
        await running.infer(f"{number % 2}/unlabelled-{number}")
    after = await counts(running)
    grown = {name: after[name] - before[name] for name in after if "expected" in name and name in before}
    assert grown["tailgate_expected_looked_at_total"] == grown["tailgate_expected_answers_total"] == 20
    assert grown["tailgate_expected_right_total"] == pytest.approx(20 * 0.75)
    assert 0 < grown["tailgate_expected_spread_total"] < 20 * 0.1
    now = next(part["now"] for part in running.proxy._picture()["quality"]["series"] if part["version"] == "1")
    assert now["expected"]["lower"] < now["expected"]["tca"] < now["expected"]["upper"] <= now["in_time_share"]


async def test_a_late_answer_is_not_expected_to_be_right_in_time(start_proxy: StartProxy) -> None:
    running = await start_proxy(mode="observe", deadline="500ms", confidences=100_000)
    await teach(running, LEAST_LABELS)
    await until_something_is_expected(running)
    before = await counts(running)
    await running.infer("sleep:1/late")
    after = await counts(running)
    assert after["tailgate_expected_looked_at_total"] == before["tailgate_expected_looked_at_total"]
    assert after["tailgate_due_requests_total"] == before["tailgate_due_requests_total"] + 1


async def test_nothing_is_expected_where_no_label_came_or_nobody_wants_to_know(start_proxy: StartProxy) -> None:
    unlabelled, unwanted = await start_proxy(), await start_proxy(confidences=0)
    for number in range(LEAST_LABELS + 5):
        await unlabelled.infer(f"1/{number}")
    await teach(unwanted, LEAST_LABELS + 5)
    for running in (unlabelled, unwanted):
        running.proxy._accounts.monitor.advance(2e9)
        await running.infer("1/more")
        assert (await counts(running))["tailgate_expected_looked_at_total"] == 0
