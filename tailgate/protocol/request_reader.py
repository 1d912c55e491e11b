"""A ModelInfer request's body as it comes: what it says of itself, long before its tensors are all here.

A body is one gRPC message (a flag, a length, the message), and the message is a few fields, of which the tensors are by
far the largest. Pieces cut anywhere are walked through once; a tensor is stepped over, whatever its size. Nothing is
kept but the names, and the beginning of a field that was cut.
"""

from __future__ import annotations

from typing import Final

from tailgate.errors import InvalidRequest, TooLarge
from tailgate.protocol.envelope import (
    MAX_FIELDS,
    NO_ENVELOPE,
    RAW_INPUT_CONTENTS,
    check_name,
    envelope_of,
    field_at,
    not_protobuf,
    read_envelope,
    read_name,
    too_many_fields,
)

PREFIX_BYTES: Final = 5
LARGE_BYTES: Final = 1024
"""What lacks so much is a tensor, whatever its field."""


class RequestReader:
    """Reads the body of one call.

    Attributes:
        compressed: Whether the message is compressed; then it has to be collected, and nothing of it is read here.
        envelope: What is known so far.
        message_bytes: How long the message is, as its prefix says; 0 before that is here.
    """

    __slots__ = (
        "_fields",
        "_held",
        "_left",
        "_max",
        "_names",
        "_past_names",
        "_prefixed",
        "_skip",
        "_walked",
        "compressed",
        "envelope",
        "message_bytes",
    )

    def __init__(self, max_message_bytes: int) -> None:
        """Refuse longer messages."""
        self._max = max_message_bytes
        self._held = b""
        self._skip = 0  # bytes of a field's content that are still to be stepped over
        self._left = 0  # bytes of the message that are still to come
        self._walked = 0  # bytes of the message that were walked through
        self._fields = 0  # its fields that have begun
        self._prefixed = False
        self._past_names = False  # whether a tensor has begun
        self._names: dict[int, str] = {}
        self.compressed = False
        self.envelope = NO_ENVELOPE
        self.message_bytes = 0

    @property
    def complete(self) -> bool:
        """Whether the whole message is there."""
        return self._prefixed and not self._left

    @property
    def known(self) -> bool:
        """Whether what the request says of itself is there: the whole message, or its model's name and the beginning of
        a tensor, which names stand before.
        """
        return self.complete or (self._past_names and self.envelope.model != "")

    def inside(self, count: int) -> bool:
        """Step over so many bytes if they are the inside of a tensor and not the last of the message, as `feed` would;
        returns whether they are.
        """
        if count >= self._left or count > self._skip:
            return False
        self._skip -= count
        self._left -= count
        return True

    def feed(self, piece: memoryview) -> None:
        """Take the next piece of the body.

        Raises:
            InvalidRequest: It cannot be the body of a ModelInfer call.
            TooLarge: The message is longer than allowed; known as soon as its length is.
        """
        if not self._prefixed:
            if self._held:
                piece = memoryview(self._held + piece)
            if len(piece) < PREFIX_BYTES:
                self._held = bytes(piece)
                return
            self._held = b""
            self._read_prefix(piece)
            piece = piece[PREFIX_BYTES:]
            if len(piece) == self._left and not self.compressed:  # the whole message at once
                self.envelope = read_envelope(piece)
                self._left = 0
                return
        size = len(piece)
        if size > self._left:
            raise InvalidRequest("the request has more than one message; this call takes one")
        self._left -= size
        if size <= self._skip:  # the inside of a tensor
            self._skip -= size
        elif not self.compressed:
            self._walk(piece)
        if not self._left and (self._held or self._skip):
            raise not_protobuf(self._walked)

    def end(self) -> None:
        """The body has ended.

        Raises:
            InvalidRequest: Its message is not complete.
        """
        if not self.complete:
            raise InvalidRequest("the request ended before its message was complete")

    def _read_prefix(self, piece: memoryview) -> None:
        flag, length = piece[0], int.from_bytes(piece[1:PREFIX_BYTES])
        if flag > 1:
            raise InvalidRequest(f"a gRPC message begins with {flag}; expected 0 or 1 (compressed)")
        if length > self._max:
            raise TooLarge(f"a gRPC message of {length} bytes is above the limit of {self._max}")
        self._prefixed, self.compressed, self._left = True, flag == 1, length
        self.message_bytes = length

    def _walk(self, piece: memoryview) -> None:
        """Read the fields that are complete, and keep the beginning of one that is not."""
        if self._held:
            piece = memoryview(self._held + piece)
        at, end, names = self._skip, len(piece), len(self._names)
        self._held, self._skip = b"", 0
        while at < end:
            try:
                field, named, begin, after = field_at(piece, at)
            except IndexError:
                break
            if after > end + self._left:
                raise not_protobuf(self._walked + at)
            if named:
                check_name(after - begin)
                if after > end:
                    break
                self._names[field] = read_name(piece[begin:after])
            elif field == RAW_INPUT_CONTENTS or after - end > LARGE_BYTES:
                self._past_names = True
            at = after
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise too_many_fields()
        if at < end:
            self._held = bytes(piece[at:])
        else:
            self._skip = at - end
        self._walked += end - len(self._held)
        if self._names and len(self._names) >= names:
            self.envelope = envelope_of(self._names)
