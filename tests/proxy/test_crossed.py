"""Real servers that give one request's answer to another, or make ids up: no client gets what is another's."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest

from tailgate.pb import inference_pb2 as pb
from tailgate.policy.attempts import Result
from tailgate.protocol.envelope import RequestFrame
from tailgate_proxy.profiles import PROFILES

ScriptedUpstream = Any  # defined in conftest.py, which tests do not import
StartProxy = Any
CALLS = 40
PATIENT = {"deadline": "60s", "admission": "off"}


@pytest.fixture
async def swapping(upstream: ScriptedUpstream) -> AsyncIterator[ScriptedUpstream]:
    """A server that answers two requests with ``swap`` in their ids with each other's answers; others get theirs."""
    server = type(upstream)()
    scripted = server.infer
    waiting: list[tuple[bytes, asyncio.Future[bytes]]] = []

    async def infer(body: bytes, context: Any) -> bytes:
        own: bytes = await scripted(body, context)
        if "swap" not in pb.ModelInferRequest.FromString(body).id:
            return own
        if not waiting:
            future = asyncio.get_running_loop().create_future()
            waiting.append((own, future))
            of_another: bytes = await future
            return of_another
        others, future = waiting.pop()
        future.set_result(own)
        return others

    server.infer = infer
    await server.start()
    yield server
    await server.stop()


def outcomes(running: Any) -> dict[str, int]:
    assert running.proxy._ledger.in_flight == 0
    return {outcome.label: count for outcome, count in running.proxy._ledger.outcomes().items() if count}


def results(running: Any, name: str = "default") -> dict[Result, int]:
    """What became of all calls to an upstream of one member."""
    (member,) = running.proxy._pools.by_name[name].membership.members
    return dict(+Counter(member.tally.results))


@pytest.mark.parametrize("kind", ["{0}", "large:{1}"])
async def test_answers_that_an_upstream_swaps_reach_nobody_and_all_others_reach_their_clients(
    kind: str, swapping: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy(upstream=str(swapping.address), **PATIENT)
    # The class, or how many there are, differs from call to call: an answer is known by it, be it small or above a MiB.
    words = {number: kind.format(number % 10, 300_000 + number) for number in range(CALLS)}
    names = {number: f"{word}/{'swap' if number % 2 else 'own'} {number}" for number, word in words.items()}
    ended = await asyncio.gather(
        *(running.infer(name, timeout=60.0) for name in names.values()), return_exceptions=True
    )
    for number, end in enumerate(ended):
        if number % 2:
            assert isinstance(end, grpc.aio.AioRpcError)
            assert end.code() is grpc.StatusCode.INTERNAL
            assert "its id is not the request's" in str(end.details())
            assert "swap" not in str(end.details())
            assert dict(end.trailing_metadata() or ())["tailgate-outcome"] == "upstream_invalid"
        else:
            assert isinstance(end, bytes)
            answer = pb.ModelInferResponse.FromString(end)
            assert answer.id == names[number]
            (tensor,) = answer.outputs
            assert list(tensor.shape) == [1, 300_000 + number if kind.startswith("large") else 10]
    assert outcomes(running) == {"ok": CALLS // 2, "upstream_invalid": CALLS // 2}
    assert results(running) == {Result.ANSWERED: CALLS // 2, Result.INVALID: CALLS // 2}


async def test_over_http_it_is_an_error_of_the_gateways(swapping: ScriptedUpstream, start_proxy: StartProxy) -> None:
    running = await start_proxy(upstream=str(swapping.address), rest="127.0.0.1:0", **PATIENT)
    url = f"http://{running.proxy.rest}/v2/models/scripted/infer"

    async def post(session: aiohttp.ClientSession, name: str) -> tuple[int, Any]:
        inputs = [{"name": "image", "datatype": "UINT8", "shape": [1, 4], "data": [0, 1, 2, 3]}]
        async with session.post(url, data=json.dumps({"id": name, "inputs": inputs})) as response:
            return response.status, await response.json()

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        ended = await asyncio.gather(*(post(session, f"1/{word}") for word in ("swap a", "own", "swap b")))
    assert [status for status, _ in ended] == [502, 200, 502]
    assert ended[1][1]["id"] == "1/own"
    for _, document in (ended[0], ended[2]):
        assert list(document) == ["error"]
        assert "its id is not the request's" in document["error"]
    assert outcomes(running) == {"ok": 1, "upstream_invalid": 2}


async def test_a_copy_that_is_given_anothers_answer_is_scored_as_invalid_and_its_client_has_its_own(
    upstream: ScriptedUpstream, swapping: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    tables = {"default": {"addresses": [str(upstream.address)]}, "next": {"addresses": [str(swapping.address)]}}
    running = await start_proxy(upstream=(), upstreams=tables, routes=[{"to": "default", "shadow": "next"}], **PATIENT)
    for number in range(8):
        await running.infer(f"1/{'swap' if number % 2 else 'own'} {number}", timeout=60.0)
    copies = running.proxy._current.shadows.ledger
    async with asyncio.timeout(60):
        while copies.ended < 8:
            await asyncio.sleep(0.01)
    assert outcomes(running) == {"ok": 8}
    assert {outcome.label: count for outcome, count in copies.outcomes().items() if count} == {
        "ok": 4,
        "upstream_invalid": 4,
    }
    assert results(running, "next") == {Result.ANSWERED: 4, Result.INVALID: 4}


@pytest.mark.parametrize("profile", sorted(PROFILES))
async def test_an_id_that_a_server_makes_up_is_passed_on_where_its_kind_does_so_or_the_request_gave_none(
    profile: str, upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    server = type(upstream)()
    scripted = server.infer

    async def infer(body: bytes, context: Any) -> bytes:
        answer = pb.ModelInferResponse.FromString(await scripted(body, context))
        answer.id = "made up"
        return answer.SerializeToString()

    server.infer = infer
    await server.start()
    try:
        running = await start_proxy(upstream=str(server.address), upstream_profile=profile, **PATIENT)
        nameless = RequestFrame("scripted", "image", "UINT8", (1, 4)).build("", b"abcd")
        answer = await running.send(nameless, timeout=60.0, x_request_id="by its header alone")
        assert pb.ModelInferResponse.FromString(answer).id == "made up"
        if profile == "kserve":
            assert pb.ModelInferResponse.FromString(await running.infer("1/named", timeout=60.0)).id == "made up"
            assert outcomes(running) == {"ok": 2}
            return
        with pytest.raises(grpc.aio.AioRpcError, match="profile kserve"):
            await running.infer("1/named", timeout=60.0)
        assert outcomes(running) == {"ok": 1, "upstream_invalid": 1}
    finally:
        await server.stop()
