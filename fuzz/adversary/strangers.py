"""Those who do not speak HTTP/2, or stop in the middle of a word."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack

from fuzz._wire import PREFACE, frame
from fuzz.adversary.case import Case, words
from fuzz.adversary.peer import DATA, END_HEADERS, HEADERS, Target, request_block

_SILENT = {"handshake_timeout": "1s"}


async def garbage(target: Target) -> None:
    async with target.connect(preface=False) as peer:
        await peer.send(bytes(range(256)) * 20)
        await peer.until_ended(1)


async def an_http_1_request(target: Target) -> None:
    async with target.connect(preface=False) as peer:
        await peer.send(b"POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        await peer.until_ended(1)


async def a_tls_hello_to_a_plaintext_port(target: Target) -> None:
    async with target.connect(preface=False) as peer:
        await peer.send(bytes.fromhex("16030102000100 01fc0303") + bytes(508))
        await peer.until_ended(1)


async def half_a_preface_then_gone(target: Target) -> None:
    async with target.connect(preface=False) as peer:
        await peer.send(PREFACE[:11])
        peer.sock.shutdown(socket.SHUT_WR)
        await peer.until_ended()


async def headers_cut_in_the_middle_then_gone(target: Target) -> None:
    async with target.connect() as peer:
        await peer.send(frame(HEADERS, END_HEADERS, 1, request_block())[:-7])
        peer.sock.shutdown(socket.SHUT_WR)
        await peer.until_ended()


async def a_body_cut_in_the_middle_then_gone(target: Target) -> None:
    async with target.connect() as peer:
        for stream_id in range(1, 41, 2):
            await peer.call(stream_id, target.body[:9], end=False)
        await peer.send(frame(DATA, 0, 1, bytes(1000))[:500])
        peer.sock.shutdown(socket.SHUT_WR)
        await peer.until_ended()


async def gone_without_a_word_in_the_middle_of_calls(target: Target) -> None:
    for _ in range(20):
        async with target.connect(read=False) as peer:
            for stream_id in range(1, 21, 2):
                await peer.call(stream_id, target.body)


async def a_connection_that_says_nothing(target: Target) -> None:
    async with target.connect(preface=False) as peer:
        await peer.until_ended()


async def half_a_preface_then_silence(target: Target) -> None:
    async with target.connect(preface=False) as peer:
        await peer.send(PREFACE[:11])
        await peer.until_ended()


async def a_preface_without_settings_then_silence(target: Target) -> None:
    async with target.connect(preface=False) as peer:
        await peer.send(PREFACE)
        await peer.until_ended()


async def settings_that_are_never_acknowledged(target: Target) -> None:
    async with target.connect(ack=False) as peer:
        await peer.until_ended(4)


async def half_a_header_block_then_silence(target: Target) -> None:
    async with target.connect() as peer:
        await peer.send(frame(HEADERS, 0, 1, request_block()))
        await peer.until_ended()


async def a_connection_that_is_idle(target: Target) -> None:
    async with target.connect() as peer:
        await peer.until_ended(0)


async def five_hundred_idle_connections(target: Target) -> None:
    assert await _alive_of(target, 500) == 500


async def more_connections_than_one_address_may_have(target: Target) -> None:
    assert await _alive_of(target, 60) <= 20


async def more_connections_than_there_may_be(target: Target) -> None:
    assert await _alive_of(target, 60) <= 20


async def _alive_of(target: Target, count: int) -> int:
    """Open so many connections, and keep them until all have been answered or closed; returns how many live."""
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(target.connect()) for _ in range(count)]
        return sum(await asyncio.gather(*(peer.answers() for peer in peers)))


CASES = (
    *(
        Case(words(attack), attack)
        for attack in (
            garbage,
            an_http_1_request,
            a_tls_hello_to_a_plaintext_port,
            half_a_preface_then_gone,
            headers_cut_in_the_middle_then_gone,
            a_body_cut_in_the_middle_then_gone,
            gone_without_a_word_in_the_middle_of_calls,
            five_hundred_idle_connections,
        )
    ),
    *(
        Case(words(attack), attack, settings)
        for attack, settings in (
            (a_connection_that_says_nothing, _SILENT),
            (half_a_preface_then_silence, _SILENT),
            (a_preface_without_settings_then_silence, _SILENT),
            (settings_that_are_never_acknowledged, _SILENT),
            (half_a_header_block_then_silence, _SILENT),
            (a_connection_that_is_idle, {"idle_timeout": "1s"}),
            (more_connections_than_one_address_may_have, {"max_connections_per_peer": 20}),
            (more_connections_than_there_may_be, {"max_connections": 20}),
        )
    ),
)
