"""Header lists → header blocks (RFC 7541), made for calls: what repeats is entered in the peer's table, and once only.

The table is filled until it is full and never evicted from, so an entry stays where it is but for those entered after
it. Values that differ from call to call (timeouts, identifiers) are never entered: they would push out what repeats,
and each would change the peer's table. Secrets are marked never to be entered by anyone (§7.1.3). Strings go without
Huffman coding: it saves a few bytes, and costs more time than all the rest.
"""

from __future__ import annotations

from typing import Final

from tailgate.http2.events import Field, Headers
from tailgate.http2.hpack_decoder import FIELD_OVERHEAD, MAX_TABLE_BYTES, STATIC

_REPEATING: Final = frozenset(
    b":authority :path :status te content-type user-agent server accept-encoding "
    b"grpc-encoding grpc-accept-encoding grpc-status".split()
)
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
        self._announce = b""
        self._remembered: dict[Headers, bytes] = {}
        self._literal_names: dict[bytes, bytes] = {}

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
        block = self._remembered.get(headers)
        if block is not None:
            return block
        entries = len(self._entered)
        indexed, parts = self._indexed, [self._announce]
        parts += [indexed.get(field) or self._literal(field) for field in headers]
        block = b"".join(parts)
        if self._announce or len(self._entered) > entries:
            self._announce = b""  # a block that changes the table is not to be sent twice
        else:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[headers] = block
        return block

    def _literal(self, field: Field) -> bytes:
        name, value = field
        if name in _REPEATING:
            size = len(name) + len(value) + FIELD_OVERHEAD
            if self._size + size <= self._capacity:
                self._size += size
                self._entered.append(field)
                self._index()
                return _literal_name(name, 6, 0x40) + _string(value)
        known = self._literal_names.get(name)
        if known is None:
            known = _literal_name(name, 4, 0x10 if name in _SECRET else 0)
            if len(self._literal_names) < _REMEMBERED:
                self._literal_names[name] = known
        return known + _string(value)

    def _index(self) -> None:
        """Number the fields in the table anew: the latest comes first (§2.3.3)."""
        self._remembered.clear()
        self._indexed.clear()
        self._indexed.update(_STATIC_FIELD)
        for index, field in enumerate(reversed(self._entered), len(STATIC) + 1):
            self._indexed[field] = _integer(index, 7, 0x80)


def _literal_name(name: bytes, prefix_bits: int, pattern: int) -> bytes:
    """The beginning of a literal (§6.2): its name, by the static table's index if it is there."""
    index = _STATIC_NAME.get(name, 0)
    return _integer(index, prefix_bits, pattern) + (b"" if index else _string(name))


def _string(content: bytes) -> bytes:
    length = len(content)
    return (_LENGTH[length] if length < 256 else _integer(length, 7, 0)) + content
