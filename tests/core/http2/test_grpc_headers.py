"""The header lists of gRPC calls, there and back, and what becomes of those that are none of gRPC's."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.deadline import parse_grpc_timeout
from tailgate.errors import Status
from tailgate.http2.codes import ErrorCode
from tailgate.http2.grpc_ending import Ending, read_ending, trailers_only, write_ending
from tailgate.http2.grpc_headers import escape_message, format_grpc_timeout, http_refusal, unescape_message
from tailgate.http2.grpc_status import status_of_http, status_of_reset

FIELDS = {b":method": b"POST", b":path": b"/s/m", b"content-type": b"application/grpc", b"te": b"trailers"}
METADATA = ((b"tailgate-label", b"7"), (b"trace-bin", b"AP8"), (b"empty", b""), (b"tailgate-label", b"8"))


def test_trailers_are_read_as_they_were_written() -> None:
    ending = Ending(Status.NOT_FOUND, "no model 'é' at 100 %\n", METADATA)
    assert read_ending(write_ending(*ending)) == ending
    assert read_ending(trailers_only(*ending)) == ending


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


@pytest.mark.parametrize(
    ("change", "status"),
    [({b":method": b"GET"}, 405), ({b"content-type": b"text/html"}, 415), ({b"content-type": b""}, 415)],
)
def test_a_request_that_is_none_of_grpcs_gets_an_http_status(change: dict[bytes, bytes], status: int) -> None:
    assert http_refusal(FIELDS | change) == status


def test_content_types_of_grpc_are_taken() -> None:
    for kind in (b"application/grpc", b"application/grpc+proto"):
        assert http_refusal(FIELDS | {b"content-type": kind}) is None


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
