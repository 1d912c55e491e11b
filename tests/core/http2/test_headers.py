"""Header lists that are well-formed: ours against the sentences of RFC 9113, whatever was found right before."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailgate.http2 import headers as rules
from tailgate.http2.errors import StreamViolation
from tailgate.http2.events import Headers, Kind
from tailgate.http2.headers import check_request, check_response, check_trailers

POST: Headers = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/s/m"), (b":authority", b"h"))
REQUESTS: list[Headers] = [
    POST,
    POST[:3],
    ((b":method", b"CONNECT"), (b":authority", b"h")),
    ((b":method", b"OPTIONS"), (b":scheme", b"http"), (b":path", b"*")),
]
RESPONSES: list[Headers] = [((b":status", status),) for status in (b"200", b"204", b"100", b"101", b"99", b"2000")]
TRAILERS: list[Headers] = [()]
REGULAR = [(b"te", b"trailers"), (b"user-agent", b"a b/1"), (b"x", b"1"), (b"content-length", b"5"), (b"host", b"h")]
PSEUDO = b":method :scheme :path :authority :status :other".split()
ORDINARY = b"te content-type user-agent host content-length grpc-status x-own x_own".split()
NOT_NAMES = [*b"connection upgrade X-own x:own \xe9".split(), b"", b"x own", b"x\0"]
USUAL = b"POST CONNECT * / h g trailers 5 007 application/grpc \xff".split()
NOT_VALUES = [b"", b" 5", b"5\t", b"a b", b"a\0b", b"a\r", b"\n", b"-1", b"5x", b"1" * 18, b"1" * 19]

unusual = st.tuples(st.sampled_from(ORDINARY), st.sampled_from(NOT_VALUES + USUAL)) | st.tuples(
    st.sampled_from(PSEUDO + NOT_NAMES), st.sampled_from(USUAL)
)


def lists(beginnings: list[Headers]) -> st.SearchStrategy[Headers]:
    """Lists of a kind, or nearly so, or in disorder."""
    in_order = st.tuples(
        st.sampled_from(beginnings), st.lists(st.sampled_from(REGULAR), max_size=3), st.lists(unusual, max_size=1)
    ).map(lambda parts: (*parts[0], *parts[1], *parts[2]))
    changed = st.tuples(
        in_order, st.integers(0, 6), unusual | st.tuples(st.sampled_from(PSEUDO), st.sampled_from(USUAL))
    )
    return (
        in_order
        | changed.map(lambda parts: (*parts[0][: parts[1]], parts[2], *parts[0][parts[1] + 1 :]))
        | in_order.flatmap(st.permutations).map(tuple)
    )


TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
VALUE = re.compile(rb"(?![ \t])[^\0\r\n]*(?<![ \t])")
OF_CONNECTIONS = {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}


def values(headers: Headers, name: bytes) -> list[bytes]:
    return [value for field, value in headers if field == name]


def is_right(headers: Headers, required: set[bytes], optional: frozenset[bytes] = frozenset()) -> bool:
    """§8.2 and §8.3, for a list with these pseudo-fields."""
    pseudo = [name for name, _ in headers if name.startswith(b":")]
    regular = [name for name, _ in headers[len(pseudo) :]]
    return (
        len(pseudo) == len(set(pseudo))
        and required <= set(pseudo) <= required | optional
        and all(TOKEN.fullmatch(name) for name in regular)  # no pseudo-field among them: they are no tokens
        and all(VALUE.fullmatch(value) for _, value in headers)
        and not OF_CONNECTIONS & set(regular)
        and {*values(headers, b"te")} <= {b"trailers"}
        and len({*values(headers, b"host")}) <= 1
        and len({*values(headers, b"content-length")}) <= 1
        and all(re.fullmatch(rb"[0-9]{1,18}", value) for value in values(headers, b"content-length"))
    )


def is_request(headers: Headers) -> bool:
    """§8.3.1, and §8.5 for CONNECT."""
    if values(headers, b":method") == [b"CONNECT"]:
        return is_right(headers, {b":method", b":authority"}) and agree(headers)
    method, path = values(headers, b":method"), values(headers, b":path")
    return (
        is_right(headers, {b":method", b":scheme", b":path"}, frozenset({b":authority"}))
        and (path[0].startswith(b"/") or (path, method) == ([b"*"], [b"OPTIONS"]))
        and agree(headers)
    )


def agree(headers: Headers) -> bool:
    host, authority = {*values(headers, b"host")}, {*values(headers, b":authority")}
    return not host or not authority or host == authority


def is_response(headers: Headers, *, end_stream: bool) -> bool:
    """§8.1 and §8.3.2; 101 by §8.6."""
    status = values(headers, b":status")
    return (
        is_right(headers, {b":status"})
        and re.fullmatch(rb"[1-5][0-9][0-9]", status[0]) is not None
        and status != [b"101"]
        and not (end_stream and status[0].startswith(b"1"))
    )


def length(headers: Headers) -> int | None:
    found = values(headers, b"content-length")
    return int(found[0]) if found else None


@settings(max_examples=400)
@given(lists(REQUESTS))
def test_a_request_is_taken_if_and_only_if_it_is_one(headers: Headers) -> None:
    for _ in range(2):
        if is_request(headers):
            assert check_request(headers) == length(headers)
        else:
            with pytest.raises(StreamViolation):
                check_request(headers)


@settings(max_examples=400)
@given(lists(RESPONSES), st.booleans())
def test_a_response_is_taken_if_and_only_if_it_is_one(headers: Headers, end_stream: bool) -> None:
    for _ in range(2):
        if is_response(headers, end_stream=end_stream):
            status = int(headers[0][1])
            expected = Kind.INFORMATIONAL if status < 200 else Kind.RESPONSE
            no_body = status < 200 or status in (204, 304)
            assert check_response(headers, end_stream=end_stream) == (expected, None if no_body else length(headers))
        else:
            with pytest.raises(StreamViolation):
                check_response(headers, end_stream=end_stream)


@settings(max_examples=400)
@given(lists(TRAILERS), st.sampled_from([True, True, True, False]))
def test_trailers_are_taken_if_and_only_if_they_are_some(headers: Headers, end_stream: bool) -> None:
    for _ in range(2):
        if end_stream and is_right(headers, set()):
            check_trailers(headers, end_stream=end_stream)
        else:
            with pytest.raises(StreamViolation):
                check_trailers(headers, end_stream=end_stream)


def test_what_is_remembered_as_right_has_an_end() -> None:
    for number in range(1000):
        check_request((*POST, (b"user-agent", b"client/%d" % number), (b"x-%d" % number, b"1")))
    assert len(rules._right_fields) <= 128  # the promise is about memory
    assert len(rules._right_names) <= 128
