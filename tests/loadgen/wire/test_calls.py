"""What both clients promise, against gRPC's own server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest

from tailgate.errors import Status, UsageError
from tailgate_loadgen.calls import CLIENTS, ClientName, Ended, ask
from tailgate_loadgen.target import open_client

if TYPE_CHECKING:
    from tests.loadgen.wire.conftest import Context

Serve = Callable[..., Any]
Begin = Callable[..., Any]


@pytest.fixture(params=CLIENTS)
def client_name(request: pytest.FixtureRequest) -> ClientName:
    name: ClientName = request.param
    return name


async def echo(body: bytes, _context: Context) -> bytes:
    return body


async def test_an_answer_comes_as_it_was_sent_and_metadata_arrive(client_name: ClientName, serve: Serve) -> None:
    seen: list[dict[str, str]] = []
    left_s: list[float | None] = []

    async def handler(body: bytes, context: Context) -> bytes:
        seen.append({name: str(value) for name, value in context.invocation_metadata() or ()})
        left_s.append(context.time_remaining())
        return body[::-1]

    target = await serve(handler)
    async with open_client(client_name, target.address) as client:
        assert await ask(client, b"que", b"stion", 30, (("x-request-id", "7"),)) == Ended(Status.OK, "", b"noitseuq")
        call = client.prepare(b"que", b"stion", (("x-request-id", "8"),))
        done: asyncio.Future[Ended] = asyncio.Future()
        call.begin(30, done.set_result, (("tailgate-deadline-ms", "5"),))
        assert (await done).status is Status.OK
    assert [one["x-request-id"] for one in seen] == ["7", "8"]
    assert seen[1]["tailgate-deadline-ms"] == "5"
    assert all(left is not None and 0 < left <= 30.5 for left in left_s)  # gRPC rounds up what it writes on the wire


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
async def test_every_status_and_its_text_arrive_as_they_were_given(
    client_name: ClientName, serve: Serve, status: Status
) -> None:
    codes = {code.value[0]: code for code in grpc.StatusCode}

    async def handler(_body: bytes, context: Context) -> bytes:
        await context.abort(codes[status], "50 % of é")
        raise AssertionError

    target = await serve(handler)
    async with open_client(client_name, target.address) as client:
        assert await ask(client, b"q", b"", 60) == Ended(status, "50 % of é")


async def test_large_requests_and_answers_come_whole_many_at_once(
    client_name: ClientName, serve: Serve, begin: Begin
) -> None:
    async def handler(body: bytes, _context: Context) -> bytes:
        return body * 8

    generator = np.random.default_rng(0)
    target = await serve(handler)
    async with open_client(client_name, target.address) as client:
        messages = [generator.bytes(size) for size in (1, 16_000, 16_380, 16_384, 65_535, *[600_000] * 12)]
        begun = [begin(client, message) for message in messages]
        for message, one in zip(messages, begun, strict=True):
            assert await one.done == Ended(Status.OK, "", message * 8)


async def test_a_cancelled_call_ends_as_cancelled_and_the_target_hears_of_it(
    client_name: ClientName, serve: Serve, begin: Begin
) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def handler(body: bytes, _context: Context) -> bytes:
        if body == b"next":
            return body
        started.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        raise AssertionError

    target = await serve(handler)
    async with open_client(client_name, target.address) as client:
        one = begin(client, b"question")
        await started.wait()
        one.call.cancel()
        assert (await one.done).status is Status.CANCELLED
        await asyncio.wait_for(cancelled.wait(), 60)
        one.call.cancel()
        assert (await ask(client, b"ne", b"xt", 60)).status is Status.OK
        assert len(one.ends) == 1


async def test_a_call_ends_at_its_deadline_and_the_target_is_told(
    client_name: ClientName, serve: Serve, begin: Begin
) -> None:
    given_up = 0

    async def never(_body: bytes, _context: Context) -> bytes:
        nonlocal given_up
        try:
            await asyncio.sleep(3600)
        finally:
            given_up += 1
        raise AssertionError

    target = await serve(never)
    async with open_client(client_name, target.address) as client:
        begun = [begin(client, b"question", 3.0) for _ in range(5)]
        assert [(await one.done).status for one in begun] == [Status.DEADLINE_EXCEEDED] * 5
        async with asyncio.timeout(60):
            while given_up < 5:
                await asyncio.sleep(0.01)


async def test_what_is_urgent_is_done_before_each_end_and_may_send(
    client_name: ClientName, serve: Serve, begin: Begin
) -> None:
    target = await serve(echo)
    notes: list[str] = []
    more: list[Any] = []

    def end_at(done: asyncio.Future[Ended]) -> Callable[[Ended], None]:
        def ended(how: Ended) -> None:
            notes.append("ended")
            done.set_result(how)

        return ended

    async with open_client(client_name, target.address) as client:

        def urgent() -> None:
            notes.append("urgent")
            if len(more) < 5:
                more.append(begin(client, b"more"))

        client.put_first(urgent)
        waiting: list[asyncio.Future[Ended]] = [asyncio.Future() for _ in range(10)]
        for done in waiting:
            client.prepare(b"ques", b"tion").begin(60, end_at(done))
        assert [await done for done in waiting] == [Ended(Status.OK, "", b"question")] * 10
        assert [await one.done for one in more] == [Ended(Status.OK, "", b"more")] * 5
    assert notes.count("ended") == 10
    assert {notes[place - 1] for place, note in enumerate(notes) if note == "ended"} == {"urgent"}


async def test_a_call_ends_when_its_answer_was_read_however_long_what_is_urgent_took(
    client_name: ClientName, serve: Serve
) -> None:
    target, loop = await serve(echo), asyncio.get_running_loop()
    begun_s: list[float] = []

    def urgent() -> None:
        begun_s.append(loop.time())
        time.sleep(0.02)

    async with open_client(client_name, target.address) as client:
        client.put_first(urgent)
        call, done = client.prepare(b"ques", b"tion"), asyncio.Future[Ended]()
        call.begin(60, done.set_result)
        assert (await done).status is Status.OK
    assert call.sent_s <= call.ended_s <= begun_s[-1]


async def test_deadlines_are_kept_by_a_timer_of_our_own_in_their_order_and_never_early(
    serve_raw: Callable[..., Any], begin: Begin
) -> None:
    target, loop = await serve_raw(lambda _connection, _event: None), asyncio.get_running_loop()
    ends: list[tuple[float, float, float]] = []
    timeouts = [0.1 + 0.01 * place for place in np.random.default_rng(1).permutation(40).tolist()]
    async with open_client("http2", target.address) as client:
        begun = []
        for timeout in timeouts:
            from_s = loop.time() + timeout
            begun.append(begin(client, b"question", timeout))
            at_s = (from_s, loop.time() + timeout)  # between these, however long a turn the test itself was denied
            begun[-1].done.add_done_callback(lambda _, at_s=at_s: ends.append((*at_s, loop.time())))
        statuses = [(await one.done).status for one in begun]
        await asyncio.sleep(0)  # the callbacks' turn
    assert statuses == [Status.DEADLINE_EXCEEDED] * 40
    assert all(one[0] <= later[1] for one, later in combinations(ends, 2))
    assert len(ends) == 40
    assert all(ended_s >= from_s for from_s, _, ended_s in ends)


async def test_a_call_that_needs_more_time_than_it_has_to_connect_ends_at_its_deadline(
    serve_raw: Callable[..., Any], begin: Begin
) -> None:
    target = await serve_raw(lambda _connection, _event: None, {"MAX_CONCURRENT_STREAMS": 1})
    async with open_client("http2", target.address) as client:
        first = begin(client, b"question", 60)
        others = [begin(client, b"question", 0.05) for _ in range(80)]
        for one in others:
            assert (await one.done).status is Status.DEADLINE_EXCEEDED
        first.call.cancel()
        assert {len(one.ends) for one in (first, *others)} == {1}


async def test_a_target_that_is_gone_ends_calls_as_unavailable_and_is_used_again_when_it_is_back(
    client_name: ClientName, serve: Serve, begin: Begin
) -> None:
    started = asyncio.Event()

    async def never(_body: bytes, _context: Context) -> bytes:
        started.set()
        await asyncio.sleep(3600)
        raise AssertionError

    target = await serve(never)
    async with open_client(client_name, target.address) as client:
        in_flight = begin(client, b"question")
        await started.wait()
        await target.server.stop(None)
        assert (await in_flight.done).status in (Status.UNAVAILABLE, Status.CANCELLED)  # it may say so itself
        assert [(await ask(client, b"q", b"", 60)).status for _ in range(3)] == [Status.UNAVAILABLE] * 3
        await serve(echo, target.address)
        async with asyncio.timeout(120):
            while (ended := await ask(client, b"q", b"", 60)).status is not Status.OK:
                assert ended.status is Status.UNAVAILABLE
                await asyncio.sleep(0.1)


async def until_nobody_listens(address: str) -> None:
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                return
            writer.transport.abort()
            await asyncio.sleep(0.05)


async def test_a_target_that_drains_finishes_what_it_has_and_its_successor_gets_the_rest(
    client_name: ClientName, serve: Serve, begin: Begin
) -> None:
    started, finish = asyncio.Event(), asyncio.Event()

    async def slow(body: bytes, _context: Context) -> bytes:
        started.set()
        await finish.wait()
        return body

    async def successor(_body: bytes, _context: Context) -> bytes:
        return b"successor"

    old = await serve(slow)
    async with open_client(client_name, old.address) as client:
        in_flight = begin(client, b"question")
        await started.wait()
        draining = asyncio.ensure_future(old.server.stop(60))
        await until_nobody_listens(old.address)
        await serve(successor, old.address)
        async with asyncio.timeout(120):
            while (ended := await ask(client, b"q", b"", 60)).answer != b"successor":
                assert ended.status in (Status.UNAVAILABLE, Status.CANCELLED)
                await asyncio.sleep(0.05)
        assert in_flight.ends == []
        finish.set()
        assert await in_flight.done == Ended(Status.OK, "", b"question")
        await draining


async def test_a_socket_in_the_file_system_is_a_target_too(
    client_name: ClientName, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # such a path is short
    await serve(echo, "unix:s")
    for target in ("unix:s", f"unix:{tmp_path}/s"):
        if len(target) < 100:
            async with open_client(client_name, target) as client:
                assert (await ask(client, b"a", b"b", 60)).answer == b"ab"


async def test_where_nobody_listens_the_client_says_so_in_one_sentence(serve: Serve) -> None:
    target = await serve(echo)
    await target.server.stop(None)
    with pytest.raises(UsageError, match=rf"^target {target.address} cannot be reached: .*; start it, or give the"):
        async with open_client("http2", target.address):
            pass
