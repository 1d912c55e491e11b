"""What gRPC adds to HTTP/2's headers: which requests are its own, its timeouts, the text of a status.

Wire form is the document "gRPC over HTTP2". How a call ends is read and written in `grpc_ending`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from tailgate.http2.events import Field, Headers

CONTENT_TYPE: Field = (b"content-type", b"application/grpc")
RESPONSE: Headers = ((b":status", b"200"), CONTENT_TYPE)
"""The headers of every response that is not trailers only."""

_TIMEOUT_UNITS: Final = ((b"n", 10**9), (b"u", 10**6), (b"m", 10**3), (b"S", 1))
_MAX_TIMEOUT_S: Final = 99_999_999
_UNESCAPED: Final = "".join(chr(byte) for byte in range(0x20, 0x7F) if byte != ord("%"))


def http_refusal(fields: Mapping[bytes, bytes]) -> int | None:
    """The HTTP status with which to answer a request that is none of gRPC's; None for one that is."""
    if fields.get(b":method") != b"POST":
        return 405
    if not fields.get(b"content-type", b"").startswith(b"application/grpc"):
        return 415
    return None


def format_grpc_timeout(seconds: float) -> bytes:
    """A timeout of at most eight digits, in the finest unit that holds it, rounded down: never more time than given.

    What has passed already is sent as the shortest there is.

    >>> format_grpc_timeout(0.05), format_grpc_timeout(1.5), format_grpc_timeout(-1), format_grpc_timeout(1e9)
    (b'50000000n', b'1500000u', b'1n', b'99999999S')
    """
    for unit, per_second in _TIMEOUT_UNITS:
        if seconds * per_second < _MAX_TIMEOUT_S + 1:
            return b"%d%b" % (max(1, int(seconds * per_second)), unit)
    return b"%dS" % _MAX_TIMEOUT_S


def escape_message(message: str) -> bytes:
    """A status's text for ``grpc-message``: UTF-8, percent-encoded.

    >>> escape_message("50 % of é")
    b'50 %25 of %C3%A9'
    """
    return quote_from_bytes(message.encode(errors="replace"), safe=_UNESCAPED).encode()


def unescape_message(value: bytes) -> str:
    """The text again. What is no percent-encoding is kept as it is; what is no UTF-8 is replaced.

    >>> unescape_message(b"50 %25 of %C3%A9 100%")
    '50 % of é 100%'
    """
    return unquote_to_bytes(value).decode(errors="replace")
