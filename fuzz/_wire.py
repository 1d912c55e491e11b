"""Frames and header blocks made from choices: mostly right, so that what lies behind the first check is reached.

What is written here is written by hand from RFC 9113 and RFC 7541, not by the code under test.
"""

from __future__ import annotations

from typing import Final

from fuzz._input import Input

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES: Final = 9
_FRAME_TYPES: Final = (0, 1, 0, 1, 8, 1, 0, 1, 3, 8, 4, 6, 0, 1, 2, 7, 10, 1)
_RARE_TYPES: Final = (5, 9, 255)
_SETTINGS: Final = bytes.fromhex("000000 04 00 00000000")

_FIELDS: Final = (
    b"\x83",  # :method POST
    b"\x86",  # :scheme http
    b"\x44\x04/s/m",  # :path, entered in the table
    b"\x41\x01a",  # :authority, entered in the table
    b"\x88",  # :status 200
    b"\x08\x03100",  # :status 100
    b"\x40\x02te\x08trailers",
    b"\x5f\x10application/grpc",
    b"\x0f\x0d\x013",  # content-length 3
    b"\x0f\x0d\x0218",
    b"\x00\x0bgrpc-status\x010",
    b"\x00\x0cgrpc-timeout\x021S",
    b"\xbe",  # the newest entries of the table
    b"\xbf",
    b"\x20",  # a table of nothing
    b"\x3f\x45",  # a table of 100
    b"\x3f\xe1\x1f",  # a table of 4096
    b"\x3f\xe2\x1f",  # and of one more
    b"\x00\x81\x07\x83\x8c\x31\xc7",  # with Huffman codes
    b"\x10\x0aconnection\x05close",
    b"\x00\x01A\x01b",
    b"\x00\x01x\x03a\0b",
    b"\x00\x01x\x03a\r\n",
    b"\x00\x01x\x02 a",
    b"\x40\x7f\x81\x01" + b"n" * 256 + b"\x01v",
    b"\x40\x01n\x7f\xe9\x0e" + b"v" * 2000,
)
_REQUEST: Final = b"\x83\x86\x44\x04/s/m"
_OF_CLIENTS: Final = (
    *(_REQUEST, _REQUEST + b"\x40\x02te\x08trailers", _REQUEST + b"\x0f\x0d\x013", _REQUEST + b"\xbe"),
    b"\x00\x01x\x01y",  # trailers
)
_OF_SERVERS: Final = (
    *(b"\x88\x5f\x10application/grpc", b"\x88", b"\x08\x03100", b"\x88\x0f\x0d\x013"),
    b"\x40\x0bgrpc-status\x010",  # trailers
)
_SETTINGS_ALLOWED: Final = ((1, 0), (1, 4096), (2, 0), (3, 5), (4, 0), (4, 9), (4, 65_535), (5, 16_384), (6, 9), (9, 9))
_SETTING_VALUES: Final = (0, 1, 2, 100, 4096, 16_384, 65_535, 65_536, 2**24 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def opening(*, of_client: bool) -> bytes:
    """What a peer begins with."""
    return PREFACE + _SETTINGS if of_client else _SETTINGS


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    """A frame as it goes over the wire."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big") + payload


def header_block(choices: Input, *, of_client: bool) -> bytes:
    """A block that is a whole list, a list and one more field, or fields as they come."""
    how = choices.byte()
    lists = _OF_CLIENTS if of_client else _OF_SERVERS
    if how < 150:
        return lists[how % len(lists)]
    if how < 200:
        return lists[how % len(lists)] + choices.pick(_FIELDS)
    if how < 250:
        return b"".join(choices.pick(_FIELDS) for _ in range(how - 200))
    return choices.sized()


class Story:
    """Frames that follow on one another, each nearly right for what a peer of this role may send next."""

    def __init__(self, choices: Input, *, of_client: bool) -> None:
        """A server's streams are those that were opened before it began."""
        self._choices = choices
        self._of_client = of_client
        self._newest = -1 if of_client else 5
        self._unfinished = 0  # a stream whose header block is not complete

    def next(self) -> bytes:
        """One frame."""
        choices, how = self._choices, self._choices.byte()
        if self._unfinished and how < 230:
            return self._continuation(how)
        kind = _FRAME_TYPES[how % len(_FRAME_TYPES)] if how < 250 else _RARE_TYPES[how % 3]
        if kind == 1:
            return self._headers()
        stream_id = 0 if kind in (4, 6, 7) else self._stream()
        if kind == 8 and how % 2:
            stream_id = 0
        flags = choices.pick((0, 0, 0, 0, 1, 1, 8, 9, 4, 255))
        payload = b"" if kind == 4 and flags & 1 else self._payload(kind)
        return frame(kind, flags, stream_id, payload)

    def _stream(self) -> int:
        place = self._choices.byte()
        if place >= 250:
            return (0, 2, 2**31 - 1, max(1, self._newest + 2))[place % 4]
        return max(1, self._newest - 2 * (place % 4))

    def _headers(self) -> bytes:
        choices, how = self._choices, self._choices.byte()
        if self._of_client and how < 180:
            self._newest += 2
            stream_id = self._newest
        else:
            stream_id = self._stream()
        flags = choices.pick((4, 4, 4, 4, 5, 5, 5, 0, 1, 12, 36, 44, 255))
        if not flags & 4:
            self._unfinished = stream_id
        payload = header_block(choices, of_client=self._of_client)
        if flags & 32:
            payload = b"\0\0\0\1\xff" + payload
        return frame(1, flags, stream_id, _padded(payload, 3) if flags & 8 else payload)

    def _continuation(self, how: int) -> bytes:
        stream_id, last = self._unfinished, how < 180
        if last:
            self._unfinished = 0
        return frame(9, 4 * last, stream_id, header_block(self._choices, of_client=self._of_client) if how % 2 else b"")

    def _payload(self, kind: int) -> bytes:
        """A payload that this type of frame may have, or any."""
        choices, how = self._choices, self._choices.byte()
        if how >= 250:
            return choices.sized()
        if kind == 0:
            return bytes(how * choices.pick((0, 1, 1, 3, 20, 80)))
        if kind in (3, 8):
            return (how if how < 200 else choices.pick(_SETTING_VALUES)).to_bytes(4, "big")
        if kind == 4:
            return b"".join(self._setting() for _ in range(how % 4))
        size = 5 if kind == 2 else 8
        return choices.take(size).ljust(size, b"\0")

    def _setting(self) -> bytes:
        how = self._choices.byte()
        key, value = _SETTINGS_ALLOWED[how % len(_SETTINGS_ALLOWED)]
        if how >= 220:
            value = self._choices.pick(_SETTING_VALUES)
        return key.to_bytes(2, "big") + value.to_bytes(4, "big")


def _padded(payload: bytes, count: int) -> bytes:
    return bytes((count,)) + payload + bytes(count)


def check_frames(content: bytes) -> None:
    """Hold what was sent against the least that a peer expects: whole frames, none longer than every peer takes."""
    at = len(PREFACE) if content.startswith(PREFACE) else 0
    while at < len(content):
        length = int.from_bytes(content[at : at + 3], "big")
        assert length <= 2**24 - 1
        assert int.from_bytes(content[at + 5 : at + 9], "big") < 2**31
        at += HEADER_BYTES + length
    assert at == len(content), "the last frame is cut"
