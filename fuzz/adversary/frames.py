"""Frames that break a rule, or that nobody should take seriously. What is expected is what RFC 9113 asks."""

from __future__ import annotations

from fuzz._wire import frame
from fuzz.adversary.case import Case, words
from fuzz.adversary.peer import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    Target,
    literal,
    request_block,
    settings,
)

PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR, CALM = 1, 3, 5, 6, 11
_FIRST_WINDOW = 65_535


async def an_oversized_data_frame(target: Target) -> None:
    async with target.connect() as peer:
        await peer.call(1, b"", end=False)
        await peer.send(b"\xff\xff\xff\0\0\0\0\0\1" + bytes(1 << 20))
        await peer.until_ended(FRAME_SIZE_ERROR)


async def an_oversized_headers_frame(target: Target) -> None:
    async with target.connect() as peer:
        block = request_block((b"x", b"y" * 65_000))
        await peer.send(frame(HEADERS, END_HEADERS, 1, block))
        await peer.until_ended(CALM, FRAME_SIZE_ERROR)


async def a_hundred_kilobytes_of_headers(target: Target) -> None:
    async with target.connect() as peer:
        block = request_block(*((b"x-%d" % n, b"y" * 1000) for n in range(100)))
        await peer.send(frame(HEADERS, 0, 1, block[:16_384]))
        for at in range(16_384, len(block), 16_384):
            last = at + 16_384 >= len(block)
            await peer.send(frame(CONTINUATION, END_HEADERS if last else 0, 1, block[at : at + 16_384]))
        await peer.until_ended(CALM)


async def a_header_list_above_the_limit_before_it_is_acknowledged(target: Target) -> None:
    async with target.connect(ack=False) as peer:
        await peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, request_block((b"x", b"y" * 20_000))))
        await peer.until(lambda: 1 in peer.resets or 1 in peer.endings)
        assert peer.endings.get(1, {}).get("grpc-status") != "0"
        await peer.call(3, target.body)
        assert await peer.status(3) == 0


async def continuation_without_headers(target: Target) -> None:
    async with target.connect() as peer:
        await peer.send(frame(CONTINUATION, END_HEADERS, 1, request_block()))
        await peer.until_ended(PROTOCOL_ERROR)


async def another_frame_within_a_header_block(target: Target) -> None:
    async with target.connect() as peer:
        await peer.send(frame(HEADERS, 0, 1, request_block()) + frame(PING, 0, 0, bytes(8)))
        await peer.until_ended(PROTOCOL_ERROR)


async def data_on_an_idle_stream(target: Target) -> None:
    async with target.connect() as peer:
        await peer.send(frame(DATA, 0, 5, b"hello"))
        await peer.until_ended(PROTOCOL_ERROR)


async def data_on_a_closed_stream(target: Target) -> None:
    async with target.connect() as peer:
        await peer.call(1, target.body)
        assert await peer.status(1) == 0
        await peer.send(frame(DATA, 0, 1, b"hello"))
        await peer.until_ended(STREAM_CLOSED)


async def data_after_the_end_of_a_request(target: Target) -> None:
    async with target.connect() as peer:
        await peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, request_block()) + frame(DATA, 0, 1, b"hello"))
        await peer.until(lambda: peer.resets.get(1) == STREAM_CLOSED or peer.endings.get(1))
        await peer.call(3, target.body)
        assert await peer.status(3) == 0


async def an_even_stream_number(target: Target) -> None:
    async with target.connect() as peer:
        await peer.send(frame(HEADERS, END_HEADERS, 2, request_block()))
        await peer.until_ended(PROTOCOL_ERROR)


async def decreasing_stream_numbers(target: Target) -> None:
    async with target.connect() as peer:
        await peer.call(5, target.body)
        assert await peer.status(5) == 0
        await peer.call(3, target.body)
        await peer.until_ended(PROTOCOL_ERROR)


async def padding_longer_than_its_frame(target: Target) -> None:
    async with target.connect() as peer:
        await peer.call(1, b"", end=False)
        await peer.send(frame(DATA, PADDED, 1, b"\xc8hello"))
        await peer.until_ended(PROTOCOL_ERROR)
    async with target.connect() as peer:
        await peer.send(frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + request_block()[:20]))
        await peer.until_ended(PROTOCOL_ERROR)


async def nothing_but_padding(target: Target) -> None:
    async with target.connect() as peer:
        await peer.call(1, b"", end=False)
        await peer.send(frame(DATA, PADDED, 1, b"\xff" + bytes(255)) * 200)
        await peer.send(frame(DATA, END_STREAM, 1, target.body))
        assert await peer.status(1) == 0


async def a_priority_on_itself(target: Target) -> None:
    async with target.connect() as peer:
        await peer.send(frame(PRIORITY, 0, 1, b"\0\0\0\1\xff"))
        block = b"\0\0\0\1\xff" + request_block()
        await peer.send(frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, block) + frame(DATA, 1, 1, target.body))
        assert await peer.status(1) == 0  # RFC 9113 does away with priorities, so nobody reads them


