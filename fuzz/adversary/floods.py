"""Frames that cost the other side work and are worth none, by the thousand."""

from __future__ import annotations

from fuzz._wire import frame
from fuzz.adversary.case import Case, words
from fuzz.adversary.peer import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Peer,
    Target,
    request_block,
    settings,
)

CALM, REFUSED_STREAM, CANCEL = 11, 7, 8
_LAST_STREAM = 20_001


async def _cut(target: Target, content: bytes, *, call: bool = True) -> None:
    """The connection is cut for this, with ENHANCE_YOUR_CALM."""
    async with target.connect() as peer:
        if call:
            await peer.call(1, b"", end=False)
        await peer.send(content)
        await peer.until_ended(CALM)


async def a_ping_flood(target: Target) -> None:
    await _cut(target, frame(PING, 0, 0, bytes(8)) * 10_000)


async def a_flood_of_answers_to_pings(target: Target) -> None:
    await _cut(target, frame(PING, ACK, 0, bytes(8)) * 10_000)


async def a_settings_flood(target: Target) -> None:
    await _cut(target, settings() * 10_000)


async def a_flood_of_windows_that_change(target: Target) -> None:
    async with target.connect() as peer:
        for stream_id in range(1, 101, 2):
            await peer.call(stream_id, b"", end=False)
        await peer.send((settings((4, 1)) + settings((4, 1 << 20))) * 5_000)
        await peer.until_ended(CALM)


async def a_flood_of_acknowledged_settings(target: Target) -> None:
    await _cut(target, frame(SETTINGS, ACK, 0, b"") * 10_000)


async def a_continuation_flood(target: Target) -> None:
    await _cut(target, frame(HEADERS, 0, 1, b"") + frame(CONTINUATION, 0, 1, b"") * 20_000, call=False)


async def an_empty_data_flood(target: Target) -> None:
    await _cut(target, frame(DATA, 0, 1, b"") * 50_000)


async def a_window_update_flood(target: Target) -> None:
    await _cut(target, frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1") * 50_000)


async def a_window_update_flood_on_a_stream(target: Target) -> None:
    await _cut(target, frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1") * 50_000)


async def a_priority_flood(target: Target) -> None:
    await _cut(target, frame(PRIORITY, 0, 3, b"\0\0\0\1\1") * 20_000)


async def a_flood_of_frames_nobody_knows(target: Target) -> None:
    await _cut(target, frame(200, 255, 7, b"what") * 20_000)


async def a_flood_of_frames_for_streams_that_are_gone(target: Target) -> None:
    await _cut(target, frame(RST_STREAM, 0, 1, CANCEL.to_bytes(4, "big")) * 20_000)


async def a_flood_of_malformed_requests(target: Target) -> None:
    async with target.connect() as peer:
        for first in range(1, _LAST_STREAM, 2_000):
            await peer.send(b"".join(_headers(number, b"\x83\x86") for number in range(first, first + 2_000, 2)))
        await peer.until_ended(CALM)


async def ten_thousand_rapid_resets(target: Target) -> None:
    """Cut, or all booked: which of them depends on how fast they are read."""
    block, reset = request_block(), CANCEL.to_bytes(4, "big")
    async with target.connect() as peer:
        for first in range(1, _LAST_STREAM, 2_000):
            numbers = range(first, first + 2_000, 2)
            await peer.send(b"".join(_headers(n, block) + frame(RST_STREAM, 0, n, reset) for n in numbers))
        await _cut_or_answered(peer)


async def rapid_resets_of_more_streams_than_allowed(target: Target) -> None:
    block, reset = request_block(), CANCEL.to_bytes(4, "big")
    async with target.connect() as peer:
        for first in range(1, 6_001, 2_000):
            numbers = range(first, first + 2_000, 2)
            await peer.send(b"".join(_headers(number, block) for number in numbers))
            await peer.send(b"".join(frame(RST_STREAM, 0, number, reset) for number in numbers))
        await _cut_or_answered(peer)


async def streams_beyond_the_limit(target: Target) -> None:
    async with target.connect() as peer:
        await peer.send(b"".join(_headers(number, request_block()) for number in range(1, 801, 2)))
        await peer.until(lambda: peer.resets.get(799) == REFUSED_STREAM)


async def _cut_or_answered(peer: Peer) -> None:
    if not await peer.answers():
        assert peer.goaway in (CALM, None)


def _headers(stream_id: int, block: bytes) -> bytes:
    return frame(HEADERS, END_HEADERS | (END_STREAM if len(block) < 9 else 0), stream_id, block)


CASES = (
    *(
        Case(words(attack), attack)
        for attack in (
            a_ping_flood,
            a_flood_of_answers_to_pings,
            a_settings_flood,
            a_flood_of_windows_that_change,
            a_flood_of_acknowledged_settings,
            a_continuation_flood,
            an_empty_data_flood,
            a_window_update_flood,
            a_window_update_flood_on_a_stream,
            a_priority_flood,
            a_flood_of_frames_nobody_knows,
            a_flood_of_frames_for_streams_that_are_gone,
            a_flood_of_malformed_requests,
            ten_thousand_rapid_resets,
            rapid_resets_of_more_streams_than_allowed,
        )
    ),
    Case(words(streams_beyond_the_limit), streams_beyond_the_limit, {"max_in_flight": 8}),
)
