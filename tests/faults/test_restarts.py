"""Proxies take turns on one port under load."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from bench.restarts import judge
from faults.processes import Upstream, start_proxy
from faults.restarts import roll

RESTARTS, RATE, SEED = 3, 50.0, 1


async def test_over_rolling_restarts_no_call_is_lost_that_a_client_may_not_try_again(tmp_path: Path) -> None:
    rolled = await roll(tmp_path, SEED, RESTARTS, RATE)
    assert rolled.client.lost == []
    assert rolled.client.crossed == 0
    assert rolled.exits == [0] * (RESTARTS + 1)
    assert rolled.client.calls - len(rolled.client.in_vain) > 20  # a machine that is busy may refuse many
    assert [finding.breaches for finding in judge(rolled) if finding.broken] == []


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one-process", "workers"])
async def test_a_port_is_shared_by_those_who_both_say_so_and_by_nobody_else(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    upstream = Upstream(tmp_path)
    behind = await upstream.start()
    first = await start_proxy(tmp_path / "first.log", behind, "--deadline", "1s", "--reuse-port", *options)
    where, started = first.ready[0], [first]
    try:
        command = (
            sys.executable, "-m", "tailgate", "proxy", "--upstream", behind, "--deadline", "1s", "--listen", where,
            "--admin", "127.0.0.1:0", *options,
        )  # fmt: skip
        alone = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=600, check=False
        )
        assert alone.returncode == 2
        assert f"--listen {where} cannot be bound" in alone.stderr
        second = await start_proxy(
            tmp_path / "second.log", behind, "--deadline", "1s", "--reuse-port", *options, listen=where
        )
        started.append(second)
        assert second.ready[0] == where
    finally:
        exits = [await one.end() for one in started]
        await upstream.kill()
    assert exits == [0, 0]
