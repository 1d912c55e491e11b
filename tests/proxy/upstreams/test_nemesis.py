"""Real servers that fail in every way at any moment, under load: nothing is lost, and at rest all books balance."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import grpc
import grpc.aio
import pytest

from tailgate.outcome import PROXY_OUTCOMES
from tailgate.policy.attempts import Result
from tailgate.policy.retry_budget import FLOOR, SHARE

StartProxy = Any  # defined in conftest.py, which tests do not import
StartServers = Any
Server = Any
Until = Any

DEEDS = ("answer", "answer", "sleep:0.05", "sleep:3", "status:13", "status:14", "status:8", "status:3", "garbage")
REQUESTS = 600
AT_ONCE = 12


async def torment(servers: list[Server], dice: random.Random) -> None:
    """Have a server do something else every now and then; never all of them stop at once."""
    while True:
        await asyncio.sleep(dice.uniform(0.02, 0.2))
        server = dice.choice(servers)
        if dice.random() < 0.2:
            await server.stop()
            await asyncio.sleep(dice.uniform(0.0, 0.5))
            await server.start()
        server.does = dice.choice(DEEDS)
        server.ready = dice.random() < 0.8
        server.models = ["scripted"] if dice.random() < 0.8 else []


@pytest.mark.parametrize(("seed", "profile"), [(1, "generic"), (2, "triton"), (3, "tailgate"), (4, "mlserver")])
async def test_whatever_servers_do_every_request_ends_once_and_every_call_is_accounted_for(
    seed: int, profile: str, start_servers: StartServers, start_proxy: StartProxy, until: Until
) -> None:
    dice = random.Random(seed)
    servers = await start_servers(3)
    addresses = ",".join(str(server.address) for server in servers)
    running = await start_proxy(upstream=addresses, upstream_profile=profile, deadline="400ms")
    proxy, pool = running.proxy, running.proxy._pools.by_name["default"]
    ended: Counter[grpc.StatusCode] = Counter()
    names = iter(range(REQUESTS))

    async def client() -> None:
        for number in names:
            leaves = dice.random() < 0.1
            call = asyncio.ensure_future(running.infer(f"r{number}", timeout=20.0))
            if leaves:
                await asyncio.sleep(dice.uniform(0.0, 0.1))
                call.cancel()
            try:
                await call
                ended[grpc.StatusCode.OK] += 1
            except asyncio.CancelledError:
                ended[grpc.StatusCode.CANCELLED] += 1
            except grpc.aio.AioRpcError as error:
                ended[error.code()] += 1

    nemesis = asyncio.create_task(torment(servers, dice))
    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    nemesis.cancel()
    await asyncio.gather(nemesis, return_exceptions=True)
    assert ended.total() == REQUESTS
    assert ended[grpc.StatusCode.OK] > 0

    await until(lambda: proxy._ledger.in_flight == 0)
    await until(lambda: all(member.outstanding == 0 for member in pool.membership.members))
    counts = proxy._ledger.outcomes()
    received = proxy._ledger.received
    assert sum(counts[outcome] for outcome in PROXY_OUTCOMES) == received <= REQUESTS
    assert received >= REQUESTS - ended[grpc.StatusCode.CANCELLED]  # one that left at once may never have been sent
    results: Counter[Result] = Counter()
    for tally in pool.membership.tallies.values():
        results.update(tally.results)
    repeats = sum(tally.repeats for tally in pool.membership.tallies.values())
    assert results.total() <= received + repeats  # some ended before they were sent on
    seen = sum(len(server.started) for server in servers)
    unseen = results[Result.UNREACHABLE] + results[Result.REFUSED]
    assert seen <= results.total() - unseen
    assert repeats <= SHARE * received + FLOOR + unseen
    assert not pool._waiting
    assert not pool._gone
    assert proxy._held.bytes == 0
