"""The little of HTTP/2 that the driver and the upstream of the benchmarks speak, written apart from `tailgate.http2`.

What is measured must not vouch for itself, and must cost more than what measures it: so no states, no header tables,
just frames written and found in a buffer. Nobody but the benchmarks' own ends may use this.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 1, 2, 3, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES = 9
FRAME_BYTES = 16_384
"""The largest frame that every peer takes; longer ones are not sent, so that all get the same bytes."""
DEFAULT_WINDOW = 65_535
LEAST_TABLE = 1024
"""Bytes of header table that the few repeated fields need; a peer that keeps less gets literals."""
CANCEL = 8

_HEADER = struct.Struct(">BHBBL")
_NUMBER = struct.Struct(">L")
_SETTING = struct.Struct(">HL")


def frame_header(length: int, kind: int, flags: int, stream: int) -> bytes:
    return _HEADER.pack(length >> 16, length & 0xFFFF, kind, flags, stream)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return frame_header(len(payload), kind, flags, stream) + payload


def settings(values: dict[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*pair) for pair in values.items()))


def read_settings(payload: bytes) -> dict[int, int]:
    return dict(_SETTING.iter_unpack(payload))


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, number(increment))


def number(value: int) -> bytes:
    return _NUMBER.pack(value)


def read_number(payload: bytes | bytearray, at: int = 0) -> int:
    """The number of 31 bits there: an increment, an error code."""
    value: int = _NUMBER.unpack_from(payload, at)[0]
    return value & 0x7FFF_FFFF


def frames(buffer: bytearray, start: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Whole frames between two places: kind, flags, stream, and where the payload begins and ends."""
    unpack = _HEADER.unpack_from
    while end - start >= HEADER_BYTES:
        high, low, kind, flags, stream = unpack(buffer, start)
        payload = start + HEADER_BYTES
        start = payload + (high << 16 | low)
        if start > end:
            return
        yield kind, flags, stream, payload, start
