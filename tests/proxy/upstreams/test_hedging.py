"""A proxy in front of real servers of which one stalls now and then, which gives slow requests to another as well."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tailgate.policy.attempts import Result
from tailgate.policy.hedging import Unhedged
from tailgate.policy.retry_budget import SHARE

StartProxy = Any  # defined in conftest.py, which tests do not import
StartServers = Any
RunningProxy = Any
Server = Any
Until = Any

OK = grpc.StatusCode.OK
HEDGED = {"hedge_after": 0.99, "hedge_budget": 0.1}


async def start(start_proxy: StartProxy, servers: list[Server], **options: Any) -> tuple[RunningProxy, Any]:
    """A proxy in front of these servers, which hedges as it is told, and its pool."""
    pool: dict[str, Any] = {"addresses": [str(server.address) for server in servers]}
    pool |= options.pop("pool", HEDGED)
    running = await start_proxy(upstream=None, upstreams={"default": pool}, **{"deadline": "60s"} | options)
    return running, running.proxy._pools.by_name["default"]


async def code(running: RunningProxy, name: str, timeout_s: float = 60.0) -> grpc.StatusCode:
    try:
        await running.infer(name, timeout=timeout_s, x_request_id=name)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return OK


async def learn(running: RunningProxy, requests: int = 200) -> None:
    """So many requests, one after another: their time is known then, and something is saved up."""
    for number in range(requests):
        assert await code(running, f"learn{number}") is OK


async def stalled(running: RunningProxy, pool: Any, servers: list[Server], until: Until, name: str) -> Server:
    """A request that came to a server which has stopped answering, and that another one answered; returns the first.

    Where the machine was so busy that nobody seemed well just then, the first one answers, and another request is sent.
    """
    unhedged = sum(pool.hedges.hedging.unhedged.values())
    made = {address: tally.hedges for address, tally in pool.membership.tallies.items()}
    for server in servers:
        server.does = "hold"
        server.released.clear()
    request = asyncio.ensure_future(code(running, name))

    def hedged() -> list[Server]:
        return [one for one in servers if pool.membership.tallies[str(one.address)].hedges > made[str(one.address)]]

    await until(lambda: hedged() or sum(pool.hedges.hedging.unhedged.values()) > unhedged)
    (other,) = hedged() or [None]
    for server in [other] if other else servers:
        server.does = "answer"
        server.released.set()
    assert await request is OK
    if other is None:
        return await stalled(running, pool, servers, until, f"{name}'")
    (first,) = (server for server in servers if server is not other)
    await until(lambda: name in first.cancelled or name not in first.started)
    first.does = "answer"
    return first


def tallies(pool: Any) -> tuple[int, int, int]:
    """Hedges that were made, that won, and calls that were overtaken."""
    counts = pool.membership.tallies.values()
    return (
        sum(one.hedges for one in counts),
        sum(one.hedges_won for one in counts),
        sum(one.results[Result.OVERTAKEN] for one in counts),
    )


async def test_a_request_whose_member_stalls_is_answered_by_another_and_the_first_call_is_cancelled(
    start_servers: StartServers, start_proxy: StartProxy, until: Until
) -> None:
    servers = await start_servers(2)
    running, pool = await start(start_proxy, servers)
    await learn(running)
    before = tallies(pool)
    first = await stalled(running, pool, servers, until, "stalls")
    (other,) = (server for server in servers if server is not first)
    assert other.finished[-1] not in first.finished
    made, won, overtaken = (now - then for now, then in zip(tallies(pool), before, strict=True))
    assert (made, won, overtaken) == (1, 1, 1)
    assert all(member.outstanding == 0 for member in pool.membership.members)
    (counts,) = running.proxy._current.entrances.counts().values()
    assert counts.in_flight == 0
    assert not any(member.ejection.out(running.proxy._clock()) for member in pool.membership.members)


async def test_the_books_balance_and_the_metrics_say_what_was_made(
    start_servers: StartServers, start_proxy: StartProxy, until: Until, tmp_path: Path
) -> None:
    servers = await start_servers(2)
    running, pool = await start(start_proxy, servers, trace=str(tmp_path))
    await learn(running)
    for number in range(5):
        await stalled(running, pool, servers, until, f"stalls{number}")
    requests = running.proxy._ledger.received
    assert requests >= 205
    made, won, overtaken = tallies(pool)
    assert made == overtaken
    assert 5 <= won <= made <= SHARE * requests
    assert sum(sum(tally.results.values()) for tally in pool.membership.tallies.values()) == requests + made
    assert sum(len(server.started) for server in servers) <= requests + made
    assert running.proxy._ledger.received == running.proxy._ledger.ended == requests
    async with aiohttp.ClientSession() as session, session.get(f"http://{running.admin}/metrics") as response:
        families = {family.name: family for family in text_string_to_metric_families(await response.text())}
    totals = {
        name: sum(sample.value for sample in families[name].samples if sample.name.endswith("_total"))
        for name in ("tailgate_upstream_hedges", "tailgate_upstream_hedges_won")
    }
    assert totals == {"tailgate_upstream_hedges": made, "tailgate_upstream_hedges_won": won}
    reasons = {sample.labels["reason"] for sample in families["tailgate_unhedged"].samples}
    assert reasons == {"alone", "busy", "too_late", "budget"}
    async with aiohttp.ClientSession() as session, session.get(f"http://{running.admin}/status.json") as response:
        status = json.loads(await response.text())
    assert sum(one["hedges"] for one in status["upstreams"]) == made


async def test_no_more_than_the_budget_is_made_however_many_stall(
    start_servers: StartServers, start_proxy: StartProxy, until: Until
) -> None:
    servers = await start_servers(2)
    running, pool = await start(start_proxy, servers, pool=HEDGED | {"hedge_budget": 0.02})
    await learn(running)
    for server in servers:
        server.does = "hold"
    held = [asyncio.ensure_future(code(running, f"held{n}")) for n in range(20)]
    hedging = pool.hedges.hedging
    await until(lambda: sum(hedging.unhedged.values()) + tallies(pool)[0] >= 20)
    for server in servers:
        server.released.set()
    assert await asyncio.gather(*held) == [OK] * 20
    assert tallies(pool)[0] <= 0.02 * 220


@pytest.mark.parametrize(("members", "pool"), [(2, {}), (1, HEDGED)])
async def test_without_the_option_or_without_another_member_nothing_is_hedged(
    start_servers: StartServers, start_proxy: StartProxy, members: int, pool: dict[str, Any]
) -> None:
    servers = await start_servers(members)
    running, built = await start(start_proxy, servers, pool=pool)
    await learn(running)
    for server in servers:
        server.does = "sleep:0.5"
    assert await code(running, "slow") is OK
    assert tallies(built) == (0, 0, 0)
    assert sum("slow" in server.started for server in servers) == 1
    hedging = built.hedges.hedging
    assert hedging is None or sum(hedging.unhedged.values()) > 0


async def test_under_overload_nothing_is_hedged(
    start_servers: StartServers, start_proxy: StartProxy, until: Until
) -> None:
    servers = await start_servers(2)
    running, pool = await start(start_proxy, servers, admission="fixed", upstream_limit=1)
    await learn(running)
    hedging = pool.hedges.hedging
    before = hedging.unhedged[Unhedged.BUSY]
    for server in servers:
        server.does = "hold"
    held = [asyncio.ensure_future(code(running, f"held{n}")) for n in range(12)]
    await until(lambda: running.proxy._current.entrances.waiting == 11)
    await until(lambda: hedging.unhedged[Unhedged.BUSY] > before)
    for server in servers:
        server.released.set()
    assert await asyncio.gather(*held) == [OK] * 12
    assert tallies(pool) == (0, 0, 0)


async def test_hedging_can_be_switched_on_and_off_while_the_proxy_runs(
    start_servers: StartServers, start_proxy: StartProxy, until: Until
) -> None:
    servers = await start_servers(2)
    running, pool = await start(start_proxy, servers, pool={})
    hedged = running.config.upstreams["default"].model_copy(update=HEDGED)
    await running.proxy.change(running.config.model_copy(update={"upstreams": {"default": hedged}}))
    await learn(running)
    await stalled(running, pool, servers, until, "stalls")
    made, won, _ = tallies(pool)
    assert won >= 1
    await running.proxy.change(running.config)
    for server in servers:
        server.does = "sleep:0.5"
    assert await code(running, "slow") is OK
    assert tallies(pool)[0] == made
