"""Header lists → header blocks (RFC 7541), made for calls: what repeats is entered in the peer's table, and once only.

The table is filled until it is full and never evicted from, so an entry stays where it is but for those entered after
it. Values that differ from call to call (timeouts, identifiers) are never entered: they would push out what repeats,
and each would change the peer's table. Secrets are marked never to be entered by anyone (§7.1.3). Strings go without
Huffman coding: it saves a few bytes, and costs more time than all the rest.

Whole blocks are not remembered: for requests, which differ, looking for them costs as much as it saves for responses.
"""

from __future__ import annotations

from typing import Final

from tailgate.http2.events import Field, Headers
from tailgate.http2.headers import REPEATING
from tailgate.http2.hpack_decoder import FIELD_OVERHEAD, MAX_TABLE_BYTES, STATIC

_ENTERED: Final = REPEATING | {b":authority", b":path", b":status"}
_SECRET: Final = frozenset(b"authorization proxy-authorization cookie set-cookie".split())
_REMEMBERED: Final = 64


def _integer(value: int, prefix_bits: int, pattern: int) -> bytes:
    """An integer behind the bits of a pattern (§5.1)."""
    most = (1 << prefix_bits) - 1
    if value < most:
        return bytes((pattern | value,))
    encoded = bytearray((pattern | most,))
    value -= most
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


_STATIC_FIELD: Final = {field: _integer(index, 7, 0x80) for index, field in reversed(list(enumerate(STATIC, 1)))}
_STATIC_NAME: Final = {name: index for index, (name, _) in reversed(list(enumerate(STATIC, 1)))}
_LENGTH: Final = tuple(_integer(length, 7, 0) for length in range(256))


class Encoder:
    """One direction of a connection."""

    def __init__(self) -> None:
        """Start with the protocol's default table."""
        self._capacity = MAX_TABLE_BYTES
        self._size = 0
        self._entered: list[Field] = []
        self._indexed = dict(_STATIC_FIELD)  # fields that are in a table, as what names them in a block
        self._names: dict[bytes, bytes] = {}  # of fields that are never entered, as what names them in a block
        self._announce = b""

    def limit_table(self, peer_bytes: int) -> None:
        """The peer's table is no larger than this. A change empties it; the next block says so (§4.2)."""
        capacity = min(peer_bytes, MAX_TABLE_BYTES)
        if capacity != self._capacity:
            self._capacity, self._size = capacity, 0
            self._entered.clear()
            self._index()
            self._announce = _integer(0, 5, 0x20) + _integer(capacity, 5, 0x20)

    def encode(self, headers: Headers) -> bytes:
        """The block of a list. Blocks have to be sent in the order in which they were made."""
        indexed, names = self._indexed, self._names
        parts: list[bytes] = []
        if self._announce:
            parts.append(self._announce)
            self._announce = b""
        for field in headers:
            known = indexed.get(field)
            if known is None:
                name, value = field
                length = len(value)
                parts += (
                    names.get(name) or self._literal(field),
                    _LENGTH[length] if length < 256 else _integer(length, 7, 0),
                    value,
                )
            else:
                parts.append(known)
        return b"".join(parts)

    def _literal(self, field: Field) -> bytes:
        """The beginning of a literal, up to its value (§6.2); its field is entered if it repeats and there is room."""
        name, value = field
        if name in _ENTERED:
            size = len(name) + len(value) + FIELD_OVERHEAD
            if self._size + size > self._capacity:
                return _literal_name(name, 4, 0)
            self._size += size
            self._entered.append(field)
            self._index()
            return _literal_name(name, 6, 0x40)
        beginning = _literal_name(name, 4, 0x10 if name in _SECRET else 0)
        if len(self._names) >= _REMEMBERED:  # names are the clients' to choose
            self._names.clear()
        self._names[name] = beginning
        return beginning

    def _index(self) -> None:
        """Number the fields in the table anew: the latest comes first (§2.3.3)."""
        self._indexed.clear()
        self._indexed.update(_STATIC_FIELD)
        for index, field in enumerate(reversed(self._entered), len(STATIC) + 1):
            self._indexed[field] = _integer(index, 7, 0x80)


def _literal_name(name: bytes, prefix_bits: int, pattern: int) -> bytes:
    """A literal's name, by the static table's index if it is there."""
    index = _STATIC_NAME.get(name, 0)
    return _integer(index, prefix_bits, pattern) + (b"" if index else _integer(len(name), 7, 0) + name)
