"""The header lists of a gRPC call, written and read: request, response, trailers; metadata, timeout, message.

Wire form is the document "gRPC over HTTP2". Metadata is pairs of a name and a text or, where the name ends with
``-bin``, bytes.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote_from_bytes, unquote_to_bytes

from tailgate.errors import InvalidRequest, Status
from tailgate.http2.events import Field, Headers
from tailgate.http2.grpc_status import status_of_http

Metadata = tuple[tuple[str, str | bytes], ...]

CONTENT_TYPE: Field = (b"content-type", b"application/grpc")
RESPONSE: Headers = ((b":status", b"200"), CONTENT_TYPE)
"""The headers of every response that is not trailers only."""

_RESERVED = frozenset(
    b"te content-type content-length host "
    b"grpc-timeout grpc-encoding grpc-accept-encoding grpc-status grpc-message".split()
)
_NAME = re.compile(r"[0-9a-z_.-]+")
_TEXT = re.compile(r"[ -~]*")
_TIMEOUT_UNITS = ((b"n", 10**9), (b"u", 10**6), (b"m", 10**3), (b"S", 1))
_MAX_TIMEOUT_S = 99_999_999
_UNESCAPED = "".join(chr(byte) for byte in range(0x20, 0x7F) if byte != ord("%"))


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What a request's headers say.

    Attributes:
        path: Service and method, such as ``/inference.GRPCInferenceService/ModelInfer``.
        authority: The host it was meant for; empty if unsaid.
        timeout: Value of ``grpc-timeout`` as it came (`tailgate.deadline.parse_grpc_timeout` reads it), or None.
        encoding: How compressed messages are compressed.
        metadata: All that is not the protocol's own.
    """

    path: str
    authority: str
    timeout: str | None
    encoding: str
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class Ending:
    """What trailers, or a response that consists of them, say."""

    status: Status
    message: str
    metadata: Metadata


def request_headers(
    path: str, authority: str, timeout_s: float | None = None, metadata: Metadata = (), *, scheme: str = "http"
) -> Headers:
    """A request's headers.

    Raises:
        InvalidRequest: Metadata that cannot be sent.
    """
    fields = [
        (b":method", b"POST"),
        (b":scheme", scheme.encode()),
        (b":path", path.encode()),
        (b":authority", authority.encode()),
        (b"te", b"trailers"),
        CONTENT_TYPE,
    ]
    if timeout_s is not None:
        fields.append((b"grpc-timeout", format_grpc_timeout(timeout_s)))
    return (*fields, *write_metadata(metadata))


def trailers(status: Status, message: str = "", metadata: Metadata = ()) -> Headers:
    """Trailers, after a response's messages.

    Raises:
        InvalidRequest: Metadata that cannot be sent.
    """
    fields = [(b"grpc-status", b"%d" % status)]
    if message:
        fields.append((b"grpc-message", escape_message(message)))
    return (*fields, *write_metadata(metadata))


def trailers_only(status: Status, message: str = "", metadata: Metadata = ()) -> Headers:
    """A response without any message, as one header list that ends the stream."""
    return RESPONSE + trailers(status, message, metadata)


def http_refusal(headers: Headers) -> int | None:
    """The HTTP status with which to answer a request that is none of gRPC's; None for one that is."""
    fields = dict(headers)
    if fields.get(b":method") != b"POST":
        return 405
    if not fields.get(b"content-type", b"").startswith(b"application/grpc"):
        return 415
    return None


def read_request(headers: Headers) -> RequestHead:
    """What a request's headers say.

    Raises:
        InvalidRequest: Metadata whose name ends with ``-bin`` is no base64.
    """
    fields = dict(headers)
    timeout = fields.get(b"grpc-timeout")
    return RequestHead(
        path=fields.get(b":path", b"").decode("latin-1"),
        authority=fields.get(b":authority", b"").decode("latin-1"),
        timeout=None if timeout is None else timeout.decode("latin-1"),
        encoding=fields.get(b"grpc-encoding", b"identity").decode("latin-1"),
        metadata=read_metadata(headers),
    )


def read_ending(headers: Headers) -> Ending:
    """What trailers say. Without a ``grpc-status`` the HTTP status decides; an unknown one is UNKNOWN.

    Raises:
        InvalidRequest: Metadata whose name ends with ``-bin`` is no base64.
    """
    fields = dict(headers)
    text = fields.get(b"grpc-status")
    if text is None:
        http = fields.get(b":status", b"200").decode("latin-1")
        return Ending(status_of_http(int(http)), f"HTTP status {http} without grpc-status", read_metadata(headers))
    known = text.isdigit() and len(text) <= 2 and int(text) in Status.__members__.values()
    status = Status(int(text)) if known else Status.UNKNOWN
    return Ending(status, unescape_message(fields.get(b"grpc-message", b"")), read_metadata(headers))


def has_ending(headers: Headers) -> bool:
    """Whether a response's first headers already carry its end (trailers only)."""
    return any(name == b"grpc-status" for name, _ in headers)


def read_metadata(headers: Iterable[Field]) -> Metadata:
    """The fields that are neither HTTP's nor gRPC's own.

    Raises:
        InvalidRequest: A value whose name ends with ``-bin`` is no base64.
    """
    found: list[tuple[str, str | bytes]] = []
    for name, value in headers:
        if name[:1] == b":" or name in _RESERVED:
            continue
        if name.endswith(b"-bin"):  # several values may have been joined by a comma on the way
            found += ((name.decode("latin-1"), _from_base64(name, part)) for part in value.split(b","))
        else:
            found.append((name.decode("latin-1"), value.decode("latin-1")))
    return tuple(found)


def write_metadata(metadata: Metadata) -> Headers:
    """Metadata as fields.

    Raises:
        InvalidRequest: A name or a value that HTTP or gRPC cannot carry.
    """
    fields: list[Field] = []
    for name, value in metadata:
        if not _NAME.fullmatch(name) or name.encode() in _RESERVED:
            raise InvalidRequest(f"metadata cannot be named {name!r}; use lower-case letters, digits and - _ .")
        if name.endswith("-bin"):
            data = value if isinstance(value, bytes) else value.encode()
            fields.append((name.encode(), binascii.b2a_base64(data, newline=False).rstrip(b"=")))
            continue
        text = value if isinstance(value, str) else value.decode("latin-1")
        if not _TEXT.fullmatch(text):
            raise InvalidRequest(
                f"metadata {name} is {text!r}; expected printable ASCII, or a name that ends with -bin"
            )
        fields.append((name.encode(), text.strip(" ").encode()))
    return tuple(fields)


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


def _from_base64(name: bytes, value: bytes) -> bytes:
    try:
        return binascii.a2b_base64(value + b"=" * (-len(value) % 4), strict_mode=True)
    except binascii.Error as error:
        raise InvalidRequest(f"metadata {name.decode('latin-1')} is {value!r}, which is no base64: {error}") from error
