"""gRPC's messages in a body: a flag, a length, the message. Read from pieces cut anywhere, written in one go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tailgate.errors import InvalidRequest, TooLarge

PREFIX_BYTES = 5
_PINNED = 4
"""A piece is kept as it came, rather than copied, if what it is a part of is at most so many times its size."""


class Message(NamedTuple):
    """One message; `compressed` by what ``grpc-encoding`` names."""

    data: bytes
    compressed: bool


def frame_message(message: bytes, *, compressed: bool = False) -> bytes:
    r"""A message as it goes into a body.

    >>> frame_message(b"hello")
    b'\x00\x00\x00\x00\x05hello'
    """
    return message_prefix(len(message), compressed=compressed) + message


def message_prefix(length: int, *, compressed: bool = False) -> bytes:
    """The five bytes before a message of this length, for who does not want to copy the message."""
    return bytes((compressed,)) + length.to_bytes(4)


class MessageReader:
    """The messages of one body. Memory follows what has arrived, not what a prefix claims."""

    def __init__(self, max_message_bytes: int) -> None:
        """Refuse messages that are longer."""
        self._max = max_message_bytes
        self._pieces: list[bytes | bytearray | memoryview] = []
        self._held = 0
        self._need = PREFIX_BYTES
        self._prefix: tuple[bool, int] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is left of a message that is not complete: a body may end here."""
        return self._held == 0 and self._prefix is None

    def feed(self, piece: memoryview | bytes) -> Iterator[Message]:
        """The messages that this piece completes. Exhaust it before the next piece.

        A piece is copied unless it is a large part of some `bytes`, which cannot change.

        Raises:
            TooLarge: A message's length is above the limit; known as soon as its prefix is.
            InvalidRequest: The flag is neither 0 nor 1.
        """
        view = memoryview(piece)
        while True:
            missing = self._need - self._held
            if len(view) < missing:
                self._keep(view)
                return
            part, view = view[:missing], view[missing:]
            content = self._join(part)
            if self._prefix is None:
                self._prefix = self._read_prefix(content)
                self._need = self._prefix[1]
            else:
                yield Message(content, self._prefix[0])
                self._prefix, self._need = None, PREFIX_BYTES

    def _keep(self, view: memoryview) -> None:
        if not view:
            return
        self._held += len(view)
        if isinstance(view.obj, bytes) and len(view.obj) <= _PINNED * len(view):
            self._pieces.append(view)
        elif self._pieces and isinstance(self._pieces[-1], bytearray):
            self._pieces[-1] += view
        else:
            self._pieces.append(bytearray(view))

    def _join(self, last: memoryview) -> bytes:
        if not self._held:
            return bytes(last)
        self._pieces.append(last)
        content = b"".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        return content

    def _read_prefix(self, prefix: bytes) -> tuple[bool, int]:
        flag, length = prefix[0], int.from_bytes(prefix[1:])
        if flag > 1:
            raise InvalidRequest(f"a gRPC message begins with {flag}; expected 0 or 1 (compressed)")
        if length > self._max:
            raise TooLarge(f"a gRPC message of {length} bytes is above the limit of {self._max}")
        return bool(flag), length
