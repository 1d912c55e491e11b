"""Several real V2 servers by name, and proxies in front of all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

ScriptedUpstream = Any  # defined in ../conftest.py, which is not imported
StartUpstreams = Callable[..., Awaitable[dict[str, ScriptedUpstream]]]


@pytest.fixture
async def start_upstreams(upstream: ScriptedUpstream) -> AsyncIterator[StartUpstreams]:
    """Starts one for each name; all are stopped in the end."""
    started: list[ScriptedUpstream] = []

    async def start(*names: str) -> dict[str, ScriptedUpstream]:
        found = {}
        for name in names:
            found[name] = type(upstream)()
            await found[name].start()
            started.append(found[name])
        return found

    yield start
    for one in started:
        await one.stop()


@pytest.fixture
def before() -> Callable[..., dict[str, object]]:
    """Options of a proxy that stands in front of them."""

    def options(upstreams: dict[str, ScriptedUpstream], **more: dict[str, object]) -> dict[str, object]:
        tables = {name: {"addresses": [str(one.address)]} | more.get(name, {}) for name, one in upstreams.items()}
        return {"upstream": (), "upstreams": tables}

    return options
