"""Whatever one client does, the proxy lives, other clients are answered, every call is booked, and nothing is left.

The attacks, and what the attacker itself has to see, are in `fuzz/adversary`.
"""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fuzz.adversary.case import Case
from fuzz.adversary.cases import CASES
from fuzz.adversary.peer import Target
from tailgate.http2.connection import Connection
from tailgate.protocol.envelope import RequestFrame

RunningProxy = Any  # defined in conftest.py, which tests do not import
StartProxy = Any

FRAME = RequestFrame("scripted", "image", "UINT8", (1, 4))
MESSAGE, LARGE = FRAME.build("1/attacker", b"abcd"), FRAME.build("large:300000/attacker", b"abcd")
TCP_LISTEN, TCP_TIME_WAIT, ON_THE_WAY_OUT = "0A", "06", {"04", "05", "07", "09", "0B"}


def params() -> list[Any]:
    return [pytest.param(case, id=case.name.replace(" ", "-")) for case in CASES]


def connections_of(port: int) -> int:
    """Sockets that the proxy holds open on this port, whether or not the client has left."""
    count = 0
    for line in Path("/proc/self/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        local, _, state = line.split()[1:4]
        held = state not in {TCP_LISTEN, TCP_TIME_WAIT} | ON_THE_WAY_OUT
        count += held and int(local.partition(":")[2], 16) == port
    return count


def open_streams() -> int:
    """Streams that any HTTP/2 connection of this process still has, towards clients or upstreams."""
    gc.collect()
    return sum(one.open_streams for one in gc.get_objects() if isinstance(one, Connection))


async def status_of(running: RunningProxy) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{running.admin}/status.json") as response:
        document: dict[str, Any] = json.loads(await response.text())
    assert document["received"] == sum(document["outcomes"].values()) + document["in_flight"]
    return document


async def until(quiet: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not quiet():
            await asyncio.sleep(0.01)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", params())
async def test_the_proxy_and_its_other_clients_survive(case: Case, shared_proxy: StartProxy) -> None:
    running = await shared_proxy(**({"deadline": "20s"} | dict(case.settings)))
    target = Target(running.address.host, running.address.port, MESSAGE, LARGE)
    assert await running.infer("1/before")
    outcomes = (await status_of(running))["outcomes"]
    connections, tasks = connections_of(target.port), len(asyncio.all_tasks())
    attack = asyncio.ensure_future(case.attack(target))
    try:
        assert await running.infer("1/during")
        await attack
    finally:
        attack.cancel()
        await asyncio.wait((attack,))
    assert await running.infer("1/after")

    async with asyncio.timeout(60):
        while (await status_of(running))["in_flight"]:
            await asyncio.sleep(0.01)
    await until(lambda: connections_of(target.port) <= connections)
    await until(lambda: len(asyncio.all_tasks()) <= tasks)
    await until(lambda: open_streams() == 0)
    now = (await status_of(running))["outcomes"]
    assert now["ok"] >= outcomes["ok"] + 2
    assert now["internal"] == outcomes["internal"]


def test_there_are_cases_enough() -> None:
    assert len(CASES) >= 40
    assert len({case.name for case in CASES}) == len(CASES)
