"""Many calls at once: no answer goes to another call, none is lost or changed, and the books balance.

`TAILGATE_INTEGRITY_CALLS` sets how many calls there are: 2,000 unless it says otherwise, of which two thirds go to one
proxy and a third to another in the same process, with an upstream of its own. (Two upstreams behind *one* proxy is what
the proxy cannot do yet.)
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from bench._echo_upstream import EchoUpstream, is_answer_to, request
from tailgate.errors import Status
from tailgate.http2.connection import Connection
from tailgate.outcome import ANSWERED, Outcome
from tailgate.protocol.names import MODEL_INFER, REQUEST_ID
from tailgate.trace.files import read_folder
from tailgate.trace.format import request_key

SEED = 20221225
CALLS = int(os.environ.get("TAILGATE_INTEGRITY_CALLS", "2000"))
AT_ONCE = 64
STREAMS = 48
"""Calls at once on a connection to an upstream: fewer than there are calls, so that several connections are used."""

REFUSED = (Status.UNAVAILABLE, Status.RESOURCE_EXHAUSTED)
"""What an upstream at its limit says: here an end like others, and a matter of the test below."""

SMALLEST, LARGEST = 100, 700_000


@dataclass
class Done:
    """How the calls by one proxy ended, as their clients saw it."""

    ids: list[str] = field(default_factory=list)
    ended: Counter[Status] = field(default_factory=Counter)
    crossed: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)


@pytest.fixture
async def echoes() -> AsyncIterator[dict[str, tuple[EchoUpstream, str]]]:
    """Two upstreams, by name, with their addresses."""
    started = {}
    for name in ("first", "second"):
        upstream = EchoUpstream(name)
        started[name] = upstream, f"127.0.0.1:{await upstream.start(streams=STREAMS)}"
    yield started
    for upstream, _ in started.values():
        await upstream.stop()


async def call_many(address: str, upstream: str, calls: int, seed: int) -> Done:
    """Calls of all sizes; of every ten, about one is cancelled and two have deadlines that they may well miss."""
    generator, done = random.Random(seed), Done()
    channels = [grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) for _ in range(4)]
    filler, loop = memoryview(generator.randbytes(2 * LARGEST)), asyncio.get_running_loop()

    async def one(number: int) -> Status:
        name, nonce, kind = f"{upstream}-{number}", generator.randbytes(16), generator.random()
        size, start = round(SMALLEST * (LARGEST / SMALLEST) ** generator.random()), generator.randrange(LARGEST)
        body = request(name, nonce, generator.choice((0.0, 0.0, 0.002, 0.02)), filler[start : start + size - 24])
        hurried = 0.1 <= kind < 0.3
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channels[number % 4].unary_unary(MODEL_INFER)
        call = method(
            body,
            timeout=generator.uniform(0.001, 0.06) if hurried else 60.0,
            metadata=grpc.aio.Metadata((REQUEST_ID, name)),
        )
        if kind < 0.1:
            loop.call_later(generator.uniform(0, 0.05), call.cancel)
        done.ids.append(name)
        status, text = Status.OK, ""
        try:
            answer = await call
        except asyncio.CancelledError:
            status = Status.CANCELLED
        except grpc.aio.AioRpcError as error:
            status, text = Status(error.code().value[0]), error.details() or ""
        else:
            if not is_answer_to(answer, name, nonce, body, upstream):
                done.crossed.append(name)
        done.ended[status] += 1
        wanted = Status.CANCELLED if kind < 0.1 else Status.DEADLINE_EXCEEDED if hurried else Status.OK
        if status not in (Status.OK, wanted, *REFUSED):
            done.unexpected.append(f"{name}: {status.name} {text}")
        return status

    numbers = iter(range(calls))

    async def one_after_another() -> None:
        for number in numbers:
            if await one(number) in REFUSED:
                await asyncio.sleep(0.1)

    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
    for channel in channels:
        await channel.close()
    return done


def assert_books(done: Done, folder: Path, running: Any) -> None:
    (contents,) = read_folder(folder)
    assert (contents.damaged, contents.torn_bytes, contents.missing, contents.closed) == (0, 0, 0, True)
    rows = contents.records
    ledger = running.proxy._ledger
    # Each id once, and none that nobody sent. What a client cancelled before anything was sent never was.
    times = Counter(rows["request_id"].tolist())
    assert set(times.values()) == {1}
    sent = {request_key(name) for name in done.ids}
    assert set(times) <= sent
    assert len(sent) - len(times) <= done.ended[Status.CANCELLED] + done.ended[Status.DEADLINE_EXCEEDED]
    # Received = ended = the sum of outcomes = the trace, outcome by outcome.
    by_outcome = Counter(dict.fromkeys(Outcome, 0))
    for outcome, count in ledger.outcomes().items():
        by_outcome[outcome] += count
    assert +by_outcome == Counter(Outcome(code) for code in rows["outcome"].tolist())
    assert ledger.received == by_outcome.total() == len(rows)
    assert ledger.in_flight == 0
    assert by_outcome[Outcome.UPSTREAM_UNAVAILABLE] >= done.ended[Status.UNAVAILABLE]
    answered = sum(by_outcome[outcome] for outcome in ANSWERED)
    gave_up = done.ended[Status.CANCELLED] + done.ended[Status.DEADLINE_EXCEEDED]
    assert done.ended[Status.OK] <= answered <= done.ended[Status.OK] + gave_up


def open_streams() -> list[int]:
    """Of every HTTP/2 connection in this process, which are those of the proxies: grpcio has its own."""
    return [each.open_streams for each in gc.get_objects() if type(each) is Connection]


async def test_no_answer_is_crossed_lost_or_changed_among_sizes_deadlines_and_cancels(
    echoes: dict[str, tuple[EchoUpstream, str]], start_proxy: Any, tmp_path: Path
) -> None:
    shares = {"first": CALLS - CALLS // 3, "second": CALLS // 3}
    running = {
        name: await start_proxy(
            upstream=address, deadline="60s", max_in_flight=4096, models={"echo": {}}, trace=str(tmp_path / name)
        )
        for name, (_, address) in echoes.items()
    }
    done = dict(
        zip(
            shares,
            await asyncio.gather(
                *(call_many(str(running[name].address), name, calls, SEED) for name, calls in shares.items())
            ),
            strict=True,
        )
    )
    async with asyncio.timeout(60):
        while any(one.proxy._ledger.in_flight for one in running.values()):
            await asyncio.sleep(0.02)
        while any(upstream.open for upstream, _ in echoes.values()) or any(open_streams()):
            await asyncio.sleep(0.02)
    assert len(open_streams()) >= 4  # at least one connection before and one behind each proxy was looked at
    for name, (upstream, _) in echoes.items():
        await running[name].proxy.stop()
        assert done[name].crossed == []
        assert done[name].unexpected == []
        assert done[name].ended.total() == shares[name]
        assert done[name].ended[Status.OK] > shares[name] / 8
        assert_books(done[name], tmp_path / name, running[name])
        assert len(upstream.peers) >= 2  # the proxy used several connections
        assert max(upstream.executed.values()) == 1
        assert set(upstream.executed) <= set(done[name].ids)


async def test_calls_that_a_grpc_server_at_its_limit_of_streams_refused_are_answered_all_the_same(
    echoes: dict[str, tuple[EchoUpstream, str]], start_proxy: Any
) -> None:
    """grpcio counts a stream for a moment longer than its client does, so it refuses some that keep to its limit."""
    running = await start_proxy(upstream=echoes["first"][1], deadline="60s", models={"echo": {}})
    method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = running.channel.unary_unary(MODEL_INFER)

    async def one(number: int) -> Status:
        try:
            await method(request(f"call-{number}", bytes(16), 0.02), timeout=60)
        except grpc.aio.AioRpcError as error:
            return Status(error.code().value[0])
        return Status.OK

    for start in range(0, 2000, 200):
        assert set(await asyncio.gather(*(one(number) for number in range(start, start + 200)))) == {Status.OK}
