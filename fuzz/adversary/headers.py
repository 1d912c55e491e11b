"""Header blocks and header lists that are wrong, or mean more than they weigh."""

from __future__ import annotations

from fuzz._wire import frame
from fuzz.adversary.case import Case, words
from fuzz.adversary.peer import END_HEADERS, END_STREAM, HEADERS, Target, data, literal, request_block

PROTOCOL_ERROR, COMPRESSION_ERROR, CALM = 1, 9, 11
INVALID_ARGUMENT, DEADLINE_EXCEEDED = 3, 4
_TIMEOUTS = (b"-1S", b"abc", b"", b"5", b"1.5S", b"999999999S", b"1s", b"1 S", b"\xff\xfeS", b"0x1S")


async def an_hpack_bomb(target: Target) -> None:
    async with target.connect() as peer:
        entered = b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4000  # a field of 4,000 bytes, which 28,000 bytes name again
        await peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, request_block() + entered + b"\xbe" * 10_000))
        await peer.until(lambda: 1 in peer.resets or peer.endings.get(1, {}).get("grpc-status", "0") != "0")
        await peer.call(3, target.body)
        assert await peer.status(3) == 0


async def a_flood_of_table_sizes(target: Target) -> None:
    async with target.connect() as peer:
        await peer.send(frame(HEADERS, END_HEADERS, 1, b"\x20\x3f\xe1\x1f" * 7_000 + request_block()))
        await peer.send(data(1, target.body))
        await peer.until(lambda: 1 in peer.endings or peer.goaway in (COMPRESSION_ERROR, CALM))


async def blocks_that_cannot_be_decoded(target: Target) -> None:
    huffman, index, beyond, table = b"\x00\x85\x63\xff\xff\xff\xff\xf0\x01a", b"\x80", b"\xff\xff\x7f", b"\x3f\xe2\x1f"
    for block in (huffman, index, beyond, table, b"\x00\x05ab", b"\x83\x20"):
        async with target.connect() as peer:
            await peer.send(frame(HEADERS, END_HEADERS, 1, block))
            await peer.until_ended(COMPRESSION_ERROR)


async def names_in_upper_case(target: Target) -> None:
    await _malformed(target, request_block((b"X-Upper", b"1")))


async def fields_of_http_1(target: Target) -> None:
    for name, value in ((b"connection", b"close"), (b"transfer-encoding", b"chunked"), (b"upgrade", b"h2c")):
        await _malformed(target, request_block((name, value)))
    await _malformed(target, request_block((b"te", b"gzip")))


async def pseudo_fields_that_are_wrong(target: Target) -> None:
    whole = request_block()
    without_path = b"\x83\x86" + literal(b"te", b"trailers")
    for block in (without_path, b"\x83" + whole, whole + b"\x86", literal(b":what", b"1") + whole, whole + b"\x88"):
        await _malformed(target, block)


async def values_that_end_a_line(target: Target) -> None:
    for value in (b"a\r\nx: b", b"a\0b", b" a", b"a\n"):
        await _malformed(target, request_block((b"x", value)))


async def a_body_unlike_its_content_length(target: Target) -> None:
    async with target.connect() as peer:
        await peer.call(1, target.body, (b"content-length", b"3"))
        await peer.until(lambda: peer.resets.get(1) == PROTOCOL_ERROR)
        await peer.call(3, target.body)
        assert await peer.status(3) == 0


async def malformed_timeouts(target: Target) -> None:
    async with target.connect() as peer:
        for number, timeout in enumerate(_TIMEOUTS):
            bad, good = 4 * number + 1, 4 * number + 3
            await peer.call(bad, target.body, (b"grpc-timeout", timeout))
            await peer.call(good, target.body, (b"grpc-timeout", b"10S"))
            assert await peer.status(bad) == INVALID_ARGUMENT, timeout
            assert await peer.status(good) == 0


async def more_than_one_timeout(target: Target) -> None:
    async with target.connect() as peer:
        await peer.call(1, target.body, (b"grpc-timeout", b"10S"), (b"grpc-timeout", b"-1S"))
        await peer.call(3, target.body, (b"grpc-timeout", b"0n"), (b"grpc-timeout", b"10S"))
        await peer.call(5, target.body, (b"grpc-timeout", b"10S"))
        assert await peer.status(1) == INVALID_ARGUMENT
        assert await peer.status(3) == INVALID_ARGUMENT
        assert await peer.status(5) == 0


async def absurd_timeouts(target: Target) -> None:
    async with target.connect() as peer:
        for number, (timeout, status) in enumerate(((b"99999999H", 0), (b"0n", DEADLINE_EXCEEDED), (b"0H", 4))):
            await peer.call(2 * number + 1, target.body, (b"grpc-timeout", timeout))
            assert await peer.status(2 * number + 1) == status


async def a_thousand_methods_and_models_that_are_not_there(target: Target) -> None:
    async with target.connect() as peer:
        for number in range(1, 601, 2):
            block = request_block(path=f"/no.such.Service{number}/Method")
            await peer.send(frame(HEADERS, END_HEADERS, number, block) + data(number, target.body))
        assert {await peer.status(number) for number in range(1, 601, 2)} == {12}
        await peer.alive()


async def _malformed(target: Target, block: bytes) -> None:
    """It costs its stream, and no other."""
    async with target.connect() as peer:
        await peer.send(frame(HEADERS, END_HEADERS, 1, block))
        await peer.until(lambda: peer.resets.get(1) == PROTOCOL_ERROR)
        await peer.call(3, target.body)
        assert await peer.status(3) == 0


CASES = tuple(
    Case(words(attack), attack)
    for attack in (
        an_hpack_bomb,
        a_flood_of_table_sizes,
        blocks_that_cannot_be_decoded,
        names_in_upper_case,
        fields_of_http_1,
        pseudo_fields_that_are_wrong,
        values_that_end_a_line,
        a_body_unlike_its_content_length,
        malformed_timeouts,
        more_than_one_timeout,
        absurd_timeouts,
        a_thousand_methods_and_models_that_are_not_there,
    )
)
