"""Bytes cut anywhere → frames. DATA is handed on in the pieces in which it arrives, every other frame whole.

Lives here: the cutting, and the rules of a frame's header (before anything is kept for it). What a frame means must
not live here.
"""

from __future__ import annotations

from typing import Final

from tailgate.http2.codes import DATA, END_STREAM, HEADERS, PADDED, ErrorCode
from tailgate.http2.errors import ConnectionViolation
from tailgate.http2.frames import HEADER_BYTES, RULES, check_header, read_header
from tailgate.http2.receiver import Receiver

_NOTHING: Final = memoryview(b"")
_LEAST_WHOLE: Final = 2**14


class FrameReader:
    """Cuts one connection's bytes into frames."""

    def __init__(self, receiver: Receiver, max_frame_bytes: int, max_header_block_bytes: int) -> None:
        """Hand frames to `receiver`; refuse longer frames, and longer ones that have to be kept whole."""
        self._receiver = receiver
        self._max_frame = max_frame_bytes
        self._max_whole = max(max_header_block_bytes, _LEAST_WHOLE)
        self._held = bytearray()  # the beginning of a frame that was cut, never of a body
        self._flags = self._stream_id = 0  # of the DATA frame we are in
        self._body = self._padding = self._charge = 0  # what of it is still to come, and to be charged
        self._in_data = False
        self._skip = 0  # bytes left of a frame nobody knows

    @property
    def midway(self) -> bool:
        """Whether a frame has begun that has to be whole."""
        return bool(self._held)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Hand on the frames that these bytes complete, each before the next one's header is looked at.

        Raises:
            ConnectionViolation: A frame's header breaks a rule, or the receiver found that the frame does.
        """
        view = memoryview(data)
        while self._held and view:  # complete the frame that was cut
            missing = self._missing()
            self._held += view[:missing]
            view = view[missing:]
            if not self._missing():
                whole, self._held = memoryview(bytes(self._held)), bytearray()
                self._cut(whole)
        self._cut(view)

    def _missing(self) -> int:
        """How many bytes more it takes before what is held can be cut."""
        have = len(self._held)
        return (self._needed(*read_header(self._held, 0)) if have >= HEADER_BYTES else HEADER_BYTES) - have

    def _needed(self, length: int, kind: int, flags: int, stream_id: int) -> int:
        """How many bytes of a frame with this header have to be there at once.

        Raises:
            ConnectionViolation: The header breaks a rule.
        """
        if length > self._max_frame:
            raise ConnectionViolation(
                ErrorCode.FRAME_SIZE_ERROR, f"frame of {length} bytes; {self._max_frame} are allowed"
            )
        check_header(length, kind, flags, stream_id)
        if kind == DATA:
            if flags & PADDED and not length:
                raise ConnectionViolation(ErrorCode.FRAME_SIZE_ERROR, "padded DATA without the length of its padding")
            return HEADER_BYTES + 1 if flags & PADDED else HEADER_BYTES
        if kind not in RULES:
            return HEADER_BYTES
        if length > self._max_whole:
            raise ConnectionViolation(
                ErrorCode.ENHANCE_YOUR_CALM, f"frame of {length} bytes to be kept; {self._max_whole} are allowed"
            )
        return HEADER_BYTES + length

    def _cut(self, view: memoryview) -> None:
        receiver, at, end = self._receiver, 0, len(view)
        while True:
            if self._in_data:
                at = self._go_on_with_data(view, at)
                if self._in_data:
                    return
            elif self._skip:
                skipped = min(self._skip, end - at)
                self._skip -= skipped
                at += skipped
            if at + HEADER_BYTES > end:
                break
            length, kind, flags, stream_id = read_header(view, at)
            after = at + HEADER_BYTES + length
            if after <= end and stream_id and length <= self._max_frame and self._simple(kind, flags, length):
                receiver.take(kind, flags, stream_id, view[at + HEADER_BYTES : after], length if kind == DATA else 0)
                at = after
                continue
            if at + self._needed(length, kind, flags, stream_id) > end:
                break
            at += HEADER_BYTES
            if kind == DATA:
                at += self._begin_data(length, flags, stream_id, view, at)
            elif kind in RULES:
                receiver.take(kind, flags, stream_id, view[at : at + length], 0)
                at += length
            else:
                self._skip = length
                receiver.take(kind, flags, stream_id, _NOTHING, 0)
        if at < end:
            self._held += view[at:]

    def _simple(self, kind: int, flags: int, length: int) -> bool:
        """Whether nothing has to be asked or remembered of a frame that is there in one piece: true of nearly all."""
        return not flags & PADDED if kind == DATA else kind == HEADERS and length <= self._max_whole

    def _go_on_with_data(self, view: memoryview, at: int) -> int:
        """Hand on the next piece of the DATA frame we are in; returns where it ends."""
        piece = view[at : at + self._body]
        size = len(piece)
        padding = min(self._padding, len(view) - at - size) if self._padding else 0
        self._body -= size
        self._padding -= padding
        self._charge += size + padding
        self._in_data = bool(self._body or self._padding)
        if piece or not self._in_data:
            flags = 0 if self._in_data else self._flags & END_STREAM
            charge, self._charge = self._charge, 0
            self._receiver.take(DATA, flags, self._stream_id, piece, charge)
        return at + size + padding

    def _begin_data(self, length: int, flags: int, stream_id: int, view: memoryview, at: int) -> int:
        """Note what is to come; returns how many bytes were read for that."""
        self._in_data, self._flags, self._stream_id = True, flags, stream_id
        if not flags & PADDED:
            self._body = length
            return 0
        self._padding = view[at]
        self._body = length - 1 - self._padding
        self._charge = 1
        if self._body < 0:
            raise ConnectionViolation(
                ErrorCode.PROTOCOL_ERROR, f"DATA of {length} bytes with {self._padding} of padding"
            )
        return 1
