"""Huffman-coded strings of header blocks (RFC 7541 §5.2) → plain ones, a byte of code at a time.

The `hpack` library takes half a byte at a time, in four times the time. Here each place in the tree of codes learns,
when it first meets a byte, what comes of it, and knows it from then on. Nothing is learnt of strings, only of the code:
it is the same for all connections and has an end, at 256 places with 256 bytes each, or some 7 MB if a peer insists.

The code itself is asked of the library's encoder, for its table of codes is not part of its interface.
"""

from __future__ import annotations

from typing import Final

import hpack

from tailgate.http2.codes import ErrorCode
from tailgate.http2.errors import ConnectionViolation

_LONGEST_PADDING: Final = 7


class _Place:
    """A place within a code, or between two.

    Attributes:
        after: By the next byte, the symbols that it completes and the place it leads to; None if not yet known.
        next: By the next bit, a place further within the code or the symbol that is complete; None is the symbol for
            the end of all strings, which must not occur.
        may_end: Whether the bits since the last symbol are what a string may be padded with.
    """

    __slots__ = ("after", "may_end", "next")

    def __init__(self) -> None:
        self.after: list[tuple[bytes, _Place] | None] = [None] * 256
        self.next: list[_Place | int | None] = [None, None]
        self.may_end = False

    def learn(self, byte: int) -> tuple[bytes, _Place]:
        """Go through the bits of a byte."""
        place, symbols = self, bytearray()
        for shift in range(7, -1, -1):
            reached = place.next[byte >> shift & 1]
            if reached is None:
                raise _error("it has the symbol for the end of all strings")
            if isinstance(reached, int):
                symbols.append(reached)
                place = _BETWEEN_CODES
            else:
                place = reached
        found = self.after[byte] = bytes(symbols), place
        return found


def decode_huffman(content: bytes) -> bytes:
    """The plain string.

    Raises:
        ConnectionViolation: COMPRESSION_ERROR.
    """
    place, parts = _BETWEEN_CODES, []
    for byte in content:
        symbols, place = place.after[byte] or place.learn(byte)
        parts.append(symbols)
    if not place.may_end:
        raise _error("it does not end with the padding that it must have")
    return b"".join(parts)


def _code(encoder: hpack.Encoder, symbol: int) -> tuple[int, int]:
    """A symbol's code, and its length in bits: eight of the symbol take as many bytes, which is the string's length."""
    block = encoder.encode([hpack.NeverIndexedHeaderTuple(b"", bytes((symbol,)) * 8)], huffman=True)
    length = block[2] & 0x7F  # behind the kind of the field and its empty name
    return int.from_bytes(block[3:]) >> 7 * length, length


def _tree() -> _Place:
    root, encoder = _Place(), hpack.Encoder()
    for symbol in range(256):
        code, length = _code(encoder, symbol)
        place = root
        for shift in range(length - 1, 0, -1):
            bit = code >> shift & 1
            further = place.next[bit]
            if not isinstance(further, _Place):
                further = place.next[bit] = _Place()
            place = further
        place.next[code & 1] = symbol
    _allow_padding(root, _LONGEST_PADDING)
    return root


def _allow_padding(place: _Place, bits: int) -> None:
    """A string is padded with ones, by fewer than eight bits."""
    place.may_end = True
    further = place.next[1]
    if bits and isinstance(further, _Place):
        _allow_padding(further, bits - 1)


def _error(reason: str) -> ConnectionViolation:
    return ConnectionViolation(ErrorCode.COMPRESSION_ERROR, f"a Huffman-coded string in a header block: {reason}")


_BETWEEN_CODES: Final = _tree()
