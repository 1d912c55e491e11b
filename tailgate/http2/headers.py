"""What makes a header list a request, a response or trailers (RFC 9113 §8.2, §8.3). All else is malformed (§8.1.1)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple, NoReturn

from tailgate.http2.codes import ErrorCode
from tailgate.http2.errors import StreamViolation
from tailgate.http2.events import Headers, Kind


class Pseudo(NamedTuple):
    """The pseudo-fields a list may have, and those it must have (§8.3)."""

    allowed: frozenset[bytes]
    required: frozenset[bytes]


REQUEST: Final = Pseudo(
    frozenset((b":method", b":scheme", b":path", b":authority")), frozenset((b":method", b":scheme", b":path"))
)
CONNECT: Final = Pseudo(frozenset((b":method", b":authority")), frozenset((b":method", b":authority")))  # §8.5
RESPONSE: Final = Pseudo(frozenset((b":status",)), frozenset((b":status",)))
TRAILERS: Final = Pseudo(frozenset(), frozenset())  # §8.1

CONNECTION_SPECIFIC: Final = frozenset(  # §8.2.2: they say how HTTP/1 transfers, which HTTP/2 does itself
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)
_WATCHED: Final = CONNECTION_SPECIFIC | {b"te", b"content-length", b"host"}
_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"  # of names, in lower case (§8.2.1)
_TEXT: Final = bytes(range(256)).translate(None, b"\0\r\n")  # of values: nothing that ends a line in HTTP/1
_MOST_DIGITS: Final = 18  # of a content-length: nobody has a longer body
_SPACE: Final = b" \t"
_REMEMBERED: Final = 128
"""Responses and trailers are few and come again and again, other than requests: so many are known to be right."""

_STATUS: Final = re.compile(rb"[1-5][0-9][0-9]")


def check_request(headers: Headers) -> int | None:
    """Hold a list against the rules of a request; returns the length of the body that it announces, if it does.

    Raises:
        StreamViolation: It is malformed.
    """
    pseudo, watched = _read(headers, REQUEST)
    method, authority = pseudo.get(b":method"), pseudo.get(b":authority")
    _check_pseudo(pseudo, CONNECT if method == b"CONNECT" else REQUEST)
    path = pseudo.get(b":path")
    if path is not None and not (path.startswith(b"/") or (path == b"*" and method == b"OPTIONS")):
        _malformed(f":path is {path!r}")
    host = watched.get(b"host")
    if host is not None and authority is not None and host != authority:
        _malformed(f"host is {host!r}, and :authority is {authority!r}")
    return _content_length(watched)


@lru_cache(_REMEMBERED)
def check_response(headers: Headers, *, end_stream: bool) -> tuple[Kind, int | None]:
    """Hold a list against the rules of a response; returns its kind and the announced length of its body.

    Raises:
        StreamViolation: It is malformed.
    """
    pseudo, watched = _read(headers, RESPONSE)
    _check_pseudo(pseudo, RESPONSE)
    status = pseudo[b":status"]
    if not _STATUS.fullmatch(status) or status == b"101":  # nothing can be switched to in HTTP/2 (§8.6)
        _malformed(f":status is {status!r}")
    if status[:1] == b"1":
        if end_stream:
            _malformed(f"the informational response {status.decode()} ends its stream")
        return Kind.INFORMATIONAL, None
    return Kind.RESPONSE, None if status in (b"204", b"304") else _content_length(watched)


@lru_cache(_REMEMBERED)
def check_trailers(headers: Headers, *, end_stream: bool) -> None:
    """Hold a list against the rules of trailers.

    Raises:
        StreamViolation: It is malformed.
    """
    if not end_stream:
        _malformed("trailers that do not end their stream")
    _read(headers, TRAILERS)


def _read(headers: Headers, rule: Pseudo) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    """Check every field by itself; returns the pseudo-fields, and those that more is to be asked of.

    The characters of all names, and of all values, are checked at once: it is the dearest part of a small call.
    """
    pseudo: dict[bytes, bytes] = {}
    watched: dict[bytes, bytes] = {}
    names: list[bytes] = []
    for name, value in headers:
        if value.strip(_SPACE) != value:
            _malformed(f"{name!r} has the value {value!r}")
        if name[:1] == b":":
            if names or name in pseudo or name not in rule.allowed:
                _malformed(f"{name!r} comes after a regular field, twice, or where it must not be")
            pseudo[name] = value
        else:
            names.append(name)
            if name in _WATCHED:
                _watch(name, value, watched)
    if b"" in names or b"".join(names).translate(None, _TOKEN):
        _malformed(f"fields are named {b', '.join(names)!r}")
    values = b"".join([value for _, value in headers])
    if values.translate(None, _TEXT):
        _malformed(f"a value has NUL, CR or LF: {values!r}")
    return pseudo, watched


def _watch(name: bytes, value: bytes, watched: dict[bytes, bytes]) -> None:
    if name in CONNECTION_SPECIFIC:
        _malformed(f"{name!r} is not for HTTP/2")
    if name == b"te" and value != b"trailers":
        _malformed(f"te is {value!r}")
    if name == b"content-length" and not (value.isdigit() and len(value) <= _MOST_DIGITS):
        _malformed(f"content-length is {value!r}")
    if watched.setdefault(name, value) != value:
        _malformed(f"{name!r} is {watched[name]!r} and {value!r}")


def _check_pseudo(pseudo: dict[bytes, bytes], rule: Pseudo) -> None:
    if not (rule.required <= pseudo.keys() <= rule.allowed):
        _malformed(f"the pseudo-fields are {', '.join(name.decode('latin-1') for name in sorted(pseudo)) or 'none'}")


def _content_length(watched: dict[bytes, bytes]) -> int | None:
    text = watched.get(b"content-length")
    return None if text is None else int(text)


def _malformed(reason: str) -> NoReturn:
    raise StreamViolation(ErrorCode.PROTOCOL_ERROR, f"malformed headers: {reason}")
