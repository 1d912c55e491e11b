"""All pools of a proxy, as the configuration changes."""

from __future__ import annotations

import asyncio

from tailgate.config import read_config
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.held import Held
from tailgate_proxy.upstreams.pools import Pools
from tailgate_proxy.wire.link import Desk

NOBODY = "127.0.0.1:1"


def config(*names: str) -> ProxyConfig:
    upstreams = {name: {"addresses": NOBODY} for name in names}
    return read_config(ProxyConfig, None, {"upstreams": upstreams, "deadline": "1s"})


def learn(_pool: str, _models: list[tuple[str, str]]) -> None:
    raise AssertionError("nobody is there to list any")


async def test_an_upstream_that_is_configured_again_while_others_are_let_go_stays() -> None:
    pools = Pools(
        config("stays", "goes", "returns"), Desk(asyncio.get_running_loop()), Held(1 << 20), None, lambda _: None
    )
    await pools.start(learn)
    returns = pools.by_name["returns"]
    await pools.change(config("stays"), learn)
    letting_go = asyncio.create_task(pools.let_go(pools.changes))
    await asyncio.sleep(0)  # one of the two is being closed
    assert [pool.name for pool in pools] == ["stays", "returns"]
    await pools.change(config("stays", "returns"), learn)
    await letting_go
    assert pools.by_name["returns"] is returns
    assert [pool.name for pool in pools] == ["stays", "returns"]
    await pools.close()
