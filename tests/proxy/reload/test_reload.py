"""Real proxies that get another configuration while requests are under way: none is lost, none is counted twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tailgate.config import read_config
from tailgate.protocol.envelope import RequestFrame
from tailgate.protocol.names import MODEL_INFER
from tailgate.trace.files import read_folder
from tailgate_proxy import current
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.reload.reloader import Reloader
from tailgate_proxy.reload.source import Source

Fixture = Any  # defined in conftest.py, which tests do not import


def body(request_id: str, model: str = "scripted") -> bytes:
    return RequestFrame(model, "image", "UINT8", (1, 4)).build(request_id, b"abcd")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def metrics(running: Fixture) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{running.admin}/metrics") as response:
        text = await response.text()
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


async def change(running: Fixture, **settings: object) -> None:
    """As a file would say it: with ports that are any."""
    given = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "deadline": "30s", "drain_grace": "2s"} | settings
    await running.proxy.change(read_config(ProxyConfig, None, given))


async def test_a_request_goes_on_by_what_it_began_with_and_the_next_by_what_came_after(
    start_upstreams: Fixture, start_proxy: Fixture, before: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "CONTROL_TIMEOUT_S", 0.05)
    upstreams = await start_upstreams("default", "old", "new")
    to_old = before({name: upstreams[name] for name in ("default", "old")})
    to_new = before({name: upstreams[name] for name in ("default", "new")})
    running = await start_proxy(**to_old, routes=[{"to": "old"}], deadline="60s")
    ledger, pools = running.proxy._ledger, running.proxy._pools

    at_upstream = asyncio.create_task(running.infer("hold/at the upstream"))
    release = asyncio.Event()

    async def late_body() -> AsyncIterator[bytes]:
        await release.wait()
        yield body("1/without a body yet")

    call: Any = running.channel.stream_unary(MODEL_INFER)(late_body(), timeout=60.0)
    await until(lambda: ledger.in_flight == 2 and upstreams["old"].started)

    # For what comes from now on there is another upstream, another deadline, and room for nobody.
    await change(running, **to_new, routes=[{"to": "new"}], deadline="2s", max_in_flight=1)
    assert set(pools.by_name) == {"default", "new"}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.infer("1/no room")
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await change(running, **to_new, routes=[{"to": "new"}], deadline="2s")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.infer("hold/too slow now")
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "old" in pools._retired
    release.set()
    await call
    upstreams["old"].released.set()
    await at_upstream
    assert upstreams["old"].finished == ["1/without a body yet", "hold/at the upstream"]
    assert upstreams["new"].started == ["hold/too slow now"]
    await until(lambda: not pools._retired)  # nobody needs it any more
    assert {name for name, _ in pools.counts()} == {"default", "new"}
    assert ledger.in_flight == 0


async def test_an_upstream_that_comes_back_before_it_is_let_go_is_the_same_and_stays(
    start_upstreams: Fixture, start_proxy: Fixture, before: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "CONTROL_TIMEOUT_S", 3.0)
    upstreams = await start_upstreams("default", "other")
    both, one = before(upstreams), before({"default": upstreams["default"]})
    running = await start_proxy(**both, routes=[{"to": "other"}])
    pools = running.proxy._pools
    pool = pools.by_name["other"]
    await running.infer("1/before")
    await change(running, **one)
    await change(running, **both, routes=[{"to": "other"}])
    assert pools.by_name["other"] is pool
    await asyncio.gather(*running.proxy._current._retiring)
    await running.infer("1/after")
    assert upstreams["other"].started == ["1/before", "1/after"]
    monkeypatch.setattr(current, "CONTROL_TIMEOUT_S", 0.05)
    await change(running, **one)
    await until(lambda: not pools._retired)
    await change(running, **both, routes=[{"to": "other"}])
    assert pools.by_name["other"] is not pool
    await running.infer("1/anew")


async def test_an_upstream_that_is_let_go_with_calls_that_were_left_to_finish_keeps_no_places(
    start_upstreams: Fixture, start_proxy: Fixture, before: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "CONTROL_TIMEOUT_S", 0.05)
    monkeypatch.setattr(current, "LEFT_S", 0.5)
    upstreams = await start_upstreams("default", "old")
    both = before(upstreams, old={"profile": "mlserver"})
    running = await start_proxy(**both, routes=[{"to": "old"}], deadline="60s", admission="adaptive")
    with pytest.raises(grpc.aio.AioRpcError):
        await running.infer("sleep:60/a", tailgate_deadline_ms="2000")
    entrances = running.proxy._current.entrances
    assert entrances.counts()["old"].in_flight == 1
    await change(running, **before({"default": upstreams["default"]}), admission="adaptive")
    assert entrances.counts().keys() == {"default", "old"}
    await until(lambda: not running.proxy._pools._retired)
    await until(lambda: entrances.counts().keys() == {"default"})  # nor anything else that would show in a metric


async def test_calls_that_nobody_waits_for_and_that_may_not_be_cancelled_finish_before_their_upstream_is_let_go(
    start_upstreams: Fixture, start_proxy: Fixture, before: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "CONTROL_TIMEOUT_S", 0.05)
    upstreams = await start_upstreams("default", "old")
    both = before(upstreams, old={"profile": "mlserver"})
    running = await start_proxy(**both, routes=[{"to": "old"}], deadline="60s")
    with pytest.raises(grpc.aio.AioRpcError):
        await running.infer("hold/a", tailgate_deadline_ms="2000")
    await change(running, **before({"default": upstreams["default"]}))
    await asyncio.sleep(3)  # longer than is waited for such calls when the proxy stops
    assert (upstreams["old"].started, upstreams["old"].cancelled) == (["hold/a"], [])
    upstreams["old"].released.set()
    await until(lambda: not running.proxy._pools._retired)
    assert (upstreams["old"].finished, upstreams["old"].cancelled) == (["hold/a"], [])


async def test_what_admission_knows_of_a_new_upstream_shows_before_its_first_request(
    start_upstreams: Fixture, start_proxy: Fixture, before: Fixture
) -> None:
    upstreams = await start_upstreams("default", "new")
    running = await start_proxy(**before({"default": upstreams["default"]}), admission="adaptive")
    await change(running, **before(upstreams), admission="adaptive")
    limits = (await metrics(running))["tailgate_admission_limit"]
    assert limits.keys() == {(("pool", "default"),), (("pool", "new"),)}


async def test_addresses_of_an_upstream_change_and_those_that_stay_keep_what_is_known_of_them(
    start_upstreams: Fixture, start_proxy: Fixture
) -> None:
    upstreams = await start_upstreams("a", "b")
    a, b = (str(upstreams[name].address) for name in "ab")
    running = await start_proxy(upstream=a)
    pool = running.proxy._pools.by_name["default"]
    (member,) = pool.membership.members
    await running.infer("1/only a")
    await change(running, upstream=f"{a},{b}", upstream_profile="mlserver")
    assert pool.membership.members[0] is member
    assert not pool.profile.cancels
    await until(lambda: all(one.health.ready(pool._clock()) for one in pool.membership.members))
    slow = asyncio.create_task(running.infer("hold/still there"))
    await until(lambda: upstreams["a"].started[1:] or upstreams["b"].started)
    await change(running, upstream=b)
    for number in range(5):
        await running.infer(f"1/only b {number}")
    upstreams["a"].released.set()
    upstreams["b"].released.set()
    await slow
    assert not [name for name in upstreams["a"].started if name.startswith("1/only b")]
    assert len(upstreams["a"].finished) + len(upstreams["b"].finished) == 7


async def test_objectives_deadlines_and_roles_in_the_metrics_follow(start_proxy: Fixture, upstream: Fixture) -> None:
    running = await start_proxy(objective=0.9)
    await running.infer("1/first", tailgate_label="1")
    found = await metrics(running)
    model = (("model", "scripted"),)
    assert found["tailgate_objective_ratio"][model] == 0.9
    assert found["tailgate_deadline_seconds"][model] == 30.0
    models = {"scripted": {"objective": 0.8, "deadline": "3s", "canary": ["1"]}, "fresh": {"deadline": "1s"}}
    await change(running, upstream=str(upstream.address), models=models)
    found = await metrics(running)
    assert found["tailgate_objective_ratio"] == {model: 0.8}
    assert found["tailgate_deadline_seconds"] == {model: 3.0, (("model", "fresh"),): 1.0}
    roles = {dict(labels)["version"]: dict(labels)["role"] for labels in found["tailgate_model_info"]}
    assert roles == {"1": "canary"}
    picture = running.proxy._picture()["quality"]["series"]
    assert {(one["model"], one["objective"], one["deadline_s"]) for one in picture} == {("scripted", 0.8, 3.0)}
    assert found["tailgate_detector_statistic"]
    await change(running, upstream=str(upstream.address))
    found = await metrics(running)
    assert found.get("tailgate_objective_ratio", {}) == {}
    assert found.get("tailgate_detector_statistic", {}) == {}


async def test_fifty_reloads_under_load_lose_nothing_and_the_books_balance(
    start_upstreams: Fixture,
    start_proxy: Fixture,
    before: Fixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(current, "CONTROL_TIMEOUT_S", 0.01)
    upstreams = await start_upstreams("default", "one", "two")

    def having(*names: str) -> dict[str, object]:
        options: dict[str, object] = before({name: upstreams[name] for name in names})
        return options | {"trace": str(tmp_path), "deadline": "60s"}

    swapped = {"upstream": (), "upstreams": {"one": {"addresses": [str(upstreams["two"].address)]}}}
    configurations: list[dict[str, object]] = [
        having("default", "one") | {"routes": [{"model": "a", "to": {"default": 1, "one": 1}}]},
        having("default", "one", "two") | {"routes": [{"model": "*", "to": "two"}], "mode": "observe"},
        having("two") | {"models": {"a": {"deadline": "50s"}}, "max_in_flight": 500},
        having("one") | swapped | {"forward_metadata": "*", "objective": 0.5},
    ]
    running = await start_proxy(**configurations[0])
    sent: list[str] = []
    stopping = False

    async def client(number: int) -> None:
        while not stopping:
            name = f"sleep:0.01/{number}/{len(sent)}" if number % 2 else f"1/{number}/{len(sent)}"
            sent.append(name)
            await running.send(body(name, "ab"[number % 2]), timeout=60.0, tailgate_label="1")

    clients = [asyncio.create_task(client(number)) for number in range(6)]
    for number in range(1, 51):
        await change(running, **configurations[number % len(configurations)])
        found = await metrics(running)
        ended = sum(found["tailgate_requests_total"].values())
        assert sum(found["tailgate_received_total"].values()) == ended + found["tailgate_in_flight"][()]
    stopping = True
    await asyncio.gather(*clients)  # whoever was refused, late or lost would raise here
    await until(lambda: running.proxy._ledger.in_flight == 0)
    assert len(sent) > 50
    assert len(set(sent)) == len(sent)
    reached = Counter(name for one in upstreams.values() for name in one.finished)
    assert reached == Counter(sent)
    found = await metrics(running)
    by_outcome: Counter[str] = Counter()
    for labels, count in found["tailgate_requests_total"].items():
        by_outcome[dict(labels)["outcome"]] += int(count)
    assert +by_outcome == {"ok": len(sent)}
    assert sum(found["tailgate_upstream_outstanding"].values()) == 0
    assert running.proxy._held.bytes == 0
    await until(lambda: not running.proxy._current._retiring)
    assert len(running.proxy._current._observes) <= 7  # those of the last reload that had requests, and the newest
    await running.channel.close()
    await running.proxy.stop()
    traced = [name.decode() for contents in read_folder(tmp_path) for name in contents.records["request_id"].tolist()]
    assert Counter(traced) == Counter(sent)


def write(file: Path, text: str) -> None:
    """As whoever deploys it should: never half."""
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(file)


async def test_a_bad_file_keeps_the_old_one_whole_and_says_so_in_log_and_metrics(
    upstream: Fixture, start_proxy: Fixture, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 55 of the fault matrix."""
    caplog.set_level("INFO")
    file = tmp_path / "proxy.toml"
    good = (
        f'upstream = "{upstream.address}"\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\ndeadline = "30s"\n'
        f'drain_grace = "2s"\n'
    )
    file.write_text(good)
    running = await start_proxy()
    source = Source(file, {}, read_config(ProxyConfig, file, {}))
    reloads = running.proxy.reloads
    reloader = Reloader(source, running.proxy.change, reloads)
    keeping = asyncio.create_task(reloader.keep_reloading())

    async def reload() -> dict[str, float]:
        done = reloads.counts.successes + reloads.counts.failures
        reloader.ask()
        await until(lambda: reloads.counts.successes + reloads.counts.failures == done + 1)
        found = await metrics(running)
        total = found["tailgate_config_reloads_total"]
        return {
            "success": found["tailgate_config_reload_success"][()],
            "at": found["tailgate_config_reload_success_timestamp_seconds"][()],
            "good": total[("result", "success"),],
            "bad": total[("result", "failure"),],
        }

    began_s = reloads.counts.success_unix_s
    for number, (text, sentence) in enumerate(
        [
            ("upstream = ", "is not TOML"),
            (good.replace("30s", "5"), "deadline is '5'; expected a number above zero with its unit"),
            (
                good + 'mode = "observe"\ntrace = "runs"\n',
                "trace cannot change while the proxy runs, from none to runs",
            ),
            (good.replace("listen", "listne"), "listne is not known; did you mean 'listen'?"),
            (good + 'mode = "default-answer"\n', "default_answer is missing"),
            (good + '[[routes]]\nto = "nobody"\n', "which is no upstream"),
        ],
        1,
    ):
        write(file, text)
        shown = await reload()
        assert shown == {"success": 0, "at": pytest.approx(began_s), "good": 0, "bad": number}
        assert sentence in caplog.text
        assert "the configuration in use stays in use" in caplog.text
        assert running.proxy._current.config.mode == "enforce"
        await running.infer(f"1/{number}")
    file.unlink()
    assert (await reload())["bad"] == 7
    write(file, good + "objective = 0.7\n")
    shown = await reload()
    assert (shown["success"], shown["good"], shown["bad"]) == (1, 1, 7)
    assert shown["at"] > began_s
    assert "what has changed: objective" in caplog.text
    assert running.proxy._current.config.objective == 0.7
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
