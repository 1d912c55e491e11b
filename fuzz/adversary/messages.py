"""Bodies that are no message, more than one, or larger than they look."""

from __future__ import annotations

import gzip
from functools import lru_cache

from fuzz._wire import frame
from fuzz.adversary.case import Case, words
from fuzz.adversary.peer import END_HEADERS, END_STREAM, HEADERS, Peer, Target, framed, request_block

OK, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED = 0, 3, 8, 12
_GZIP = (b"grpc-encoding", b"gzip")


async def a_compressed_bomb(target: Target) -> None:
    async with target.connect() as peer:
        await _refused(peer, target, framed(_bomb(), flag=1), _GZIP)


async def a_compressed_bomb_of_bombs(target: Target) -> None:
    async with target.connect() as peer:
        await _refused(peer, target, framed(gzip.compress(_bomb(), 1, mtime=0), flag=1), _GZIP)


async def compressed_noise(target: Target) -> None:
    async with target.connect() as peer:
        await _refused(peer, target, framed(b"no gzip at all", flag=1), _GZIP)
    async with target.connect() as peer:
        await _refused(peer, target, framed(gzip.compress(target.message, mtime=0)[:-9], flag=1), _GZIP)
    async with target.connect() as peer:
        await _refused(peer, target, framed(target.message, flag=1), (b"grpc-encoding", b"snappy"))


async def a_message_of_four_gigabytes_by_its_prefix(target: Target) -> None:
    async with target.connect() as peer:
        await peer.call(1, b"\0\xff\xff\xff\xff" + bytes(1000), end=False)
        assert await peer.status(1) == RESOURCE_EXHAUSTED  # without waiting for it
        await _fine(peer, target)


async def a_message_shorter_than_its_prefix(target: Target) -> None:
    async with target.connect() as peer:
        await _refused(peer, target, target.body[:-1])


async def a_prefix_and_nothing_else(target: Target) -> None:
    async with target.connect() as peer:
        await _refused(peer, target, target.body[:5])


async def a_body_of_nothing(target: Target) -> None:
    async with target.connect() as peer:
        await peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, request_block()))
        assert await peer.status(1) != OK
        await _fine(peer, target)


async def two_messages_in_one_call(target: Target) -> None:
    async with target.connect() as peer:
        await _refused(peer, target, target.body * 2)


async def a_prefix_with_an_unknown_flag(target: Target) -> None:
    async with target.connect() as peer:
        await _refused(peer, target, b"\x07" + target.body[1:])


async def bytes_that_are_no_request(target: Target) -> None:
    for noise in (b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x7f", b"\x0a\x02\xff\xfe", b"\x0b" * 1000):
        async with target.connect() as peer:
            await _refused(peer, target, framed(noise))


async def a_request_that_is_no_grpc(target: Target) -> None:
    async with target.connect() as peer:
        await peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x82\x86\x84\x41\x01a"))  # GET /
        await peer.until(lambda: 1 in peer.endings or 1 in peer.resets)
        await _fine(peer, target)


@lru_cache
def _bomb() -> bytes:
    return gzip.compress(bytes(100 << 20), 1, mtime=0)


async def _refused(peer: Peer, target: Target, body: bytes, *extra: tuple[bytes, bytes]) -> None:
    """It gets a status other than OK, and the connection goes on."""
    await peer.call(1, body, *extra)
    assert await peer.status(1) != OK
    await _fine(peer, target)


async def _fine(peer: Peer, target: Target) -> None:
    await peer.call(3, target.body)
    assert await peer.status(3) == OK


CASES = tuple(
    Case(words(attack), attack)
    for attack in (
        a_compressed_bomb,
        a_compressed_bomb_of_bombs,
        compressed_noise,
        a_message_of_four_gigabytes_by_its_prefix,
        a_message_shorter_than_its_prefix,
        a_prefix_and_nothing_else,
        a_body_of_nothing,
        two_messages_in_one_call,
        a_prefix_with_an_unknown_flag,
        bytes_that_are_no_request,
        a_request_that_is_no_grpc,
    )
)