async def frames_of_the_wrong_size(target: Target) -> None:
    wrong = ((PRIORITY, 0, 1, 4), (RST_STREAM, 0, 1, 3), (SETTINGS, 0, 0, 5), (SETTINGS, ACK, 0, 6), (PING, 0, 0, 7))
    for kind, flags, stream_id, size in (*wrong, (GOAWAY, 0, 0, 7), (WINDOW_UPDATE, 0, 0, 3)):
        async with target.connect() as peer:
            await peer.call(1, b"", end=False)
            await peer.send(frame(kind, flags, stream_id, bytes(size)))
            await peer.until_ended(FRAME_SIZE_ERROR)


async def frames_in_the_wrong_place(target: Target) -> None:
    for kind, stream_id, size in ((DATA, 0, 3), (HEADERS, 0, 3), (SETTINGS, 1, 6), (PING, 1, 8), (GOAWAY, 1, 8)):
        async with target.connect() as peer:
            await peer.send(frame(kind, 0, stream_id, bytes(size)))
            await peer.until_ended(PROTOCOL_ERROR)


async def settings_of_impossible_values(target: Target) -> None:
    for key, value, code in ((2, 2, PROTOCOL_ERROR), (4, 1 << 31, FLOW_CONTROL_ERROR), (5, 1, PROTOCOL_ERROR)):
        async with target.connect() as peer:
            await peer.send(settings((key, value)))
            await peer.until_ended(code)


async def windows_beyond_the_largest(target: Target) -> None:
    for increment, code in ((0, PROTOCOL_ERROR), ((1 << 31) - 1, FLOW_CONTROL_ERROR)):
        async with target.connect() as peer:
            await peer.send(frame(WINDOW_UPDATE, 0, 0, increment.to_bytes(4, "big")) * 2)
            await peer.until_ended(code)


async def a_push_promise_from_a_client(target: Target) -> None:
    async with target.connect() as peer:
        await peer.call(1, b"", end=False)
        await peer.send(frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + request_block()))
        await peer.until_ended(PROTOCOL_ERROR)


async def goaway_in_the_middle_of_a_call(target: Target) -> None:
    async with target.connect() as peer:
        await peer.call(1, target.body[:10], end=False)
        await peer.send(frame(GOAWAY, 0, 0, bytes(8)))
        await peer.send(frame(DATA, END_STREAM, 1, target.body[10:]))
        assert await peer.status(1) == 0


async def a_body_that_ignores_every_window(target: Target) -> None:
    """Whether it was caught depends on how fast it was read; but nothing is taken beyond what was allowed."""
    async with target.connect(ack=False) as peer:
        size = 6 << 20
        message = target.message + b"\x3a" + _varint(size) + bytes(size)  # one more tensor, of 6 MiB
        await peer.call(1, b"\0" + len(message).to_bytes(4, "big") + message)
        await peer.until(lambda: 1 in peer.endings or 1 in peer.resets or peer.goaway is not None)
        if peer.endings.get(1, {}).get("grpc-status") == "0":
            await peer.alive()
            assert peer.credit.get(1, 0) + _FIRST_WINDOW >= len(message)
            assert peer.credit.get(0, 0) + _FIRST_WINDOW >= len(message)
        else:
            assert FLOW_CONTROL_ERROR in (peer.resets.get(1), peer.goaway) or 1 in peer.endings


async def trailers_in_a_request(target: Target) -> None:
    async with target.connect() as peer:
        await peer.call(1, target.body, end=False)
        await peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, literal(b"x-checksum", b"1")))
        assert await peer.status(1) == 0
        await peer.call(3, target.body, end=False)
        await peer.send(frame(HEADERS, END_HEADERS, 3, literal(b"x-checksum", b"1")))  # they do not end it
        await peer.until(lambda: peer.resets.get(3) == PROTOCOL_ERROR)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


CASES = tuple(
    Case(words(attack), attack)
    for attack in (
        an_oversized_data_frame,
        an_oversized_headers_frame,
        a_hundred_kilobytes_of_headers,
        a_header_list_above_the_limit_before_it_is_acknowledged,
        continuation_without_headers,
        another_frame_within_a_header_block,
        data_on_an_idle_stream,
        data_on_a_closed_stream,
        data_after_the_end_of_a_request,
        an_even_stream_number,
        decreasing_stream_numbers,
        padding_longer_than_its_frame,
        nothing_but_padding,
        a_priority_on_itself,
        frames_of_the_wrong_size,
        frames_in_the_wrong_place,
        settings_of_impossible_values,
        windows_beyond_the_largest,
        a_push_promise_from_a_client,
        goaway_in_the_middle_of_a_call,
        a_body_that_ignores_every_window,
        trailers_in_a_request,
    )
)
