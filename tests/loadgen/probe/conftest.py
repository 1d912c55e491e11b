"""Servers in processes of their own, whose manners are given; and the probe, told to be quick."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tailgate_loadgen.probe.caller import Caller
from tailgate_loadgen.probe.course import Wish, measure
from tailgate_loadgen.probe.inputs import message, tensors_of
from tailgate_loadgen.probe.judge import judge
from tailgate_loadgen.probe.seen import Seen
from tailgate_loadgen.probe.trials import Trials
from tailgate_loadgen.probe.verdict import Verdict
from tailgate_loadgen.target import describe, open_channel

ROOT = Path(__file__).parents[3]
ATTEMPTS = 4
Probe = Callable[..., tuple[Seen, dict[str, Verdict]]]


@pytest.fixture
def start_server() -> Iterator[Callable[..., str]]:
    """Starts servers with these manners; they end with the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(**manners: Any) -> str:
        process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("scripted_server.py"), json.dumps(manners)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        processes.append(process)
        assert process.stdout is not None
        return f"127.0.0.1:{int(process.stdout.readline())}"

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def wish(target: str, **changes: Any) -> Wish:
    """A small probe of a scripted server."""
    given: dict[str, Any] = {
        "target": target,
        "model": "sleeps",
        "version": "",
        "shapes": {},
        "batch": None,
        "rounds": 9,  # so that one trial that was held up for long blurs nothing
        "groups": 8,
        "burst": 16,
        "malformed": True,
    }
    return Wish(**given | changes)


@asynccontextmanager
async def _open_trials(target: str) -> AsyncIterator[Trials]:
    async with open_channel(target) as channel:
        caller = Caller(channel, "sleeps")
        tensors = tensors_of((await describe(channel, target, "sleeps")).metadata, {}, None)
        body = message("sleeps", "", tensors).SerializeToString()
        yield Trials(caller, body, [(await caller.ask(body, 60.0)).took_s for _ in range(6)][1:], rows=0)


@pytest.fixture
def open_trials() -> Callable[[str], AbstractAsyncContextManager[Trials]]:
    """What makes trials of a scripted server's model, for a part of a probe."""
    return _open_trials


@pytest.fixture
def probe() -> Probe:
    """Probes a server; again where it says that it cannot tell, as on a machine that is busy with something else. Of
    each question the first answer counts that is one.
    """

    def run(target: str, *, sure_of: tuple[str, ...] = (), **changes: Any) -> tuple[Seen, dict[str, Verdict]]:
        found: dict[str, Verdict] = {}
        attempts = 0
        while True:
            attempts += 1
            seen, _tensors = asyncio.run(measure(wish(target, **changes), lambda *_: None))
            found = judge(seen) | {key: verdict for key, verdict in found.items() if verdict.answer != "unknown"}
            if attempts == ATTEMPTS or not any(found[key].answer == "unknown" for key in sure_of):
                return seen, found

    return run
