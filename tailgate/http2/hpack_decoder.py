"""Header blocks → header lists (RFC 7541), in one pass; Huffman codes and the static table are the `hpack` library's.

The library's own decoder makes an object and several calls of each field, four times the time of this one, and that
time is a large part of what a proxy spends on a small call. The tests hold this one against it.

A block that did not change the table means the same until the table changes: such blocks are remembered.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from hpack import HPACKDecodingError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from tailgate.http2.codes import ErrorCode
from tailgate.http2.errors import ConnectionViolation
from tailgate.http2.events import Field, Headers

FIELD_OVERHEAD: Final = 32
"""What a field counts for beside its text, in the table (§4.1) and in a list (RFC 9113 §6.5.2)."""

MAX_TABLE_BYTES: Final = 4096
"""The protocol's default; we never announce another, so a peer that goes beyond breaks the rules."""

STATIC: Final[tuple[Field, ...]] = HeaderTable.STATIC_TABLE
_FIRST_DYNAMIC: Final = len(STATIC) + 1
_MAX_INTEGER: Final = 2**32
_REMEMBERED: Final = 64
_LONGEST_REMEMBERED: Final = 1024


class Decoder:
    """One direction of a connection. After an error it is of no more use."""

    def __init__(self, max_list_bytes: int) -> None:
        """Give up lists that are longer."""
        self._max_list = max_list_bytes
        self._dynamic: deque[Field] = deque()  # the latest first
        self._size = 0
        self._capacity = MAX_TABLE_BYTES
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
            headers, changed = self._decode(block)
        except IndexError:
            raise _error("a header block ends within a field, or names an entry that is not in the table") from None
        except HPACKDecodingError as error:
            raise _error(f"a Huffman code in a header block is wrong: {error}") from None
        if changed or len(self._remembered) >= _REMEMBERED:
            self._remembered.clear()
        if headers is not None and not changed and len(block) <= _LONGEST_REMEMBERED:
            self._remembered[block] = headers
        return headers

    def _decode(self, block: bytes) -> tuple[Headers | None, bool]:
        fields: list[Field] = []
        at, end, size, changed = 0, len(block), 0, False
        while at < end:
            first = block[at]
            at += 1
            if first & 0x80:  # an entry of the table (§6.1)
                index = first & 0x7F
                if index == 0x7F:
                    index, at = _integer(block, at, index)
                field = self._entry(index)
            elif first & 0xE0 == 0x20:  # another size of the table (§6.3), before all fields (§4.2)
                if size:
                    raise _error("a size of the table follows a field")
                capacity, at = _integer(block, at, 0x1F) if first & 0x1F == 0x1F else (first & 0x1F, at)
                self._resize(capacity)
                changed = True
                continue
            else:  # a literal, to be entered (§6.2.1) or not (§6.2.2, §6.2.3)
                entered = first & 0x40
                mask = 0x3F if entered else 0x0F
                index = first & mask
                if index == mask:
                    index, at = _integer(block, at, index)
                if index:
                    name = self._entry(index)[0]
                else:
                    name, at = _string(block, at)
                value, at = _string(block, at)
                field = name, value
                if entered:
                    self._enter(field)
                    changed = True
            size += len(field[0]) + len(field[1]) + FIELD_OVERHEAD
            if size <= self._max_list:
                fields.append(field)
        return (tuple(fields) if size <= self._max_list else None), changed

    def _entry(self, index: int) -> Field:
        if index == 0:
            raise _error("a header block names entry 0 of the table")
        return STATIC[index - 1] if index < _FIRST_DYNAMIC else self._dynamic[index - _FIRST_DYNAMIC]

    def _enter(self, field: Field) -> None:
        self._dynamic.appendleft(field)
        self._size += len(field[0]) + len(field[1]) + FIELD_OVERHEAD
        self._evict()

    def _resize(self, capacity: int) -> None:
        if capacity > MAX_TABLE_BYTES:
            raise _error(f"a table of {capacity} bytes; {MAX_TABLE_BYTES} are allowed")
        self._capacity = capacity
        self._evict()

    def _evict(self) -> None:
        while self._size > self._capacity:  # an entry larger than the table empties it (§4.4)
            name, value = self._dynamic.pop()
            self._size -= len(name) + len(value) + FIELD_OVERHEAD


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


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """A string (§5.2), and the index of what follows it."""
    first = block[at]
    at += 1
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
