"""A real proxy in front of a real upstream: what its admission says of itself, and what a refused client gets."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tailgate.config import read_config
from tailgate.errors import ConfigError
from tailgate_proxy.app import Proxy
from tailgate_proxy.config import ProxyConfig

StartProxy = Callable[..., Awaitable[Any]]


async def get(running: Any, path: str) -> str:
    def read() -> str:
        with urllib.request.urlopen(f"http://{running.admin}{path}", timeout=30) as response:
            return str(response.read().decode())

    return await asyncio.to_thread(read)


async def test_with_a_fixed_limit_calls_wait_and_all_are_answered(start_proxy: StartProxy) -> None:
    running = await start_proxy(admission="fixed", upstream_limit=2)
    answers = await asyncio.gather(*(running.infer(f"sleep:0.05/{n}") for n in range(10)))
    assert len(answers) == 10
    (admission,) = json.loads(await get(running, "/status.json"))["admission"]
    assert (admission["limit"], admission["in_flight"], admission["waiting"]) == (2, 0, 0)
    families = {one.name: one for one in text_string_to_metric_families(await get(running, "/metrics"))}
    waits = {one.name: one.value for one in families["tailgate_admission_wait_seconds"].samples}
    assert waits["tailgate_admission_wait_seconds_count"] == 10
    assert waits["tailgate_admission_wait_seconds_sum"] >= 0.05  # two at a time: most of them had to wait


async def test_a_client_whose_deadline_nobody_could_meet_is_refused_with_its_reason_and_a_pushback(
    start_proxy: StartProxy,
) -> None:
    running = await start_proxy(admission="adaptive")
    for n in range(15):
        await running.infer(f"sleep:0.1/{n}")
    refused: grpc.aio.AioRpcError | None = None
    for n in range(100):  # some are tried, to see whether refusing is right
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.infer(f"sleep:0.1/again-{n}", timeout=30.0, tailgate_deadline_ms="40")
        if caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            refused = caught.value
            break
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert refused is not None
    trailers = dict(refused.trailing_metadata() or ())
    assert trailers["tailgate-outcome"] == "shed_predicted_late"
    assert trailers["grpc-retry-pushback-ms"] == "-1"
    assert "longer than the 0.04 s" in str(refused.details())


async def test_with_admission_off_nothing_is_limited_nor_counted(start_proxy: StartProxy) -> None:
    running = await start_proxy(admission="off")
    await running.infer("1/a")
    assert json.loads(await get(running, "/status.json"))["admission"] == []
    assert "tailgate_admission_limit{" not in await get(running, "/metrics")


async def test_a_fixed_limit_that_is_not_given_is_one_clear_sentence() -> None:
    config = read_config(ProxyConfig, None, {"upstream": "127.0.0.1:1", "deadline": "1s", "admission": "fixed"})
    with pytest.raises(ConfigError, match="upstream_limit is missing; admission 'fixed' needs the number of requests"):
        Proxy(config)
