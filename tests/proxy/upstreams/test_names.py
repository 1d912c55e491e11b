"""A host name whose addresses change while requests come: real servers on addresses of the loopback interface."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from typing import Any

import grpc
import grpc.aio
import pytest

from tailgate.config import Address
from tailgate.policy.resolution import ANSWERS
from tailgate_proxy.upstreams import places

StartProxy = Any  # defined in conftest.py, which tests do not import
StartServers = Any
Server = Any
Until = Any

NAME = "models.example"


class Names:
    """What the system answers for `NAME`; everything else it answers itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self.addresses: list[str] = []
        self.asked = 0
        self._really = loop.getaddrinfo
        monkeypatch.setattr(loop, "getaddrinfo", self.getaddrinfo)

    async def getaddrinfo(self, host: str, port: int, **options: Any) -> list[Any]:
        if host != NAME:
            return list(await self._really(host, port, **options))
        self.asked += 1
        if not self.addresses:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]


async def move(server: Server, host: str, port: int) -> None:
    await server.stop()
    server.address = Address(host, port)
    await server.start()


@pytest.fixture
async def three(start_servers: StartServers) -> list[Server]:
    """Three servers on one port of three addresses."""
    servers = await start_servers(3)
    port = servers[0].address.port
    for number, server in enumerate(servers):
        await move(server, f"127.0.0.{number + 2}", port)
    return list(servers)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are resolved often, so that nobody has to wait."""
    monkeypatch.setattr(places, "RESOLVE_INTERVAL_S", 0.2)
    monkeypatch.setattr(places, "LEAST_INTERVAL_S", 0.05)


async def send(running: Any, count: int) -> Counter[grpc.StatusCode]:
    found = Counter[grpc.StatusCode]()
    for number in range(count):
        try:
            await running.infer(f"r{number}")
            found[grpc.StatusCode.OK] += 1
        except grpc.aio.AioRpcError as error:
            found[error.code()] += 1
    return found


async def test_members_come_and_go_with_the_addresses_of_their_name_and_no_request_is_lost(
    three: list[Server], start_proxy: StartProxy, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = three
    names = Names(monkeypatch)
    names.addresses = [first.address.host, second.address.host]
    running = await start_proxy(upstream=f"{NAME}:{first.address.port}", deadline="60s")
    pool = running.proxy._pools.by_name["default"]
    assert {member.name for member in pool.membership.members} == {str(first.address), str(second.address)}
    assert await send(running, 60) == {grpc.StatusCode.OK: 60}
    assert min(len(first.started), len(second.started)) > 5

    names.addresses = [second.address.host, third.address.host]
    first.does = "sleep:2"
    held = [asyncio.ensure_future(running.infer(f"held{number}")) for number in range(10)]
    await until(lambda: str(third.address) in {member.name for member in pool.membership.members})
    await until(lambda: str(first.address) not in {member.name for member in pool.membership.members})
    assert await asyncio.gather(*held)  # it finished what it had
    assert first.cancelled == []
    seen = len(first.started)
    await until(lambda: not pool.membership.draining)
    assert await send(running, 60) == {grpc.StatusCode.OK: 60}
    assert len(first.started) == seen
    assert len(third.started) > 5
    assert all(member.outstanding == 0 for member in pool.membership.members)
    tallied = sum(sum(tally.results.values()) - tally.repeats for tally in pool.membership.tallies.values())
    assert tallied == 60 + 10 + 60


async def test_where_the_only_server_moves_the_next_request_finds_it(
    three: list[Server], start_proxy: StartProxy, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = three
    names = Names(monkeypatch)
    names.addresses = [first.address.host]
    running = await start_proxy(upstream=f"{NAME}:{first.address.port}", deadline="60s")
    pool = running.proxy._pools.by_name["default"]
    assert [member.name for member in pool.membership.members] == [f"{NAME}:{first.address.port}"]
    assert await send(running, 5) == {grpc.StatusCode.OK: 5}
    names.addresses = [second.address.host]
    await first.stop()
    await until(
        lambda: any(
            member.name == str(second.address) and member.upstream.connected for member in pool.membership.members
        )
    )
    assert await send(running, 20) == {grpc.StatusCode.OK: 20}
    assert len(second.started) == 20


async def test_a_name_server_that_is_away_changes_nothing(
    three: list[Server], start_proxy: StartProxy, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = three
    names = Names(monkeypatch)
    names.addresses = [first.address.host, second.address.host]
    running = await start_proxy(upstream=f"{NAME}:{first.address.port}", deadline="60s")
    pool = running.proxy._pools.by_name["default"]
    members = list(pool.membership.members)
    names.addresses = []
    asked = names.asked
    await until(lambda: names.asked >= asked + 2 * ANSWERS)
    assert pool.membership.members == members
    assert await send(running, 20) == {grpc.StatusCode.OK: 20}


async def test_a_name_without_an_answer_is_asked_until_there_is_one(
    three: list[Server], start_proxy: StartProxy, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch)
    running = await start_proxy(upstream=f"{NAME}:{three[0].address.port}", deadline="60s")
    pool = running.proxy._pools.by_name["default"]
    assert await send(running, 1) == {grpc.StatusCode.UNAVAILABLE: 1}
    names.addresses = [server.address.host for server in three]
    await until(lambda: len(pool.membership.members) == 3 and pool.membership.ready)
    assert await send(running, 20) == {grpc.StatusCode.OK: 20}
