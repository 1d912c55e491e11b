"""Header blocks as the benchmarks' own ends write and read them: few fields, of which most repeat."""

from __future__ import annotations

import hpack

_FIRST_DYNAMIC, _INDEXED, _INSERT, _NO_INDEX, _EMPTY_TABLE = 62, 0x80, b"\x40", b"\0", b"\x20"


def text(value: str) -> bytes:
    """A string without Huffman's code, as gRPC's C core sends it."""
    raw = value.encode("ascii")
    assert len(raw) < 127  # one byte tells the length
    return bytes((len(raw),)) + raw


def literal(name: str, value: str) -> bytes:
    """A field that is not to be remembered."""
    return _NO_INDEX + text(name) + text(value)


class RepeatedFields:
    """Fields that enter the peer's table once and are indexed from then on. Few: the table must never be full.

    A peer without a table (nginx, as a client) gets literals.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], int] = {}
        self._has_table, self._said_so = True, True

    def without_table(self) -> None:
        """The peer allows no table; its first block has to confirm that."""
        self._has_table = self._said_so = False

    def encode(self, name: str, value: str) -> bytes:
        if not self._has_table:
            confirm = b"" if self._said_so else _EMPTY_TABLE
            self._said_so = True
            return confirm + literal(name, value)
        place = self._places.get((name, value))
        if place is None:
            self._places[name, value] = len(self._places)
            return _INSERT + text(name) + text(value)
        return bytes((_INDEXED | (_FIRST_DYNAMIC + len(self._places) - 1 - place),))  # counted from the youngest


class Blocks:
    """Reads header blocks; one that came before, and found the table as it is now, is not read again."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder()
        self._known: dict[bytes, dict[bytes, bytes]] = {}

    def read(self, block: bytes) -> dict[bytes, bytes]:
        """The fields, by name."""
        fields = self._known.get(block)
        if fields is None:
            entries = self._decoder.header_table.dynamic_entries
            before = (len(entries), entries[0] if entries else None)
            fields = {bytes(name): bytes(value) for name, value in self._decoder.decode(block, raw=True)}
            if (len(entries), entries[0] if entries else None) != before:
                self._known.clear()
            elif len(self._known) < 1000:
                self._known[block] = fields
        return fields
