"""Those who take their time: bodies that never come, answers that are never read."""

from __future__ import annotations

import asyncio

from fuzz._wire import frame
from fuzz.adversary.case import Case, words
from fuzz.adversary.peer import DATA, WINDOW_UPDATE, Target, framed

DEADLINE_EXCEEDED = 4
_TIMEOUT = (b"grpc-timeout", b"300m")
_BYTE_EVERY_S = 0.02
_LONG = 500
_INITIAL_WINDOW = 4


async def a_body_byte_by_byte_with_a_timeout(target: Target) -> None:
    await _byte_by_byte(target, _TIMEOUT)


async def a_body_byte_by_byte_without_a_timeout(target: Target) -> None:
    await _byte_by_byte(target)


async def _byte_by_byte(target: Target, *extra: tuple[bytes, bytes]) -> None:
    async with target.connect() as peer:
        await peer.call(1, b"", *extra, end=False)
        for byte in target.body[:-1]:  # the last one never comes
            await peer.send(frame(DATA, 0, 1, bytes((byte,))))
            await asyncio.sleep(_BYTE_EVERY_S)
            if 1 in peer.endings:
                break
        assert await peer.status(1) == DEADLINE_EXCEEDED
        await peer.alive()


async def headers_and_never_a_body(target: Target) -> None:
    async with target.connect() as peer:
        numbers = range(1, 101, 2)
        for number in numbers:
            await peer.call(number, b"", *([_TIMEOUT] if number % 4 == 1 else []), end=False)
        assert {await peer.status(number) for number in numbers} == {DEADLINE_EXCEEDED}
        await peer.alive()


async def a_window_of_one_byte(target: Target) -> None:
    """Legal, only slow: the answer comes whole, a byte at a time."""
    async with target.connect((_INITIAL_WINDOW, 1)) as peer:
        await peer.call(1, target.body)
        while 1 not in peer.endings:
            await peer.send(frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"))
            await peer.alive()
        assert len(peer.bodies[1]) == 5 + int.from_bytes(peer.bodies[1][1:5], "big")
        assert await peer.status(1) == 0


async def windows_that_stay_shut(target: Target) -> None:
    """Answers that nobody takes are given up: their streams are reset, or the connection is closed."""
    async with target.connect((_INITIAL_WINDOW, 0)) as peer:
        numbers = range(1, 65, 2)
        for number in numbers:
            await peer.call(number, framed(target.large))
        await peer.until_over(*numbers)


async def windows_that_open_by_a_byte_now_and_then(target: Target) -> None:
    """A trickle is no progress: it would keep an answer for hours."""
    async with target.connect((_INITIAL_WINDOW, 0)) as peer:
        await peer.call(1, framed(target.large))
        for _ in range(_LONG):
            await peer.send(frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"))
            await asyncio.sleep(_BYTE_EVERY_S)
            if peer.ended or 1 in peer.resets or 1 in peer.endings:
                return
        raise AssertionError("it is still being fed")


async def answers_that_are_never_read(target: Target) -> None:
    async with target.connect((_INITIAL_WINDOW, 1 << 30), read=False, rcvbuf=4096) as peer:
        await peer.send(frame(WINDOW_UPDATE, 0, 0, (1 << 30).to_bytes(4, "big")))
        for number in range(1, 33, 2):
            await peer.call(number, framed(target.large))
        await asyncio.sleep(2.0)
        peer.read()  # whoever was cut finds an end behind what had been sent
        await peer.until_ended()


_STALLED = {"deadline": "20s", "stall_timeout": "300ms"}

CASES = (
    *(
        Case(words(attack), attack, {"deadline": "5s"})
        for attack in (a_body_byte_by_byte_with_a_timeout, a_body_byte_by_byte_without_a_timeout)
    ),
    Case(words(headers_and_never_a_body), headers_and_never_a_body, {"deadline": "5s"}),
    Case(words(a_window_of_one_byte), a_window_of_one_byte),
    Case(words(windows_that_stay_shut), windows_that_stay_shut, _STALLED),
    Case(words(answers_that_are_never_read), answers_that_are_never_read, _STALLED),
    Case(words(windows_that_open_by_a_byte_now_and_then), windows_that_open_by_a_byte_now_and_then, _STALLED),
)
