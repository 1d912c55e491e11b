"""What makes a header list a request, a response or trailers (RFC 9113 §8.2, §8.3). All else is malformed (§8.1.1)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple, NoReturn, TypeVar

from tailgate.http2.codes import ErrorCode
from tailgate.http2.errors import StreamViolation
from tailgate.http2.events import Field, Headers, Kind

_Right = TypeVar("_Right", Field, bytes)


class Pseudo(NamedTuple):
    """The pseudo-fields a list may have, and those it must have (§8.3)."""

    allowed: frozenset[bytes]
    required: frozenset[bytes]


REQUEST: Final = Pseudo(
    frozenset((b":method", b":scheme", b":path", b":authority")), frozenset((b":method", b":scheme", b":path"))
)
CONNECT: Final = Pseudo(frozenset((b":method", b":authority")), frozenset((b":method", b":authority")))  # §8.5
RESPONSE: Final = Pseudo(frozenset((b":status",)), frozenset((b":status",)))

CONNECTION_SPECIFIC: Final = frozenset(  # §8.2.2: they say how HTTP/1 transfers, which HTTP/2 does itself
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)
REPEATING: Final = frozenset(
    b"te content-type user-agent server accept-encoding grpc-encoding grpc-accept-encoding grpc-status".split()
)
"""Names of which a peer sends the same few values again and again. Not for values that the rest of a list bears on."""

_MOST_PSEUDO: Final = len(REQUEST.allowed)
_WATCHED: Final = CONNECTION_SPECIFIC | {b"content-length", b"host"}
_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"  # of names, in lower case (§8.2.1)
_NUL: Final = b"\0"
_CR: Final = b"\r"
_LF: Final = b"\n"
_SPACE: Final = b" \t"
_MOST_DIGITS: Final = 18  # of a content-length: nobody has a longer body
_STATUS: Final = re.compile(rb"[1-5][0-9][0-9]")

_REMEMBERED: Final = 128
"""What has been found right is not looked at again: so many of each kind, which at 16 KiB a list is 2 MiB at worst."""

_right_fields: Final[set[Field]] = set()  # with names in REPEATING
_right_names: Final[set[bytes]] = set()  # of which nothing more is to be asked


def check_request(headers: Headers) -> int | None:
    """Hold a list against the rules of a request; returns the length of the body that it announces, if it does.

    Raises:
        StreamViolation: It is malformed.
    """
    pseudo = _check_request_start(headers[:_MOST_PSEUDO])
    watched = _check_regular(headers[len(pseudo) :])
    if not watched:
        return None
    host, authority = watched.get(b"host"), pseudo.get(b":authority")
    if host is not None and authority is not None and host != authority:
        _malformed(f"host is {host!r}, and :authority is {authority!r}")
    return _content_length(watched)


@lru_cache(_REMEMBERED)
def check_response(headers: Headers, *, end_stream: bool) -> tuple[Kind, int | None]:
    """Hold a list against the rules of a response; returns its kind and the announced length of its body.

    Responses hardly differ, other than requests and trailers: they are remembered as a whole.

    Raises:
        StreamViolation: It is malformed.
    """
    status = _read_pseudo(headers[:1], RESPONSE)[b":status"]
    watched = _check_regular(headers[1:])
    if not _STATUS.fullmatch(status) or status == b"101":  # nothing can be switched to in HTTP/2 (§8.6)
        _malformed(f":status is {status!r}")
    if status[:1] == b"1":
        if end_stream:
            _malformed(f"the informational response {status.decode()} ends its stream")
        return Kind.INFORMATIONAL, None
    return Kind.RESPONSE, None if status in (b"204", b"304") else _content_length(watched)


def check_trailers(headers: Headers, *, end_stream: bool) -> None:
    """Hold a list against the rules of trailers: there are no pseudo-fields in them (§8.1).

    Raises:
        StreamViolation: It is malformed.
    """
    if not end_stream:
        _malformed("trailers that do not end their stream")
    _check_regular(headers)


@lru_cache(_REMEMBERED)
def _check_request_start(start: Headers) -> dict[bytes, bytes]:
    """Check the pseudo-fields of a request, which are all in its beginning or come too late; returns them."""
    connect = (b":method", b"CONNECT") in start
    pseudo = _read_pseudo(start, CONNECT if connect else REQUEST)
    method, path = pseudo[b":method"], pseudo.get(b":path")
    if path is not None and not (path.startswith(b"/") or (path == b"*" and method == b"OPTIONS")):
        _malformed(f":path is {path!r}")
    return pseudo


def _read_pseudo(start: Headers, rule: Pseudo) -> dict[bytes, bytes]:
    pseudo: dict[bytes, bytes] = {}
    for name, value in start:
        if name[:1] != b":":
            break
        if name in pseudo:
            _malformed(f"{name!r} comes twice")
        _check_value(name, value)
        pseudo[name] = value
    if not (rule.required <= pseudo.keys() <= rule.allowed):
        _malformed(f"the pseudo-fields are {', '.join(name.decode('latin-1') for name in sorted(pseudo)) or 'none'}")
    return pseudo


def _check_regular(fields: Headers) -> dict[bytes, bytes]:
    """Check every field by itself; returns those that more is to be asked of."""
    watched: dict[bytes, bytes] = {}
    for field in fields:
        if field in _right_fields:
            continue
        name, value = field
        if not value.isalnum():  # what most numbers and identifiers are
            _check_value(name, value)
        if name not in _right_names:
            _check_name(name, value, watched)
    return watched


def _check_value(name: bytes, value: bytes) -> None:
    """§8.2.1: nothing that ends a line in HTTP/1, and no space around it."""
    if _NUL in value or _CR in value or _LF in value or value.strip(_SPACE) != value:
        _malformed(f"{name!r} has the value {value!r}")


def _check_name(name: bytes, value: bytes, watched: dict[bytes, bytes]) -> None:
    """Check a name, and the value if it is one that there are rules for; remember what need not be checked again."""
    if name[:1] == b":":
        _malformed(f"{name!r} comes after a regular field, twice, or where it must not be")
    if not name or name.translate(None, _TOKEN):
        _malformed(f"a field is named {name!r}")
    if name == b"te" and value != b"trailers":
        _malformed(f"te is {value!r}")
    if name in _WATCHED:
        _watch(name, value, watched)
    elif name in REPEATING:
        _remember(_right_fields, (name, value))
    else:
        _remember(_right_names, name)


def _remember(known: set[_Right], right: _Right) -> None:
    if len(known) >= _REMEMBERED:
        known.clear()
    known.add(right)


def _watch(name: bytes, value: bytes, watched: dict[bytes, bytes]) -> None:
    if name in CONNECTION_SPECIFIC:
        _malformed(f"{name!r} is not for HTTP/2")
    if name == b"content-length" and not (value.isdigit() and len(value) <= _MOST_DIGITS):
        _malformed(f"content-length is {value!r}")
    if watched.setdefault(name, value) != value:
        _malformed(f"{name!r} is {watched[name]!r} and {value!r}")


def _content_length(watched: dict[bytes, bytes]) -> int | None:
    text = watched.get(b"content-length")
    return None if text is None else int(text)


def _malformed(reason: str) -> NoReturn:
    raise StreamViolation(ErrorCode.PROTOCOL_ERROR, f"malformed headers: {reason}")
