"""Frames (RFC 9113 §4.1, §6): the rules that every one must keep, as a table, and how they are written."""

from __future__ import annotations

from enum import Enum, auto
from struct import Struct
from typing import Final, NamedTuple

from tailgate.http2.codes import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_NAMES,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PRIORITY_FLAG,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    Setting,
)
from tailgate.http2.errors import ConnectionViolation

HEADER_BYTES: Final = 9
_HEADER: Final = Struct(">BHBBL")
_SETTING: Final = Struct(">HL")
_PRIORITY_BYTES: Final = 5


class On(Enum):
    """Where a frame belongs."""

    STREAM = auto()
    CONNECTION = auto()
    EITHER = auto()


class FrameRule(NamedTuple):
    """Where a frame belongs, and how long it is: at least so much, or exactly, or a multiple of it."""

    on: On
    least: int = 0
    exactly: int | None = None
    multiple: int = 1


RULES: Final = {
    DATA: FrameRule(On.STREAM),
    HEADERS: FrameRule(On.STREAM),
    PRIORITY: FrameRule(On.STREAM, exactly=5),
    RST_STREAM: FrameRule(On.STREAM, exactly=4),
    SETTINGS: FrameRule(On.CONNECTION, multiple=6),
    PUSH_PROMISE: FrameRule(On.STREAM, least=4),
    PING: FrameRule(On.CONNECTION, exactly=8),
    GOAWAY: FrameRule(On.CONNECTION, least=8),
    WINDOW_UPDATE: FrameRule(On.EITHER, exactly=4),
    CONTINUATION: FrameRule(On.STREAM),
}


def read_header(buffer: memoryview | bytearray, at: int) -> tuple[int, int, int, int]:
    """Length, type, flags and stream of the frame whose header lies there; the reserved bit is ignored (§4.1)."""
    high, low, kind, flags, stream_id = _HEADER.unpack_from(buffer, at)
    return high << 16 | low, kind, flags, stream_id & 0x7FFFFFFF


def check_header(length: int, kind: int, flags: int, stream_id: int) -> None:
    """Hold a frame's header against the table.

    Raises:
        ConnectionViolation: PROTOCOL_ERROR for the wrong place, FRAME_SIZE_ERROR for the wrong length.
    """
    rule = RULES.get(kind)
    if rule is None:
        return
    on, least, exactly, multiple = rule
    if on is not On.EITHER and (stream_id == 0) is (on is On.STREAM):
        raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, f"{FRAME_NAMES[kind]} on stream {stream_id}")
    if length < least or length % multiple or (exactly is not None and length != exactly):
        raise ConnectionViolation(ErrorCode.FRAME_SIZE_ERROR, f"{FRAME_NAMES[kind]} of {length} bytes")
    if kind == SETTINGS and flags & ACK and length:
        raise ConnectionViolation(ErrorCode.FRAME_SIZE_ERROR, f"acknowledgement of SETTINGS of {length} bytes")


def header_fragment(flags: int, payload: memoryview) -> memoryview:
    """The part of a HEADERS frame's payload that is headers: without padding and priority (§6.2).

    Raises:
        ConnectionViolation: It is too short for what its flags say is in it.
    """
    start, end = 0, len(payload)
    if flags & PADDED:
        start = 1
        end -= payload[0] if end else 1
    if flags & PRIORITY_FLAG:
        start += _PRIORITY_BYTES
    if start > end:
        raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "HEADERS shorter than its padding and priority")
    return payload[start:end]


def read_settings(payload: memoryview) -> list[tuple[int, int]]:
    """Identifiers and values, in their order."""
    return list(_SETTING.iter_unpack(payload))


class Outbox:
    """Frames that wait to be written, as pieces; what is not ours is not copied until it leaves."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        """Start empty."""
        self._pieces: list[bytes | bytearray | memoryview] = []

    def take(self) -> bytes:
        """All of it, in one piece."""
        content = b"".join(self._pieces)
        self._pieces.clear()
        return content

    def take_pieces(self) -> list[bytes | bytearray | memoryview]:
        """All of it, as it lies."""
        content, self._pieces = self._pieces, []
        return content

    def raw(self, content: bytes) -> None:
        """Bytes that are no frame: the preface."""
        self._pieces.append(content)

    def headers(self, stream_id: int, block: bytes, max_frame_bytes: int, *, end_stream: bool) -> None:
        """A header block, as one HEADERS and as many CONTINUATION frames as it takes."""
        flags = END_STREAM if end_stream else 0
        if len(block) <= max_frame_bytes:
            self._frame(HEADERS, flags | END_HEADERS, stream_id, block)
            return
        self._frame(HEADERS, flags, stream_id, block[:max_frame_bytes])
        for at in range(max_frame_bytes, len(block), max_frame_bytes):
            last = at + max_frame_bytes >= len(block)
            self._frame(CONTINUATION, END_HEADERS if last else 0, stream_id, block[at : at + max_frame_bytes])

    def data(
        self, stream_id: int, data: bytes | bytearray | memoryview, max_frame_bytes: int, *, end_stream: bool
    ) -> None:
        """A part of a body, in frames no longer than the peer takes."""
        if len(data) > max_frame_bytes:
            data = memoryview(data)
            while len(data) > max_frame_bytes:
                self._frame(DATA, 0, stream_id, data[:max_frame_bytes])
                data = data[max_frame_bytes:]
        length = len(data)
        self._pieces.append(_HEADER.pack(length >> 16, length & 0xFFFF, DATA, 1 if end_stream else 0, stream_id))
        if length:
            self._pieces.append(data)

    def settings(self, settings: dict[Setting, int]) -> None:
        """Our settings."""
        self._frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*item) for item in settings.items()))

    def settings_ack(self) -> None:
        """We have taken the peer's."""
        self._frame(SETTINGS, ACK, 0, b"")

    def ping(self, payload: bytes, *, ack: bool) -> None:
        """Eight bytes, there or back."""
        self._frame(PING, ACK if ack else 0, 0, payload)

    def window_update(self, stream_id: int, increment: int) -> None:
        """More may be sent on a stream or, with 0, on the connection."""
        self._frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4))

    def rst_stream(self, stream_id: int, code: int) -> None:
        """A stream ends here."""
        self._frame(RST_STREAM, 0, stream_id, code.to_bytes(4))

    def goaway(self, last_stream_id: int, code: int, debug: bytes) -> None:
        """No stream above this one is answered."""
        self._frame(GOAWAY, 0, 0, last_stream_id.to_bytes(4) + code.to_bytes(4) + debug)

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes | bytearray | memoryview) -> None:
        length = len(payload)
        self._pieces.append(_HEADER.pack(length >> 16, length & 0xFFFF, kind, flags, stream_id))
        if length:
            self._pieces.append(payload)
