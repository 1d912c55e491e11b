"""A proxy in front of several real servers: who gets calls, what becomes of them, and that the books balance."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tailgate.policy.attempts import Result
from tailgate.policy.ejection import CONSECUTIVE
from tailgate.policy.retry_budget import FLOOR
from tailgate_proxy.call import MOST_TRIES
from tailgate_proxy.upstreams.pool import Pool

StartProxy = Any  # defined in conftest.py, which tests do not import
StartServers = Any
RunningProxy = Any
Server = Any
Until = Any

OK = grpc.StatusCode.OK


async def start(start_proxy: StartProxy, servers: list[Server], **options: object) -> tuple[RunningProxy, Pool]:
    """A proxy in front of these servers, which sends on whatever comes, and its pool."""
    given = {"deadline": "60s", "admission": "off"} | options
    running = await start_proxy(upstream=",".join(str(server.address) for server in servers), **given)
    return running, running.proxy._pools.by_name["default"]


async def code(running: RunningProxy, name: str, timeout_s: float | None = 60.0) -> grpc.StatusCode:
    try:
        await running.infer(name, timeout=timeout_s, x_request_id=name)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return OK


async def codes(running: RunningProxy, count: int, at_once: int = 1, prefix: str = "r") -> Counter[grpc.StatusCode]:
    """So many requests, so many of them at once: how often each status came."""
    names = iter(range(count))

    async def client() -> list[grpc.StatusCode]:
        return [await code(running, f"{prefix}{name}") for name in names]

    parts = await asyncio.gather(*(client() for _ in range(at_once)))
    return Counter(status for part in parts for status in part)


def check_at_rest(pool: Pool, servers: list[Server], requests: int) -> None:
    """Nothing is under way, and every call that a server has seen is one that the proxy knows of."""
    ended = Counter[Result]()
    for member in pool.membership.members:
        assert member.outstanding == 0
    for tally in pool.membership.tallies.values():
        ended.update(tally.results)
    repeats = sum(tally.repeats for tally in pool.membership.tallies.values())
    assert sum(ended.values()) == requests + repeats
    seen = sum(len(server.started) for server in servers)
    never_seen = ended[Result.UNREACHABLE] + ended[Result.REFUSED]
    assert sum(ended.values()) - never_seen - ended[Result.LOST] <= seen <= sum(ended.values()) - never_seen


async def test_calls_are_spread_over_all_members_and_the_books_balance(
    start_servers: StartServers, start_proxy: StartProxy
) -> None:
    servers = await start_servers(3)
    running, pool = await start(start_proxy, servers)
    assert await codes(running, 300, at_once=10) == {OK: 300}
    assert all(len(server.started) > 30 for server in servers)
    check_at_rest(pool, servers, 300)


async def test_a_slow_member_gets_fewer_calls(start_servers: StartServers, start_proxy: StartProxy) -> None:
    slow, fast = servers = await start_servers(2)
    slow.does = "sleep:1"
    running, pool = await start(start_proxy, servers)
    assert await codes(running, 400, at_once=8) == {OK: 400}
    assert len(slow.started) < len(fast.started) / 2
    check_at_rest(pool, servers, 400)


async def test_a_member_that_dies_costs_what_it_had_and_is_used_again_when_it_is_back(
    start_servers: StartServers, start_proxy: StartProxy, until: Until
) -> None:
    mortal, other = servers = await start_servers(2)
    mortal.does = "sleep:10"
    running, pool = await start(start_proxy, servers)
    held = [asyncio.ensure_future(code(running, f"held{n}")) for n in range(8)]
    await until(lambda: len(mortal.started) + len(other.started) == 8)
    lost = len(mortal.started)
    assert lost > 0
    await mortal.stop()
    found = Counter(await asyncio.gather(*held))
    assert found == {OK: 8 - lost, grpc.StatusCode.UNAVAILABLE: lost}
    assert await codes(running, 100, at_once=5) == {OK: 100}  # not one more
    mortal.does = "answer"
    seen = len(mortal.started)
    await mortal.start()
    async with asyncio.timeout(60):
        while len(mortal.started) == seen:
            assert await code(running, "again") is OK
    await codes(running, 1)
    for member in pool.membership.members:
        assert member.outstanding == 0


async def test_an_address_where_nobody_is_costs_no_request(
    start_servers: StartServers, start_proxy: StartProxy
) -> None:
    here, away = servers = await start_servers(2)
    await away.stop()
    running, pool = await start(start_proxy, servers)
    assert await codes(running, 100, at_once=5) == {OK: 100}
    assert len(here.started) == 100
    check_at_rest(pool, servers, 100)


async def test_an_address_that_takes_connections_and_says_nothing_costs_no_request(
    start_servers: StartServers, start_proxy: StartProxy
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        writer.close()

    mute = await asyncio.start_server(silent, "127.0.0.1", 0)
    servers = await start_servers(1)
    address = f"127.0.0.1:{mute.sockets[0].getsockname()[1]}"
    running = await start_proxy(upstream=f"{address},{servers[0].address}", deadline="60s")
    assert await codes(running, 100, at_once=5) == {OK: 100}
    check_at_rest(running.proxy._pools.by_name["default"], servers, 100)
    mute.close()


@pytest.mark.parametrize("fault", ["status:13", "status:2", "garbage"])
async def test_a_member_whose_calls_fail_is_left_out_though_it_says_that_it_is_ready(
    fault: str, start_servers: StartServers, start_proxy: StartProxy, until: Until
) -> None:
    bad, good = servers = await start_servers(2)
    running, pool = await start(start_proxy, servers)
    bad.does = fault
    (member,) = (one for one in pool.membership.members if one.name == str(bad.address))
    failed = requests = 0
    async with asyncio.timeout(60):
        while not member.tally.ejections:
            failed += await code(running, f"first{requests}") is not OK
            requests += 1
    assert failed == CONSECUTIVE
    seen = len(bad.started)
    while member.ejection.out(pool._clock()) and requests < 300:
        failed += await code(running, f"out{requests}") is not OK
        requests += 1
    # A call that came when it was on trial has put it out again.
    assert len(bad.started) - seen == failed - CONSECUTIVE == member.tally.ejections - 1
    bad.does = "answer"
    await until(lambda: not member.ejection.out(pool._clock()))
    seen = len(bad.started)
    async with asyncio.timeout(60):
        while len(bad.started) == seen:
            assert await code(running, f"back{requests}") is OK
            requests += 1
    check_at_rest(pool, servers, requests)
    assert len(good.started) + len(bad.started) == requests


async def test_where_all_fail_all_are_used(start_servers: StartServers, start_proxy: StartProxy) -> None:
    servers = await start_servers(3)
    running, pool = await start(start_proxy, servers)
    for server in servers:
        server.does = "status:13"
    panic = False
    for number in range(50):
        assert await codes(running, 3, at_once=3, prefix=f"r{number}/") == {grpc.StatusCode.INTERNAL: 3}
        panic = panic or pool.membership.panic
    assert panic
    seen = [len(server.started) for server in servers]
    assert min(seen) > 15
    for server in servers:
        server.does = "answer"
    assert await codes(running, 30) == {OK: 30}  # at once: nobody waits for an ejection to end
    check_at_rest(pool, servers, 180)


async def test_a_member_that_hangs_is_left_out_though_its_probes_look_well(
    start_servers: StartServers, start_proxy: StartProxy
) -> None:
    stuck, well = servers = await start_servers(2)
    running, pool = await start(start_proxy, servers, deadline="3s")
    stuck.does = "sleep:600"
    (member,) = (one for one in pool.membership.members if one.name == str(stuck.address))
    failed = requests = 0
    async with asyncio.timeout(60):
        while not member.tally.ejections:
            found = await codes(running, 16, at_once=16, prefix=f"r{requests}/")
            failed += 16 - found[OK]
            requests += 16
    assert failed >= CONSECUTIVE
    assert member.health.ready(pool._clock())
    check_at_rest(pool, servers, requests)
    assert len(well.started) == requests - len(stuck.started)


# -- again -------------------------------------------------------------------------------------------------------------


async def test_retries_are_a_tenth_of_the_requests_by_the_servers_own_count(
    start_servers: StartServers, start_proxy: StartProxy
) -> None:
    servers = await start_servers(2)
    running, pool = await start(start_proxy, servers, upstream_profile="tailgate")
    for server in servers:
        server.does = "status:8"
    assert await codes(running, 300, at_once=5) == {grpc.StatusCode.RESOURCE_EXHAUSTED: 300}
    attempts = sum(len(server.started) for server in servers)
    assert 300 < attempts <= 1.1 * 300 + FLOOR
    assert pool.budget.refused >= 300 - (attempts - 300)
    assert not pool.membership.panic  # busy is not broken
    check_at_rest(pool, servers, 300)


async def test_a_refusal_that_has_cost_nothing_is_made_good_elsewhere(
    start_servers: StartServers, start_proxy: StartProxy
) -> None:
    full, free = servers = await start_servers(2)
    running, pool = await start(start_proxy, servers, upstream_profile="triton")
    full.does = "status:14"
    requests = 0
    while len(full.started) < FLOOR:
        assert await code(running, f"r{requests}") is OK
        requests += 1
    assert len(free.started) == requests
    check_at_rest(pool, servers, requests)


async def test_a_failure_that_may_have_cost_something_is_not_tried_again(
    start_servers: StartServers, start_proxy: StartProxy
) -> None:
    servers = await start_servers(2)
    running, pool = await start(start_proxy, servers)  # generic: UNAVAILABLE may have run
    for server in servers:
        server.does = "status:14"
    assert await codes(running, 20) == {grpc.StatusCode.UNAVAILABLE: 20}
    assert sum(len(server.started) for server in servers) == 20
    check_at_rest(pool, servers, 20)


async def test_where_nobody_is_left_to_ask_a_request_ends_at_once(
    start_servers: StartServers, start_proxy: StartProxy
) -> None:
    servers = await start_servers(3)
    running, pool = await start(start_proxy, servers)
    for server in servers:
        await server.stop()
    assert await codes(running, 20, at_once=4) == {grpc.StatusCode.UNAVAILABLE: 20}
    ended = sum(sum(tally.results.values()) for tally in pool.membership.tallies.values())
    assert 20 <= ended <= 20 * MOST_TRIES
    check_at_rest(pool, servers, 20)


# -- what is shown -----------------------------------------------------------------------------------------------------


async def test_status_and_metrics_tell_of_every_member(start_servers: StartServers, start_proxy: StartProxy) -> None:
    here, away = servers = await start_servers(2)
    running, _ = await start(start_proxy, servers)
    await codes(running, 10)
    await away.stop()
    async with aiohttp.ClientSession() as session, asyncio.timeout(60):
        while True:
            async with session.get(f"http://{running.admin}/status.json") as response:
                status = json.loads(await response.text())
            if not all(one["ready"] for one in status["upstreams"]):
                break
            await asyncio.sleep(0.05)
        async with session.get(f"http://{running.admin}/metrics") as response:
            families = {family.name: family for family in text_string_to_metric_families(await response.text())}
        async with session.get(f"http://{running.admin}/readyz") as response:
            assert response.status == 200
    assert status["upstream"]["ready"]
    shown = {one["address"]: one for one in status["upstreams"]}
    assert [shown[str(server.address)]["ready"] for server in (here, away)] == [True, False]
    assert [shown[str(server.address)]["attempts"]["answered"] for server in servers] == [
        len(server.started) for server in servers
    ]
    up = {sample.labels["upstream"]: sample.value for sample in families["tailgate_upstream_up"].samples}
    assert up == {str(here.address): 1.0, str(away.address): 0.0}
    answered = {
        sample.labels["upstream"]: sample.value
        for sample in families["tailgate_upstream_attempts"].samples
        if sample.name.endswith("_total") and sample.labels["result"] == "answered"
    }
    assert answered == {str(server.address): len(server.started) for server in servers}
    assert {sample.value for sample in families["tailgate_upstream_outstanding"].samples} == {0.0}


async def test_a_server_that_lists_no_model_is_not_ready_and_asked_where_there_is_no_other(
    start_servers: StartServers, start_proxy: StartProxy, until: Until
) -> None:
    empty, full = servers = await start_servers(2)
    empty.models = []
    running, pool = await start(start_proxy, servers)
    assert await codes(running, 40) == {OK: 40}
    assert len(full.started) == 40
    empty.models = ["scripted"]
    await until(lambda: all(member.health.ready(pool._clock()) for member in pool.membership.members))
    empty.models, alone = [], [empty]
    running, pool = await start(start_proxy, alone)
    assert not pool.membership.ready
    assert await code(running, "r") is OK
