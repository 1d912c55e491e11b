"""Real proxies in front of several real servers: who gets a request, and under which version it is counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tailgate.pb import inference_pb2 as pb
from tailgate.policy.routing import Rule
from tailgate.protocol.envelope import RequestFrame
from tailgate.protocol.names import SERVICE

Fixture = Any  # defined in conftest.py, which tests do not import


def body(request_id: str, model: str, version: str = "") -> bytes:
    return RequestFrame(model, "image", "UINT8", (1, 4), version).build(request_id, b"abcd")


async def samples(running: Fixture, name: str) -> list[tuple[dict[str, str], float]]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{running.admin}/metrics") as response:
        text = await response.text()
    return [
        (sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    ]


async def test_the_first_route_that_a_request_fits_says_where_it_goes(
    start_upstreams: Fixture, start_proxy: Fixture, before: Fixture
) -> None:
    upstreams = await start_upstreams("default", "nets", "second", "gold")
    running = await start_proxy(
        **before(upstreams),
        routes=[
            {"model": "*net", "headers": {"X-Tenant": "gold"}, "to": "gold"},
            {"model": "resnet", "version": "2", "to": "second"},
            {"model": "*net", "to": "nets"},
        ],
    )
    await running.send(body("1/gold", "resnet", "2"), x_tenant="gold")
    await running.send(body("1/silver", "resnet", "2"), x_tenant="silver")
    await running.send(body("1/no version", "resnet"))
    await running.send(body("1/other net", "lenet", "2"))
    await running.send(body("1/no net", "bert"), x_tenant="gold")
    assert {name: one.started for name, one in upstreams.items()} == {
        "default": ["1/no net"],
        "nets": ["1/no version", "1/other net"],
        "second": ["1/silver"],
        "gold": ["1/gold"],
    }
    for one in upstreams.values():  # a header that is routed by is no more forwarded than others
        assert all("x-tenant" not in dict(found) for found in one.metadata.values())


async def test_requests_are_shared_out_by_their_ids_and_a_retry_goes_where_the_first_went(
    start_upstreams: Fixture, start_proxy: Fixture, before: Fixture
) -> None:
    upstreams = await start_upstreams("stable", "canary", "spare")
    weights = {"stable": 70, "canary": 30, "spare": 0}
    names = [f"1/{number}" for number in range(60)]
    for number in (1, 2):  # the second proxy stands for another process, or the same one after a restart
        running = await start_proxy(**before(upstreams), routes=[{"to": weights}])
        for name in names:
            await running.infer(name)
        rule = Rule("*", None, (), tuple((name, float(weight)) for name, weight in weights.items()))
        expected = Counter(rule.target(name) for name in names)
        assert {name: len(one.started) for name, one in upstreams.items()} == {
            name: number * expected[name] for name in weights
        }
    assert upstreams["stable"].started
    assert upstreams["canary"].started
    for one in upstreams.values():
        assert set(Counter(one.started).values()) <= {2}


async def test_what_goes_to_a_canary_is_the_canarys_also_where_it_is_never_answered(
    start_upstreams: Fixture, start_proxy: Fixture, before: Fixture
) -> None:
    upstreams = await start_upstreams("default", "canary")  # both answer as version 1
    running = await start_proxy(
        **before(upstreams, canary={"version_suffix": "-canary"}),
        routes=[{"headers": {"x-trial": "yes"}, "to": "canary"}],
        models={"scripted": {"canary": ["1-canary"]}},
        slices=["night"],
    )
    for number in range(3):
        await running.infer(f"1/{number}", tailgate_label="1")
    await running.infer("1/canary", x_trial="yes", tailgate_label="1")
    late = (("hold/stable", "no"), ("hold/canary", "yes"), ("hold/canary too", "yes"))
    calls = [running.infer(name, x_trial=trial, tailgate_deadline_ms="1000") for name, trial in late]
    for ended in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(ended, grpc.aio.AioRpcError)
        assert ended.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    with pytest.raises(grpc.aio.AioRpcError):
        await running.send(body("status:3/asked for", "scripted", "1"), x_trial="yes")
    counted = {
        (labels["version"], labels["outcome"]): value
        for labels, value in await samples(running, "tailgate_requests_total")
        if labels["model"] == "scripted" and value
    }
    assert counted == {
        ("1", "ok"): 3,
        ("1", "deadline_in_flight"): 1,
        ("1-canary", "ok"): 1,
        ("1-canary", "deadline_in_flight"): 2,
        ("1-canary", "rejected_invalid"): 1,
    }
    roles = {labels["version"]: labels["role"] for labels, _ in await samples(running, "tailgate_model_info")}
    assert roles == {"1": "stable", "1-canary": "canary"}


async def test_a_call_about_a_model_goes_where_requests_for_it_do(
    start_upstreams: Fixture, start_proxy: Fixture, before: Fixture
) -> None:
    upstreams = await start_upstreams("default", "nets", "few")
    running = await start_proxy(
        **before(upstreams),
        routes=[{"headers": {"x-trial": "yes"}, "to": "few"}, {"model": "*net", "to": {"few": 1, "nets": 9}}],
    )
    for name in ("default", "few"):
        await upstreams[name].stop()

    async def code(method: str, message: bytes) -> grpc.StatusCode:
        call: Any = running.channel.unary_unary(f"/{SERVICE}/{method}")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(message, timeout=60.0)
        return caught.value.code()

    about = pb.ModelReadyRequest(name="resnet").SerializeToString()
    # The server that is left has no such method, and says so itself.
    assert await code("ModelReady", about) is grpc.StatusCode.UNIMPLEMENTED
    assert await code("ModelReady", pb.ModelReadyRequest(name="bert").SerializeToString()) is (
        grpc.StatusCode.UNAVAILABLE
    )
    assert await code("ServerReady", b"") is grpc.StatusCode.UNAVAILABLE
    assert await code("ModelReady", b"\xff\xff") is grpc.StatusCode.INVALID_ARGUMENT


async def test_requests_over_http_are_routed_alike(
    start_upstreams: Fixture, start_proxy: Fixture, before: Fixture
) -> None:
    upstreams = await start_upstreams("default", "gold")
    running = await start_proxy(
        **before(upstreams), routes=[{"headers": {"x-tenant": "gold"}, "to": "gold"}], rest="127.0.0.1:0"
    )
    inputs = [{"name": "image", "datatype": "UINT8", "shape": [1, 4], "data": [1, 2, 3, 4]}]
    async with aiohttp.ClientSession() as session:
        for name, headers in (("1/plain", {}), ("1/gold", {"X-Tenant": "gold"})):
            url = f"http://{running.proxy.rest}/v2/models/scripted/infer"
            async with session.post(url, json={"id": name, "inputs": inputs}, headers=headers) as response:
                assert response.status == 200
    assert (upstreams["default"].started, upstreams["gold"].started) == (["1/plain"], ["1/gold"])
