"""gRPC's messages in a body: a flag, a length, the message."""

from __future__ import annotations

from typing import Final

PREFIX_BYTES: Final = 5


def frame_message(message: bytes, *, compressed: bool = False) -> bytes:
    r"""A message as it goes into a body; `compressed` by what ``grpc-encoding`` names.

    >>> frame_message(b"hello")
    b'\x00\x00\x00\x00\x05hello'
    """
    return bytes((compressed,)) + len(message).to_bytes(4) + message
