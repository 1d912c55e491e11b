"""Header blocks → header lists (RFC 7541), in one pass; the static table is the `hpack` library's.

The library's own decoder makes an object and several calls of each field, ten times the time of this one, and that
time is a large part of what a proxy spends on a small call. The tests hold this one against it.

A block that did not change the table means the same until the table changes: such blocks are remembered. That serves
responses, and clients that send no metadata of each call. gRPC's own clients enter every new timeout in the table, so
what counts for them is the pass: it reads what they send, fields with indices of two bytes and short plain literals,
without a call.
"""

from __future__ import annotations

from typing import Final

import hpack

from tailgate.http2.codes import ErrorCode
from tailgate.http2.errors import ConnectionViolation
from tailgate.http2.events import Field, Headers
from tailgate.http2.hpack_huffman import decode_huffman

FIELD_OVERHEAD: Final = 32
"""What a field counts for beside its text, in the table (§4.1) and in a list (RFC 9113 §6.5.2)."""

MAX_TABLE_BYTES: Final = 4096
"""The protocol's default; we never announce another, so a peer that goes beyond breaks the rules."""

# The block that names the 61 entries one by one; the library has them in a table, but that is no part of its interface.
STATIC: Final[tuple[Field, ...]] = tuple(
    (bytes(name), bytes(value)) for name, value in hpack.Decoder().decode(bytes(range(0x81, 0x81 + 61)), raw=True)
)
_NO_ENTRY: Final[Field] = (b"", b"")
_FIRST_DYNAMIC: Final = len(STATIC) + 1
_MAX_INTEGER: Final = 2**32
_REMEMBERED: Final = 64
_LONGEST_REMEMBERED: Final = 1024


class Decoder:
    """One direction of a connection. After an error it is of no more use."""

    def __init__(self, max_list_bytes: int) -> None:
        """Give up lists that are longer."""
        self._max_list = max_list_bytes
        self._table = [_NO_ENTRY, *STATIC]  # by index; behind the static entries the dynamic ones, the latest first
        self._size = 0
        self._capacity = MAX_TABLE_BYTES
        self._largest = _LARGEST_STATIC  # of all entries that were ever in the table
        self._remembered: dict[bytes, Headers] = {}

    def decode(self, block: bytes) -> Headers | None:
        """The list; None for one that is too long, which has been read for the table's sake.

        Raises:
            ConnectionViolation: COMPRESSION_ERROR.
        """
        headers = self._remembered.get(block)
        if headers is not None:
            return headers
        try:
            fields, changed = self._read(block)
        except IndexError:
            raise _error("a header block ends within a field, or names an entry that is not in the table") from None
        if changed:
            self._remembered.clear()
        # What is not from the table is in the block, where Huffman's code takes at least 5 bits of 8. With so rough a
        # bound few lists have to be measured, which would take a quarter of the time.
        at_most = len(fields) * self._largest + 2 * len(block)
        if at_most > self._max_list and sum(map(_size, fields)) > self._max_list:
            return None
        headers = tuple(fields)
        if not changed and len(block) <= _LONGEST_REMEMBERED:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[block] = headers
        return headers

    def _read(self, block: bytes) -> tuple[list[Field], bool]:  # noqa: PLR0912, PLR0915 - calls would double its time
        """The fields, and whether the table changed."""
        fields: list[Field] = []
        add, table = fields.append, self._table
        at, end, changed = 0, len(block), False
        while at < end:
            first = block[at]
            at += 1
            if first > 0x80:  # an entry of the table (§6.1)
                index = first & 0x7F
                if index == 0x7F:
                    index += block[at]
                    at += 1
                    if index >= 0xFF:
                        index, at = _integer(block, at - 1, 0x7F)
                add(table[index])
                continue
            if first < 0x20:  # a literal that is not to be entered (§6.2.2, §6.2.3)
                entered, mask = False, 0x0F
            elif first == 0x80:
                raise _error("a header block names entry 0 of the table")
            elif first >= 0x40:  # a literal that is (§6.2.1)
                entered, mask = True, 0x3F
                changed = True
            else:  # another size of the table (§6.3), before all fields (§4.2)
                if fields:
                    raise _error("a size of the table follows a field")
                at = self._resize(block, at - 1)
                changed = True
                continue
            index = first & mask
            if index:
                if index == mask:
                    index, at = _integer(block, at, index)
                name = table[index][0]
            else:
                length = block[at]
                at += 1
                if length < 0x7F:
                    name = block[at : at + length]
                    at += length
                else:
                    name, at = _string(block, at, length)
            length = block[at]
            at += 1
            if length < 0x7F:
                value = block[at : at + length]
                at += length
            else:
                value, at = _string(block, at, length)
            add((name, value))
            if entered:
                self._enter(name, value)
        if at > end:
            raise _error("a header block ends within a string")
        return fields, changed

    def _enter(self, name: bytes, value: bytes) -> None:
        """Enter a field, and evict what there is no room for (§4.4): one larger than the table empties it."""
        table = self._table
        table.insert(_FIRST_DYNAMIC, (name, value))
        size = len(name) + len(value) + FIELD_OVERHEAD
        if size > self._largest:  # noqa: PLR1730 - max() takes four times as long
            self._largest = size
        size += self._size
        while size > self._capacity:
            name, value = table.pop()
            size -= len(name) + len(value) + FIELD_OVERHEAD
        self._size = size

    def _resize(self, block: bytes, at: int) -> int:
        """Do as the block says at this index; returns the index of what follows."""
        capacity = block[at] & 0x1F
        at += 1
        if capacity == 0x1F:
            capacity, at = _integer(block, at, capacity)
        if capacity > MAX_TABLE_BYTES:
            raise _error(f"a table of {capacity} bytes; {MAX_TABLE_BYTES} are allowed")
        self._capacity = capacity
        while self._size > capacity:
            self._size -= _size(self._table.pop())
        return at


def _size(field: Field) -> int:
    return len(field[0]) + len(field[1]) + FIELD_OVERHEAD


_LARGEST_STATIC: Final = max(map(_size, STATIC))


def _integer(block: bytes, at: int, value: int) -> tuple[int, int]:
    """An integer that did not fit its prefix (§5.1), and the index of what follows it."""
    shift = 0
    while True:
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if value > _MAX_INTEGER or shift > 28:  # further zeros would be an endless number
            raise _error("an integer in a header block is too long")
        if byte < 0x80:
            return value, at
        shift += 7


def _string(block: bytes, at: int, first: int) -> tuple[bytes, int]:
    """The rest of a string (§5.2) that is long or Huffman-coded, and the index of what follows it."""
    length = first & 0x7F
    if length == 0x7F:
        length, at = _integer(block, at, length)
    end = at + length
    if end > len(block):
        raise _error("a header block ends within a string")
    content = block[at:end]
    return (decode_huffman(content) if first & 0x80 else content), end


def _error(reason: str) -> ConnectionViolation:
    return ConnectionViolation(ErrorCode.COMPRESSION_ERROR, reason)
