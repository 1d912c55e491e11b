"""A whole body's one message, opened if it is compressed, without ever holding more than is allowed."""

from __future__ import annotations

import zlib

from tailgate.errors import InvalidRequest, TooLarge, Unimplemented
from tailgate.http2.grpc_messages import PREFIX_BYTES

_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}

ACCEPTED = b"identity,deflate,gzip"
"""Value of ``grpc-accept-encoding``."""


def open_message(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """The message that a body consists of.

    Raises:
        InvalidRequest: It is no single message, or a damaged one.
        Unimplemented: It is compressed in a way that is not offered.
        TooLarge: It is longer than allowed.
    """
    if len(body) < PREFIX_BYTES or body[0] > 1 or int.from_bytes(body[1:PREFIX_BYTES]) != len(body) - PREFIX_BYTES:
        raise InvalidRequest("the request's body is not one whole gRPC message")
    message = body[PREFIX_BYTES:]
    return decompress(message, encoding, max_bytes) if body[0] else message


def decompress(data: bytes, encoding: str, max_bytes: int) -> bytes:
    """The message.

    Raises:
        Unimplemented: An encoding other than gzip and deflate.
        TooLarge: It is longer than allowed; found out without unpacking the rest.
        InvalidRequest: It is damaged.
    """
    if encoding not in _WINDOW_BITS:
        raise Unimplemented(f"grpc-encoding {encoding!r} is not offered here; use gzip, deflate or identity")
    unpacker = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        message = unpacker.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise InvalidRequest(f"the message is no {encoding}: {error}") from error
    if len(message) > max_bytes:
        raise TooLarge(f"the message has more than the {max_bytes} bytes allowed, once it is decompressed")
    if not unpacker.eof:
        raise InvalidRequest(f"the message is cut short: its {encoding} does not end")
    if unpacker.unused_data:  # another member, perhaps: a request made of millions of them would take for ever
        raise InvalidRequest(f"{len(unpacker.unused_data)} bytes follow the message's {encoding}; send one member")
    return message
