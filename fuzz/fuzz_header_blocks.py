"""Header blocks that follow on one another, into our decoder and the `hpack` library's: both must say the same.

And header lists through our encoder into the library's decoder, with changes of the table's size between them.
"""

from __future__ import annotations

from typing import Final

import hpack

from fuzz._input import Input
from fuzz._weight import weight
from fuzz._wire import header_block
from tailgate.http2.errors import ConnectionViolation
from tailgate.http2.events import Headers
from tailgate.http2.hpack_decoder import MAX_TABLE_BYTES, Decoder
from tailgate.http2.hpack_encoder import Encoder

MOST_LIST_BYTES: Final = 1 << 16
"""Of a list; an indexed field of 4 KB takes a byte in a block, so a block of 2 KB may mean megabytes."""
MOST_WEIGHT: Final = 1 << 20
NAMES: Final = (b":path", b"te", b"user-agent", b"grpc-status", b"authorization", b"x", b"grpc-timeout", b"a-bin")
SIZES: Final = (0, 31, 32, 64, 100, 1000, 4095, 4096, 4097, 65_536)


def fuzz(data: bytes) -> None:
    """Feed one input.

    Raises:
        AssertionError: The two disagree, or ours keeps too much. Anything else is a crash.
    """
    choices = Input(data)
    if choices.byte() % 4 == 3:
        _encode(choices)
    else:
        _decode(choices)


def _decode(choices: Input) -> None:
    judge, decoder = hpack.Decoder(max_header_list_size=1 << 30), Decoder(MOST_LIST_BYTES)
    judge.max_allowed_table_size = MAX_TABLE_BYTES
    while choices.left > 0:
        how = choices.byte()
        block = header_block(choices, of_client=how % 4 < 2) if how % 2 else choices.sized()
        expected = _judged(judge, block)
        try:
            headers = decoder.decode(block)
        except ConnectionViolation:
            assert expected is None, f"{block!r} is {expected}"
            return
        assert expected is not None, f"{block!r} is wrong"
        if headers is None:
            assert _size(expected) > MOST_LIST_BYTES
        else:
            assert headers == expected
            assert _size(headers) <= MOST_LIST_BYTES
        assert decoder.decode(b"") == ()  # it does not hang, and nothing is left over
    assert weight(decoder) <= MOST_WEIGHT


def _judged(judge: hpack.Decoder, block: bytes) -> Headers | None:
    try:
        return tuple((bytes(name), bytes(value)) for name, value in judge.decode(block, raw=True))
    except hpack.HPACKError:
        return None


def _encode(choices: Input) -> None:
    judge, decoder, encoder = hpack.Decoder(), Decoder(1 << 30), Encoder()
    sent: list[Headers] = []
    while choices.left > 0:
        how = choices.byte()
        if how < 30:
            size = choices.pick(SIZES)
            judge.max_allowed_table_size = size  # as if we had been told, and it had been acknowledged
            encoder.limit_table(size)
        if sent and how % 3 == 0:
            headers = sent[how % len(sent)]
        else:
            count = choices.byte() % 8
            headers = tuple((choices.pick(NAMES), choices.sized()) for _ in range(count))
            sent.append(headers)
        block = encoder.encode(headers)
        assert tuple(judge.decode(block, raw=True)) == headers
        assert decoder.decode(block) == headers
        assert judge.header_table_size <= judge.max_allowed_table_size


def _size(headers: Headers) -> int:
    return sum(len(name) + len(value) + 32 for name, value in headers)
