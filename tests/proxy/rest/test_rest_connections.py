"""Whatever clients over HTTP do with their connections, the proxy lives, others are answered, and the books balance."""

from __future__ import annotations

import asyncio
import random
import re
from typing import Any

import pytest

RestProxy = Any  # defined in conftest.py, which tests do not import
StartRest = Any
MakeDocument = Any
HEAD = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n"


async def ends(proxy: RestProxy, reason: str) -> int:
    found: int = (await proxy.scrape())["connection_ends"][reason]
    return found


@pytest.mark.parametrize(
    ("said", "settings", "reason"),
    [
        (b"", {"handshake_timeout": "1s"}, "settle_timeout"),
        (b"POST /v2/models/m/infer HTTP/1.1\r\nHost:", {"handshake_timeout": "2s"}, "midway_timeout"),
        (b"GET /v2/health/live HTTP/1.1\r\nHost: h\r\n\r\n", {"idle_timeout": "1s"}, "idle_timeout"),
    ],
)
async def test_who_keeps_us_waiting_is_let_go(
    start_rest: StartRest, said: bytes, settings: dict[str, str], reason: str
) -> None:
    proxy = await start_rest(**settings)
    reader, writer = await proxy.raw()
    writer.write(said)
    await reader.read()  # until it is closed
    writer.close()
    assert await ends(proxy, reason) == 1
    assert (await proxy.scrape())["received"] == 0


async def test_who_reads_no_answers_is_let_go_and_they_are_held_no_longer(start_rest: StartRest, echo: str) -> None:
    proxy = await start_rest(upstream=echo, stall_timeout="1s", deadline="50s")
    reader, writer = await proxy.raw()
    size = 30 << 20
    text = (
        b'{"inputs": [{"name": "x", "datatype": "UINT8", "shape": [%d], "parameters": {"binary_data_size": %d}}],'
        b' "parameters": {"binary_data_output": true}}' % (size, size)
    )
    head = HEAD % (len(text) + size) + b"Inference-Header-Content-Length: %d\r\n\r\n" % len(text)
    writer.write(head + text + bytes(size))
    await writer.drain()
    reader._transport.pause_reading()  # a client that reads nothing
    while not await ends(proxy, "stall_timeout"):
        await asyncio.sleep(0.05)
    writer.close()
    assert await proxy.books() == {"ok": 1}


