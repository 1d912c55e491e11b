"""What servers of each kind see of a call that nobody waits for any more."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
import pytest

from tailgate.policy.attempts import Result
from tailgate_proxy.profiles import PROFILES
from tailgate_proxy.upstreams.pool import FAREWELL_S

StartProxy = Any  # defined in conftest.py, which tests do not import
StartServers = Any
Until = Any

CANCELLING = sorted(name for name, profile in PROFILES.items() if profile.cancels)


def test_only_mlserver_is_spared_cancels() -> None:
    assert CANCELLING == ["generic", "kserve", "tailgate", "triton"]


@pytest.mark.parametrize("profile", sorted(PROFILES))
async def test_at_the_deadline_the_client_is_answered_and_the_server_is_told_what_is_safe(
    profile: str, start_servers: StartServers, start_proxy: StartProxy, until: Until
) -> None:
    (server,) = await start_servers(1)
    server.does = "sleep:6"
    running = await start_proxy(upstream=str(server.address), upstream_profile=profile, deadline="2s")
    pool = running.proxy._pools.by_name["default"]
    (member,) = pool.membership.members
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.infer("r")
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert dict(caught.value.trailing_metadata() or ())["tailgate-outcome"] == "deadline_in_flight"
    assert running.proxy._ledger.in_flight == 0
    if PROFILES[profile].cancels:  # type: ignore[index]  # a name of the table
        assert member.outstanding == 0
        await until(lambda: server.cancelled)
        assert server.finished == []
        assert server.timeouts_s[0] is not None
        assert server.timeouts_s[0] <= 2.001
    else:
        assert member.outstanding == 1  # it is at work there
        await until(lambda: server.finished)
        await until(lambda: member.outstanding == 0)
        assert server.cancelled == []
        assert server.timeouts_s == [None]
    assert member.tally.results[Result.DEADLINE] == sum(member.tally.results.values()) == 1
    assert running.proxy._held.bytes == 0


async def test_a_client_that_leaves_does_not_reach_a_server_that_must_not_know(
    start_servers: StartServers, start_proxy: StartProxy, until: Until
) -> None:
    (server,) = await start_servers(1)
    server.does = "sleep:2"
    running = await start_proxy(upstream=str(server.address), upstream_profile="mlserver", deadline="20s")
    (member,) = running.proxy._pools.by_name["default"].membership.members
    call = asyncio.ensure_future(running.infer("r"))
    await until(lambda: server.started)
    call.cancel()
    await until(lambda: running.proxy._ledger.in_flight == 0)
    await until(lambda: member.outstanding == 0)
    assert (server.finished, server.cancelled) == (["r"], [])
    assert member.tally.results[Result.CANCELLED] == 1


async def test_a_proxy_that_stops_lets_such_calls_finish_for_a_while(
    start_servers: StartServers, start_proxy: StartProxy, until: Until
) -> None:
    (server,) = await start_servers(1)
    running = await start_proxy(upstream=str(server.address), upstream_profile="mlserver", deadline="2s")
    server.does = f"sleep:{2 + FAREWELL_S / 2}"
    with pytest.raises(grpc.aio.AioRpcError):
        await running.infer("r")
    await running.proxy.stop()
    assert (server.finished, server.cancelled) == (["r"], [])


async def test_the_place_of_a_call_that_is_left_to_finish_is_free_when_the_server_has_done(
    start_servers: StartServers, start_proxy: StartProxy, until: Until
) -> None:
    (server,) = await start_servers(1)
    server.does = "hold"
    limited = {"admission": "fixed", "upstream_limit": 1}
    running = await start_proxy(upstream=str(server.address), upstream_profile="mlserver", deadline="20s", **limited)
    entrances = running.proxy._current.entrances
    with pytest.raises(grpc.aio.AioRpcError) as first:
        await running.infer("first", tailgate_deadline_ms="2000")
    assert first.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert running.proxy._ledger.in_flight == 0
    assert entrances.counts()["default"].in_flight == 1  # it is at work there
    with pytest.raises(grpc.aio.AioRpcError) as second:
        await running.infer("second", tailgate_deadline_ms="2000")
    assert dict(second.value.trailing_metadata() or ())["tailgate-outcome"] == "expired_in_queue"
    third = asyncio.ensure_future(running.infer("third", timeout=20.0))
    await until(lambda: entrances.waiting == 1)
    assert server.started == ["first"]
    server.released.set()
    await third
    assert server.started == server.finished == ["first", "third"]
    assert server.cancelled == []
    assert (entrances.counts()["default"].in_flight, entrances.waiting) == (0, 0)


async def test_places_of_calls_that_the_server_never_ends_are_free_when_the_proxy_has_stopped(
    start_servers: StartServers, start_proxy: StartProxy, until: Until
) -> None:
    (server,) = await start_servers(1)
    server.does = "hold"
    running = await start_proxy(
        upstream=str(server.address), upstream_profile="mlserver", deadline="2s", admission="adaptive"
    )
    with pytest.raises(grpc.aio.AioRpcError):
        await running.infer("r")
    entrances = running.proxy._current.entrances
    assert entrances.counts()["default"].in_flight == 1
    await running.proxy.stop()
    assert entrances.counts()["default"].in_flight == 0
    (member,) = running.proxy._pools.by_name["default"].membership.members
    assert member.outstanding == 0
    await until(lambda: server.cancelled)


async def test_a_call_that_is_left_to_finish_counts_where_the_next_one_is_sent(
    start_servers: StartServers, start_proxy: StartProxy, until: Until
) -> None:
    busy, free = servers = await start_servers(2)
    addresses = ",".join(str(server.address) for server in servers)
    running = await start_proxy(upstream=addresses, upstream_profile="mlserver", deadline="2s", admission="off")
    busy.does = "sleep:20"
    while not busy.started:
        with suppress(grpc.aio.AioRpcError):
            await running.infer("r")
    (member,) = (
        one for one in running.proxy._pools.by_name["default"].membership.members if one.name == str(busy.address)
    )
    assert member.outstanding == 1
    free.started.clear()
    for number in range(30):
        await running.infer(f"next{number}")
        if not member.outstanding:
            break  # this machine was very slow
    else:
        assert len(free.started) == 30
    assert busy.cancelled == []
