"""What `bench/soak.py` does to a proxy: steady load, and by a seeded plan everything that can go wrong beside it."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import signal
import sys
import urllib.request
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench._echo_upstream import is_answer_to, request
from bench._raw_client import Asked, RawClient, connect

RATE, CONNECTIONS = 120.0, 6
SMALLEST, LARGEST = 100, 300_000
DEFAULT_BUDGET_S, LONGEST_BUDGET_S = 1.0, 0.4
MIB = 1 << 20


class Upstream:
    """The echo upstream as a process that is ended and started again, on one port."""

    def __init__(self, executed: Path) -> None:
        self._executed = executed
        self._port = 0
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> str:
        script = str(Path(__file__).with_name("_echo_upstream.py"))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, script, "--port", str(self._port), "--executed", str(self._executed),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert self._process.stdout is not None
        said = (await self._process.stdout.readline()).decode().split()
        self._port = int(said[-1].rpartition(":")[2])
        return said[-1]

    async def end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(how)
            await self._process.wait()


@dataclass
class Soak:
    """The run: what was asked, what was done to it, and what was seen of the proxy's process each second."""

    address: str
    upstream: Upstream
    generator: random.Random
    log: list[Asked] = field(default_factory=list)
    unwitnessed: set[str] = field(default_factory=set)
    done: Counter[str] = field(default_factory=Counter)
    samples: list[dict[str, float]] = field(default_factory=list)

    async def run(self, seconds: float, pid: int, admin: str) -> None:
        filler = memoryview(self.generator.randbytes(2 * LARGEST))
        until_s = asyncio.get_running_loop().time() + seconds
        watch = asyncio.create_task(self._watch(pid, admin))
        await asyncio.gather(
            self._load(until_s, filler),
            self._vanish(until_s, filler),
            self._read_slowly(until_s),
            self._restart(until_s),
        )
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch

    def _call(self, client: RawClient, kind: str, filler: memoryview, *, answer_bytes: int = 0) -> Asked:
        draw, name = self.generator, f"{kind}-{len(self.log)}"
        nonce, start = draw.randbytes(16), draw.randrange(LARGEST)
        size = round(SMALLEST * (LARGEST / SMALLEST) ** draw.random()) if filler else 0
        take_s = draw.choice((0.0, 0.0, 0.0, 0.01, 0.05))
        body = request(name, nonce, take_s, filler[start : start + size], answer_bytes=answer_bytes)
        hurried = draw.random() < 0.25
        budget_s = round(draw.uniform(0.001, LONGEST_BUDGET_S) if hurried else DEFAULT_BUDGET_S, 6)
        expects = partial(is_answer_to, request_id=name, nonce=nonce, body=body, answer_bytes=answer_bytes)
        self.done["hurried"] += hurried
        return client.call(name, body, budget_s, gives_up=draw.random() < 0.5, expects=expects)

    async def _load(self, until_s: float, filler: memoryview) -> None:
        loop, draw = asyncio.get_running_loop(), self.generator
        clients = [await connect(self.address, self.log) for _ in range(CONNECTIONS)]
        due_s = loop.time()
        while due_s < until_s:
            due_s += draw.expovariate(RATE)
            await asyncio.sleep(max(due_s - loop.time(), 0.0))
            at = draw.randrange(CONNECTIONS)
            if not clients[at].connected:
                clients[at] = await connect(self.address, self.log)
                self.done["reconnected"] += 1
            asked = self._call(clients[at], "steady", filler)
            if draw.random() < 0.1:
                self.done["cancels"] += 1
                loop.call_later(draw.uniform(0, 0.05), clients[at].cancel, asked)
        for client in clients:
            await client.idle()
            client.vanish(politely=True)

    async def _vanish(self, until_s: float, filler: memoryview) -> None:
        loop, draw = asyncio.get_running_loop(), self.generator
        while loop.time() < until_s:
            client = await connect(self.address, self.log)
            asked = [self._call(client, "vanishing", filler) for _ in range(draw.randrange(1, 12))]
            await asyncio.sleep(draw.uniform(0, 0.1))
            politely = draw.random() < 0.5
            if not politely:  # a reset may destroy what the other side has not read yet
                self.unwitnessed |= {each.request_id for each in asked}
            client.vanish(politely=politely)
            self.done["vanished"] += 1
            await asyncio.sleep(draw.expovariate(2.0))

    async def _read_slowly(self, until_s: float) -> None:
        loop, draw = asyncio.get_running_loop(), self.generator
        while loop.time() < until_s:
            client = await connect(self.address, self.log, reads=False)
            for _ in range(draw.randrange(5, 20)):
                self._call(client, "slow", memoryview(b""), answer_bytes=100_000)
            await asyncio.sleep(draw.uniform(0.5, 3.0))
            client.vanish(politely=True)
            self.done["slow readers"] += 1
            await asyncio.sleep(draw.expovariate(0.5))

    async def _restart(self, until_s: float) -> None:
        loop, draw = asyncio.get_running_loop(), self.generator
        while True:
            await asyncio.sleep(draw.uniform(5, 15))
            if loop.time() > until_s - 2:
                break
            how = draw.choice((signal.SIGKILL, signal.SIGTERM))
            await self.upstream.end(how)
            await asyncio.sleep(draw.uniform(0, 1))
            await self.upstream.start()
            self.done[f"restarts by {how.name}"] += 1

    async def _watch(self, pid: int, admin: str) -> None:
        start_s = asyncio.get_running_loop().time()
        while True:
            status = await asyncio.to_thread(status_of, admin)
            self.samples.append(
                {
                    "at_s": asyncio.get_running_loop().time() - start_s,
                    "rss_mib": rss_mib(pid),
                    "fds": open_files(pid),
                    "in_flight": status["in_flight"],
                    "received": status["received"],
                    "ok": status["outcomes"]["ok"],
                }
            )
            gc.collect(1)
            gc.freeze()  # the log lives until the end: to go through all of it again would make the client stand still
            await asyncio.sleep(1)


def status_of(admin: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://{admin}/status.json", timeout=20) as response:
        document: dict[str, Any] = json.load(response)
    return document


def rss_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / MIB


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
