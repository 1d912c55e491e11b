"""Rolling restarts: proxies take turns on one port, while a gRPC client goes on and does what gRPC clients may do.

The client tries again what nobody can have begun: what a proxy refused with a pushback, and what never reached a
connection. What ends otherwise than with OK and may not be made again is lost: that is what must not happen.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from bench._echo_upstream import is_answer_to, request
from bench._raw_client import Asked
from faults.processes import Running, Upstream, start_proxy
from tailgate.errors import Status
from tailgate.protocol.names import MODEL_INFER, REQUEST_ID

BUDGET_S, TAKES_S = 5.0, (0.002, 0.05)
CHANNELS, MOST_ATTEMPTS = 8, 5
OUTCOME = "tailgate-outcome"
_STATUS = {status.name: status for status in Status}


@dataclass
class Client:
    """An open-loop gRPC client with a log of every attempt.

    Attributes:
        log: Attempts, each with an id of its own.
        calls: Calls begun.
        again: Attempts that were made again, by the outcome of the one before.
        lost: Calls that ended otherwise than with OK or at their deadline, and may not be made again.
        in_vain: Calls that were refused again and again, or had no time left.
        crossed: Answers that were not those of their request.
    """

    address: str
    generator: random.Random
    log: list[Asked] = field(default_factory=list)
    calls: int = 0
    again: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    in_vain: list[str] = field(default_factory=list)
    crossed: int = 0

    async def run(self, rate: float, ended: asyncio.Event) -> None:
        """Send until `ended`, and wait for what is under way."""
        options = (("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100))
        channels = [grpc.aio.insecure_channel(self.address, options=options) for _ in range(CHANNELS)]
        loop, under_way = asyncio.get_running_loop(), set[asyncio.Task[None]]()
        due_s = loop.time()
        while not ended.is_set():
            due_s += self.generator.expovariate(rate)
            await asyncio.sleep(max(due_s - loop.time(), 0.0))
            task = asyncio.create_task(self._call(channels[self.calls % CHANNELS], f"call-{self.calls}"))
            self.calls += 1
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)
        for channel in channels:
            await channel.close()

    async def _call(self, channel: grpc.aio.Channel, name: str) -> None:
        infer: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(MODEL_INFER)
        nonce, take_s = self.generator.randbytes(16), self.generator.uniform(*TAKES_S)
        until_s = time.monotonic() + BUDGET_S
        for attempt in range(1, MOST_ATTEMPTS + 1):
            request_id = f"{name}/{attempt}"
            body = request(request_id, nonce, take_s, self.generator.randbytes(2000))
            asked = Asked(request_id, until_s - time.monotonic(), time.monotonic(), time.time())
            self.log.append(asked)
            try:
                answer = await infer(body, timeout=asked.budget_s, metadata=((REQUEST_ID, request_id),))
            except grpc.aio.AioRpcError as error:
                asked.status, asked.ended_s = _STATUS[error.code().name], time.monotonic()
                pause_s, said = _pause_s(error), f"{request_id}: {error.code().name}, {error.details()}"
                late = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                if late or attempt == MOST_ATTEMPTS or (pause_s or 0.0) > until_s - time.monotonic():
                    self.in_vain.append(said)
                    return
                if pause_s is None:
                    self.lost.append(said)
                    return
                self.again[_outcome(error) or "not connected"] += 1
                await asyncio.sleep(pause_s)
            else:
                asked.status, asked.ended_s = Status.OK, time.monotonic()
                self.crossed += not is_answer_to(answer, request_id, nonce, body)
                return


def _outcome(error: grpc.aio.AioRpcError) -> str:
    """What the proxy says of a call that it refused; empty where no proxy had it."""
    return next((str(value) for key, value in error.trailing_metadata() or () if key == OUTCOME), "")


def _pause_s(error: grpc.aio.AioRpcError) -> float | None:
    """How long to wait before the call may be made again; None: it may not, for somebody may have begun it."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-retry-pushback-ms":
            return int(value) / 1000 if int(value) >= 0 else None
    unreached = error.code() is grpc.StatusCode.UNAVAILABLE and "ailed to connect" in (error.details() or "")
    return 0.1 if unreached else None


@dataclass(frozen=True)
class Rolled:
    """What was seen.

    Attributes:
        client: With its log.
        executed: What the upstream began, in a file.
        traces: Folder with a trace of every proxy's life.
        exits: Exit status of each proxy.
        drains_s: How long each took from being told to stop until it had ended.
    """

    client: Client
    executed: Path
    traces: Path
    exits: list[int]
    drains_s: list[float]


async def roll(folder: Path, seed: int, restarts: int, rate: float) -> Rolled:
    """Restart a proxy so many times under load: the next one is ready before the last one is told to stop."""
    upstream, traces = Upstream(folder), folder / "trace"
    exits: list[int] = []
    drains_s: list[float] = []
    running: Running | None = None
    ended = asyncio.Event()

    async def next_life(number: int, listen: str) -> Running:
        options = ("--deadline", "10s", "--trace", str(traces), "--reuse-port")
        return await start_proxy(folder / f"proxy-{number}.log", behind, *options, listen=listen)

    try:
        behind = await upstream.start()
        running = await next_life(0, "127.0.0.1:0")
        client = Client(running.ready[0], random.Random(seed))
        sending: asyncio.Task[Any] = asyncio.create_task(client.run(rate, ended))
        for number in range(1, restarts + 1):
            await asyncio.sleep(0.5)
            newer = await next_life(number, running.ready[0])
            told_s = time.monotonic()
            exits.append(await running.end())
            drains_s.append(time.monotonic() - told_s)
            running = newer
        await asyncio.sleep(0.5)
        ended.set()
        await sending
        exits.append(await running.end())
    finally:
        if running is not None:
            await running.end()
        await upstream.kill()
    return Rolled(client, upstream.executed, traces, exits, drains_s)
