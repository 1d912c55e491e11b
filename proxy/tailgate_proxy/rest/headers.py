"""Header fields over HTTP/1.1, as a gRPC call would have them; trailers of a gRPC call, as HTTP/1.1 can carry them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import ceil
from typing import Final

from tailgate.deadline import parse_deadline_ms
from tailgate.errors import InvalidRequest
from tailgate.http2.events import Field, Headers
from tailgate.protocol.names import DEADLINE_MS, LABEL, REQUEST_ID, SLICE
from tailgate.protocol.rest.names import HEADER_LENGTH, TIMEOUT_MS

_DEADLINE_MS: Final = DEADLINE_MS.encode()
_TIMEOUT_MS: Final = TIMEOUT_MS.encode()
_PUSHBACK: Final = b"grpc-retry-pushback-ms"

_MOST_DIGITS: Final = 9
"""Of a pushback in milliseconds: twelve days. An upstream that says more says nothing."""

_NAME: Final = re.compile(rb"[0-9a-z_.-]+")
_VALUE: Final = re.compile(rb"[\x20-\x7e]*")
"""What a name and a value of gRPC's metadata may be made of: no upstream could take other fields."""

_OWN: Final = frozenset(name.encode() for name in (REQUEST_ID, DEADLINE_MS, LABEL, SLICE))
"""What the proxy reads, and has to find at fault itself."""

_OF_HTTP: Final = frozenset(
    b"accept accept-charset accept-encoding accept-language alt-svc cache-control content-encoding content-language "
    b"content-location date expect if-match if-modified-since if-none-match if-range if-unmodified-since origin pragma "
    b"range referer server trailer via".split()
) | {HEADER_LENGTH.encode(), _TIMEOUT_MS}
"""What describes this one exchange over HTTP, and would be wrong of another one over gRPC."""

_NOT_ANSWERED: Final = _OF_HTTP | frozenset(
    b"connection content-length content-type keep-alive proxy-connection transfer-encoding upgrade set-cookie".split()
)


def call_fields(given: Iterable[Field]) -> tuple[Headers, InvalidRequest | None]:
    """The fields that a gRPC call would have come with, and what is wrong with those that only HTTP has.

    A deadline may come by two names; the tighter one is kept, by gRPC's.

    >>> call_fields([(b"X-Request-Timeout-Ms", b"50"), (b"Accept", b"*/*"), (b"X-Request-Id", b"7")])
    (((b'x-request-id', b'7'), (b'tailgate-deadline-ms', b'50')), None)
    """
    fields: list[Field] = []
    timeouts: list[bytes] = []
    for name, value in ((name.lower(), value) for name, value in given):
        if name == _TIMEOUT_MS:
            timeouts.append(value)
        elif name in _OWN or (name not in _OF_HTTP and _is_metadata(name, value)):
            fields.append((name, value.strip(b" ")))
    if not timeouts:
        return tuple(fields), None
    if len(timeouts) > 1:
        return tuple(fields), InvalidRequest(f"{TIMEOUT_MS} is given more than once; give it once")
    try:
        budget_s = _milliseconds(timeouts[0])
    except InvalidRequest as error:
        return tuple(fields), InvalidRequest(str(error).replace(DEADLINE_MS, TIMEOUT_MS))
    others = [value for name, value in fields if name == _DEADLINE_MS]
    try:
        tighter = not others or budget_s < _milliseconds(others[0])
    except InvalidRequest:
        tighter = False  # whoever reads it says so
    if tighter and len(others) < 2:
        fields = [field for field in fields if field[0] != _DEADLINE_MS]
        fields.append((_DEADLINE_MS, timeouts[0].strip(b" ")))
    return tuple(fields), None


def answer_fields(trailers: Headers) -> list[tuple[str, str]]:
    """Header fields of an answer that say what a call's trailers say.

    >>> answer_fields(((b"tailgate-outcome", b"draining"), (b"grpc-retry-pushback-ms", b"100")))
    [('tailgate-outcome', 'draining'), ('Retry-After', '1')]
    """
    fields: list[tuple[str, str]] = []
    for name, value in trailers:
        if name == _PUSHBACK:
            if value.isdigit() and len(value) <= _MOST_DIGITS:
                fields.append(("Retry-After", str(max(1, ceil(int(value) / 1000)))))
        elif name not in _NOT_ANSWERED and _is_metadata(name, value):
            fields.append((name.decode(), value.decode()))
    return fields


def _is_metadata(name: bytes, value: bytes) -> bool:
    return name[:5] != b"grpc-" and bool(_NAME.fullmatch(name) and _VALUE.fullmatch(value))


def _milliseconds(value: bytes) -> float:
    return parse_deadline_ms(value.strip(b" ").decode("latin-1"))