@pytest.mark.parametrize(
    ("other", "status"),
    [
        (b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n", b"404"),
        (b"PUT /v2/models/m/infer HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody", b"405"),
    ],
)
async def test_the_clock_of_a_request_does_not_begin_with_an_earlier_one_that_was_for_nobody(
    start_rest: StartRest, make_document: MakeDocument, other: bytes, status: bytes
) -> None:
    proxy = await start_rest(deadline="60s")
    loop = asyncio.get_running_loop()
    reader, writer = await proxy.raw()
    writer.write(other)
    assert status in await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(5)
    sent_s = loop.time()
    body = make_document("1/a")
    writer.write(HEAD % len(body) + b"Connection: close\r\n\r\n" + body)
    assert b" 200 " in await reader.read()
    before_s = proxy.running.proxy._ledger.forward.sum  # from arrival until its call to the upstream began
    assert before_s < loop.time() - sent_s + 4  # nobody had looked for a moment, perhaps; not for all that while
    writer.close()
    assert await proxy.books() == {"ok": 1}


async def test_a_request_that_waits_behind_others_on_its_connection_has_a_clock_of_its_own(
    start_rest: StartRest, make_document: MakeDocument
) -> None:
    proxy = await start_rest(deadline="60s")
    reader, writer = await proxy.raw()

    async def send(request_id: str, *fields: bytes) -> None:
        body = make_document(request_id)
        writer.write(HEAD % len(body) + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body)
        await writer.drain()
        await asyncio.sleep(0.1)

    await send("sleep:2/first")
    await send("1/second")
    await send("1/third", b"tailgate-deadline-ms: 1000")  # over before the first one has its answer
    await asyncio.sleep(1.2)
    await send("1/fourth", b"Connection: close")  # which came when there was time left
    answers = await reader.read()
    assert re.findall(rb"HTTP/1.1 (\d+) ", answers) == [b"200", b"200", b"504", b"200"]
    writer.close()
    assert await proxy.books() == {"ok": 3, "expired_on_arrival": 1}


async def test_an_empty_line_between_requests_is_nobodys_and_starts_no_clock(
    start_rest: StartRest, make_document: MakeDocument
) -> None:
    proxy = await start_rest(deadline="60s", handshake_timeout="2s")
    loop = asyncio.get_running_loop()
    reader, writer = await proxy.raw()
    writer.write(b"GET /v2/health/live HTTP/1.1\r\nHost: h\r\n\r\n")
    await reader.readuntil(b"}")
    writer.write(b"\r\n")  # as old clients put one behind a body
    await asyncio.sleep(4)  # longer than a request may be midway
    sent_s = loop.time()
    body = make_document("1/a")
    writer.write(HEAD % len(body) + b"Connection: close\r\n\r\n" + body)
    assert b" 200 " in await reader.read()
    assert proxy.running.proxy._ledger.forward.sum < loop.time() - sent_s + 3
    writer.close()
    assert await proxy.books() == {"ok": 1}


async def test_beyond_the_connections_allowed_further_ones_are_turned_away(start_rest: StartRest) -> None:
    proxy = await start_rest(max_connections_per_peer=2)
    kept = [await proxy.raw() for _ in range(2)]
    reader, writer = await proxy.raw()
    assert await reader.read() == b""
    for _, other in (*kept, (reader, writer)):
        other.close()
    while (await proxy.scrape())["connections"]:
        await asyncio.sleep(0.01)
    assert await ends(proxy, "too_many_of_peer") == 1
    assert (await proxy.infer("1/a")).status == 200


async def test_after_any_mix_of_clients_the_books_count_what_the_clients_sent(
    start_rest: StartRest, make_document: MakeDocument
) -> None:
    """Each client knows how many requests it completed; those that it left are cancelled, or had met their end."""
    proxy = await start_rest(deadline="60s", max_in_flight=40)
    chance = random.Random(20)
    answered: list[str] = []
    left = 0

    async def asks(number: int) -> None:
        word = chance.choice(["1", "1", "1", "sleep:0.05", "late", "status:13", "garbage", "bad"])
        named = {"late": "hold"}.get(word, word)
        body = make_document(f"{named}/{number}") if word != "bad" else b"{"
        answer = await proxy.post(body, **({"tailgate_deadline_ms": "500"} if word == "late" else {}))
        answered.append(answer.outcome or "ok")

    async def leaves(number: int) -> None:
        nonlocal left
        body = make_document(f"sleep:0.3/{number}")
        _, writer = await proxy.raw()
        writer.write(HEAD % len(body) + b"\r\n" + body[: chance.randrange(len(body) + 1)])
        await writer.drain()
        await asyncio.sleep(chance.choice([0.05, 0.2]))
        writer.close()
        left += 1

    for wave in range(6):
        await asyncio.gather(*(asks(wave * 100 + n) if n % 4 else leaves(wave * 100 + n) for n in range(40)))
    books = await proxy.books()
    assert (await proxy.scrape())["received"] == len(answered) + left == 240
    seen = {outcome: answered.count(outcome) for outcome in set(answered)}
    surplus = {name: count - seen.get(name, 0) for name, count in books.items()}
    assert all(count >= 0 for count in surplus.values())
    assert sum(surplus.values()) == left
    assert {name for name, count in surplus.items() if count} <= {
        "client_cancelled", "deadline_in_flight", "shed_queue_full", "ok", "expired_on_arrival",
    }  # fmt: skip
    assert set(seen) >= {"ok", "deadline_in_flight", "upstream_error", "upstream_invalid", "rejected_invalid"}
