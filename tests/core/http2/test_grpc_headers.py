"""The header lists of gRPC calls, there and back, and what becomes of those that are none of gRPC's."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.deadline import parse_grpc_timeout
from tailgate.errors import InvalidRequest, Status
from tailgate.http2.codes import ErrorCode
from tailgate.http2.grpc_headers import (
    Ending,
    Metadata,
    RequestHead,
    escape_message,
    format_grpc_timeout,
    has_ending,
    http_refusal,
    read_ending,
    read_request,
    request_headers,
    trailers,
    trailers_only,
    unescape_message,
    write_metadata,
)
from tailgate.http2.grpc_status import status_of_http, status_of_reset

METADATA: Metadata = (("tailgate-label", "7"), ("trace-bin", b"\0\xff"), ("empty", ""), ("tailgate-label", "8"))


def test_a_request_is_read_as_it_was_written() -> None:
    headers = request_headers("/s/m", "host:1", 0.25, METADATA)
    assert http_refusal(headers) is None
    assert read_request(headers) == RequestHead("/s/m", "host:1", "250000u", "identity", METADATA)
    assert read_request(request_headers("/s/m", "h")).timeout is None


def test_trailers_are_read_as_they_were_written() -> None:
    ending = Ending(Status.NOT_FOUND, "no model 'é' at 100 %\n", METADATA)
    assert read_ending(trailers(ending.status, ending.message, ending.metadata)) == ending
    headers = trailers_only(ending.status, ending.message, ending.metadata)
    assert has_ending(headers)
    assert read_ending(headers) == ending


@given(st.text())
def test_any_message_survives(message: str) -> None:
    encodable = message.encode(errors="replace").decode()
    escaped = escape_message(message)
    assert unescape_message(escaped) == encodable == unquote(escaped.decode("ascii"))
    assert all(0x20 <= byte <= 0x7E for byte in escaped)


def test_what_is_no_percent_encoding_is_kept() -> None:
    assert unescape_message(b"100% of %zz and %4") == "100% of %zz and %4"
    assert unescape_message(b"%ff") == "\N{REPLACEMENT CHARACTER}"


@given(st.floats(1e-9, 99_999_999))
def test_a_timeout_is_never_longer_than_what_is_left_and_hardly_shorter(seconds: float) -> None:
    read = parse_grpc_timeout(format_grpc_timeout(seconds).decode())
    assert read <= seconds * (1 + 1e-12)
    assert read >= seconds * (1 - 1e-4) - 1e-9


@pytest.mark.parametrize("seconds", [0.0, -3.0, 1e-12])
def test_a_timeout_that_has_passed_is_the_shortest_there_is(seconds: float) -> None:
    assert format_grpc_timeout(seconds) == b"1n"


BAD_METADATA: list[tuple[str, str | bytes]] = [
    ("Upper", "x"),
    ("sp ace", "x"),
    ("", "x"),
    (":path", "x"),
    ("te", "x"),
    ("grpc-timeout", "1S"),
    ("grpc-status", "0"),
    ("new-line", "a\nb"),
    ("accent", "é"),
]


@pytest.mark.parametrize(("name", "value"), BAD_METADATA)
def test_metadata_that_cannot_be_sent_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidRequest, match="metadata"):
        write_metadata(((name, value),))


def test_binary_metadata_is_read_with_and_without_padding_and_joined() -> None:
    fields = ((b":path", b"/"), (b"a-bin", b"AAE="), (b"a-bin", b"AAE"), (b"a-bin", b"AA,AQ=="))
    assert read_request(fields).metadata == (
        ("a-bin", b"\0\1"),
        ("a-bin", b"\0\1"),
        ("a-bin", b"\0"),
        ("a-bin", b"\1"),
    )
    with pytest.raises(InvalidRequest, match="a-bin"):
        read_request(((b"a-bin", b"!"),))


@pytest.mark.parametrize(
    ("change", "status"),
    [({b":method": b"GET"}, 405), ({b"content-type": b"text/html"}, 415), ({b"content-type": b""}, 415)],
)
def test_a_request_that_is_none_of_grpcs_gets_an_http_status(change: dict[bytes, bytes], status: int) -> None:
    assert http_refusal(tuple((dict(request_headers("/s/m", "h")) | change).items())) == status


def test_content_types_of_grpc_are_taken() -> None:
    fields = dict(request_headers("/s/m", "h"))
    for kind in (b"application/grpc", b"application/grpc+proto"):
        assert http_refusal(tuple((fields | {b"content-type": kind}).items())) is None


HTTP = {
    "INTERNAL": [400],
    "UNAUTHENTICATED": [401],
    "PERMISSION_DENIED": [403],
    "UNIMPLEMENTED": [404],
    "UNAVAILABLE": [429, 502, 503, 504],
    "UNKNOWN": [200, 301, 402, 405, 415, 500],
}


@pytest.mark.parametrize(("name", "http"), [(name, http) for name, codes in HTTP.items() for http in codes])
def test_a_response_without_grpc_status_has_the_status_of_its_http_status(name: str, http: int) -> None:
    assert status_of_http(http).name == name
    ending = read_ending(((b":status", b"%d" % http), (b"content-type", b"text/html")))
    assert ending.status.name == name
    assert str(http) in ending.message


RESETS = {
    ErrorCode.NO_ERROR: Status.INTERNAL,
    ErrorCode.PROTOCOL_ERROR: Status.INTERNAL,
    ErrorCode.REFUSED_STREAM: Status.UNAVAILABLE,
    ErrorCode.CANCEL: Status.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: Status.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: Status.PERMISSION_DENIED,
    99: Status.INTERNAL,
}


@pytest.mark.parametrize("code", RESETS)
def test_a_reset_has_the_status_that_grpc_gives_it(code: int) -> None:
    assert status_of_reset(code) is RESETS[code]


@pytest.mark.parametrize("value", [b"17", b"-1", b"x", b"", b"099", "٣".encode()])
def test_a_status_nobody_knows_is_unknown(value: bytes) -> None:
    assert read_ending(((b"grpc-status", value),)).status is Status.UNKNOWN
