"""Real proxies that copy requests to another server: clients notice nothing, and the copies have books of their own."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tailgate.config import read_config
from tailgate.pb import inference_pb2 as pb
from tailgate.policy.routing import uniform
from tailgate.protocol.envelope import RequestFrame
from tailgate.trace.files import read_folder
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.shadows import shadows as bounds

Fixture = Any  # defined in conftest.py, which tests do not import


def body(request_id: str, size: int = 4) -> bytes:
    return RequestFrame("scripted", "image", "UINT8", (1, size)).build(request_id, bytes(size))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def samples(running: Fixture, name: str) -> list[tuple[dict[str, str], float]]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{running.admin}/metrics") as response:
        text = await response.text()
    return [
        (sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.value
    ]


async def counted(running: Fixture, name: str, *labels: str) -> dict[Any, float]:
    """By one label, or by several together."""
    found: dict[Any, float] = defaultdict(float)
    for own, value in await samples(running, name):
        key = tuple(own[label] for label in labels)
        found[key if len(labels) > 1 else key[-1]] += value
    return dict(found)


def at_rest(running: Fixture) -> bool:
    shadows = running.proxy._current.shadows
    under_way = (shadows.ledger.in_flight, shadows.held_bytes, shadows._at_once, running.proxy._ledger.in_flight)
    return under_way == (0, 0, 0, 0)


async def test_a_copy_is_what_the_original_was_and_its_answer_is_scored_and_given_to_nobody(
    start_upstreams: Fixture, start_proxy: Fixture, before: Fixture, tmp_path: Path
) -> None:
    upstreams = await start_upstreams("default", "next")
    running = await start_proxy(
        **before(upstreams, next={"version_suffix": "-next"}),
        routes=[{"to": "default", "shadow": "next"}],
        forward_metadata="x-team",
        trace=str(tmp_path),
    )
    for name, label in (("1/right", "1"), ("2/wrong", "1"), ("3/unlabelled", None)):
        metadata = {"x_team": "red"} | ({} if label is None else {"tailgate_label": label})
        await running.infer(name, **metadata)
        await running.infer(f"{name} twice", **metadata)
    await until(lambda: len(upstreams["next"].finished) == 6)
    await until(lambda: at_rest(running))
    for name, copied in upstreams["next"].bodies.items():
        assert copied == upstreams["default"].bodies[name]
        sent, original = dict(upstreams["next"].metadata[name]), dict(upstreams["default"].metadata[name])
        assert sent.pop("tailgate-shadow") == "1"
        assert (sent["x-team"], sent["x-request-id"]) == (original["x-team"], original["x-request-id"])
        assert "tailgate-shadow" not in original
        assert upstreams["next"].timeouts_s[name] <= 30.0
    series = ("model", "version", "outcome")
    assert await counted(running, "tailgate_requests_total", *series) == {("scripted", "1", "ok"): 6}
    assert await counted(running, "tailgate_shadow_requests_total", *series) == {("scripted", "1-next", "ok"): 6}
    verdicts = {"right": 2, "wrong": 2}
    assert await counted(running, "tailgate_labelled_requests_total", "verdict") == verdicts
    assert await counted(running, "tailgate_shadow_labelled_requests_total", "verdict") == verdicts
    assert await counted(running, "tailgate_shadow_agreements_total", "version", "class") == {("1-next", "same"): 6}
    assert await counted(running, "tailgate_model_info", "version") == {"1": 1}
    await running.channel.close()
    await running.proxy.stop()
    rows = [name for contents in read_folder(tmp_path) for name in contents.records["request_id"].tolist()]
    assert len(rows) == len(set(rows)) == 6


async def test_whatever_becomes_of_the_copy_the_client_has_its_answer_and_the_copy_its_outcome(
    start_upstreams: Fixture, start_proxy: Fixture, before: Fixture
) -> None:
    upstreams = await start_upstreams("default", "next")
    running = await start_proxy(**before(upstreams), routes=[{"to": "default", "shadow": "next"}], deadline="4s")
    shadow = upstreams["next"]
    scripted = shadow.infer

    async def infer(request: bytes, context: Any) -> bytes:
        """The word behind the slash is for the shadow alone."""
        word = request.partition(b"/for shadow ")[2].partition(b";")[0].decode()
        if not word:
            answer: bytes = await scripted(request, context)
            return answer
        answer = await scripted(body(f"{word}/x"), context)
        # Of several the last counts, and a server repeats the id of what it was really asked.
        asked = pb.ModelInferRequest.FromString(request).id
        return answer + pb.ModelInferResponse(id=asked).SerializeToString()

    await shadow.stop()
    shadow.infer = infer
    await shadow.start()
    pool = running.proxy._pools.by_name["next"]
    await until(lambda: pool.membership.ready)
    expected: Counter[str] = Counter()
    for word, outcome in (
        ("sleep:60", "deadline_in_flight"),
        ("garbage", "upstream_invalid"),
        ("status:13", "upstream_error"),
        ("status:3", "rejected_invalid"),
        ("2", "ok"),
    ):
        await running.infer(f"1/for shadow {word};", tailgate_label="1")
        expected[outcome] += 1
    await until(lambda: at_rest(running))
    assert await counted(running, "tailgate_shadow_requests_total", "outcome") == expected
    assert await counted(running, "tailgate_shadow_agreements_total", "class") == {"other": 1}
    assert await counted(running, "tailgate_shadow_labelled_requests_total", "verdict") == {"wrong": 1, "unknown": 4}
    await until(lambda: shadow.cancelled)  # what hangs is ended there, too, at the deadline
    await shadow.stop()
    await running.infer("1/nobody is there")
    await until(lambda: at_rest(running))
    assert (await counted(running, "tailgate_shadow_requests_total", "outcome"))["upstream_unavailable"] == 1
    assert await counted(running, "tailgate_requests_total", "outcome") == {"ok": 6}
    assert sum(one.outstanding for one in pool.membership.members) == 0


async def test_a_share_is_copied_and_the_same_ids_every_time(
    start_upstreams: Fixture, start_proxy: Fixture, before: Fixture
) -> None:
    upstreams = await start_upstreams("default", "next")
    running = await start_proxy(**before(upstreams), routes=[{"to": "default", "shadow": "next", "shadow_share": 0.3}])
    names = [f"1/{number}" for number in range(40)]
    for name in names * 2:
        await running.infer(name)
    await until(lambda: at_rest(running))
    chosen = [name for name in names if uniform("next", name.encode(), b"shadow") < 0.3]
    assert 0 < len(chosen) < 40
    assert Counter(upstreams["next"].started) == Counter(chosen * 2)


async def test_copies_are_the_first_to_give_way_and_what_is_dropped_is_counted(
    start_upstreams: Fixture, start_proxy: Fixture, before: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstreams = await start_upstreams("default", "next")
    running = await start_proxy(
        **before(upstreams), routes=[{"to": "default", "shadow": "next"}], deadline="60s", max_in_flight=8
    )
    shadows = running.proxy._current.shadows
    dropped: Counter[str] = Counter()

    async def drops(reason: str) -> None:
        dropped[reason] += 1
        assert await counted(running, "tailgate_shadow_dropped_total", "reason") == dropped
        assert upstreams["next"].started == []

    monkeypatch.setattr(bounds, "LARGEST_BYTES", 10_000)
    await running.send(body("1/too large", 20_000))
    await drops("too_large")
    monkeypatch.setattr(bounds, "HELD_BYTES", 5_000)
    await running.send(body("1/no room", 6_000))
    await drops("no_room")
    monkeypatch.setattr(bounds, "MOST", 0)
    await running.infer("1/busy")
    await drops("busy")
    monkeypatch.setattr(bounds, "MOST", 64)
    shadows.soon = lambda _what: None  # what is copied now stays as long as its original
    slow = [asyncio.create_task(running.infer(f"hold/{number}")) for number in range(3)]
    await until(lambda: len(upstreams["default"].started) == 6)
    await running.infer("1/one too many")  # the fourth of eight
    await drops("overload")
    upstreams["default"].released.set()
    await asyncio.gather(*slow)
    assert await counted(running, "tailgate_requests_total", "outcome") == {"ok": 7}


async def test_what_never_went_to_its_upstream_is_not_copied(
    start_upstreams: Fixture, start_proxy: Fixture, before: Fixture
) -> None:
    upstreams = await start_upstreams("default", "next")
    running = await start_proxy(**before(upstreams), routes=[{"to": "default", "shadow": "next"}])
    await upstreams["default"].stop()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.infer("1/nobody")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await until(lambda: at_rest(running))
    assert await counted(running, "tailgate_shadow_dropped_total", "reason") == {"unsent": 1}
    assert upstreams["next"].started == []


async def test_a_body_in_pieces_is_copied_whole(
    start_upstreams: Fixture, start_proxy: Fixture, before: Fixture
) -> None:
    upstreams = await start_upstreams("default", "next")
    running = await start_proxy(**before(upstreams), routes=[{"to": "default", "shadow": "next"}], deadline="60s")
    for size in (70_000, 3_000_000):
        await running.send(body(f"1/{size}", size), timeout=60.0)
    await until(lambda: len(upstreams["next"].finished) == 2)
    await until(lambda: at_rest(running))
    assert upstreams["next"].bodies == upstreams["default"].bodies


async def test_a_shadow_comes_and_goes_with_the_configuration_and_a_stop_ends_what_is_left(
    start_upstreams: Fixture, start_proxy: Fixture, before: Fixture
) -> None:
    upstreams = await start_upstreams("default", "next")
    alone = before({"default": upstreams["default"]})
    running = await start_proxy(**alone)
    await running.infer("1/before")
    assert await samples(running, "tailgate_shadow_dropped_total") == []

    async def change(**settings: object) -> None:
        given = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "deadline": "60s"} | settings
        await running.proxy.change(read_config(ProxyConfig, None, given))

    await change(**before(upstreams), routes=[{"to": "default", "shadow": "next"}])
    await running.infer("1/mirrored")
    await until(lambda: upstreams["next"].finished == ["1/mirrored"])
    await change(**alone)
    await running.infer("1/after")
    assert upstreams["next"].started == ["1/mirrored"]
    await change(**before(upstreams), routes=[{"to": "default", "shadow": "next"}])
    shadow = upstreams["next"]
    scripted = shadow.infer
    await shadow.stop()

    async def hang(_request: bytes, context: Any) -> bytes:
        answer: bytes = await scripted(body("sleep:60/hangs"), context)
        return answer

    shadow.infer = hang
    await shadow.start()
    await until(lambda: running.proxy._pools.by_name["next"].membership.ready)
    await running.infer("1/left behind")
    await until(lambda: "sleep:60/hangs" in shadow.started)
    await running.channel.close()
    await running.proxy.stop()
    ledger = running.proxy._current.shadows.ledger
    assert ledger.in_flight == 0
    assert {outcome.label: count for outcome, count in ledger.outcomes().items() if count} == {"ok": 1, "draining": 1}
    assert at_rest(running)
