"""Python's garbage collector: what a proxy spares it, and what it tells of its pauses."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tailgate.config import read_config
from tailgate_proxy.app import Proxy
from tailgate_proxy.config import ProxyConfig

pytestmark = pytest.mark.beside_others  # no calls at all

OBJECTS = 200_000


@pytest.fixture
async def admin() -> AsyncIterator[str]:
    """The admin address of a proxy that was started while many objects were alive."""
    alive = [[number] for number in range(OBJECTS)]
    settings: dict[str, object] = {
        "upstream": "127.0.0.1:9", "listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "deadline": "1s",
    }  # fmt: skip
    proxy, threshold = Proxy(read_config(ProxyConfig, None, settings)), gc.get_threshold()
    try:
        _, address = await proxy.start()
        yield str(address)
    finally:
        await proxy.stop()
        gc.set_threshold(*threshold)
        gc.unfreeze()
    assert len(alive) == OBJECTS


async def pauses(admin: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"http://{admin}/metrics") as response:
        lines = (await response.text()).splitlines()
    (counted,) = (line for line in lines if line.startswith("tailgate_gc_pause_seconds_count"))
    return round(float(counted.split()[-1]))


async def test_what_lives_until_the_end_is_not_gone_through_again(admin: str) -> None:
    assert gc.get_freeze_count() >= OBJECTS
    assert len(gc.get_objects()) < OBJECTS / 4  # what a whole collection would go through


async def test_every_pause_is_counted(admin: str) -> None:
    before = await pauses(admin)
    for _ in range(5):
        gc.collect()
    assert await pauses(admin) >= before + 5
