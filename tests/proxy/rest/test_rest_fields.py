"""Header fields and bodies, without any socket."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.errors import InvalidRequest, Overloaded, TooLarge, UnsupportedMediaType
from tailgate.http2.events import Field
from tailgate_proxy.compression import decompress
from tailgate_proxy.held import Held
from tailgate_proxy.rest.body import Body, coding_of
from tailgate_proxy.rest.headers import answer_fields, call_fields

NAMES = st.sampled_from(
    [b"tailgate-deadline-ms", b"X-Request-Timeout-Ms", b"X-Request-Id", b"Accept", b"grpc-timeout", b"x!y", b"baggage"]
)
VALUES = st.sampled_from([b"5", b" 7 ", b"soon", b"\xe9", b"", b"1e3"])


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_whatever_comes_a_call_gets_only_fields_that_grpc_could_have_sent(given_fields: list[Field]) -> None:
    fields, fault = call_fields(given_fields)
    names = [name for name, _ in fields]
    assert not {b"accept", b"grpc-timeout", b"x!y", b"x-request-timeout-ms"}.intersection(names)
    assert all(name == name.lower() and value == value.strip(b" ") for name, value in fields)
    timeouts = [value.strip(b" ") for name, value in given_fields if name.lower() == b"x-request-timeout-ms"]
    bad = len(timeouts) > 1 or any(value in (b"soon", b"\xe9", b"") for value in timeouts)
    assert (fault is not None) == bad
    if fault is not None:
        assert str(fault).startswith("x-request-timeout-ms is ")
    deadlines = [value.strip(b" ") for name, value in given_fields if name == b"tailgate-deadline-ms"]
    numbers = [float(value) for value in deadlines + timeouts if value not in (b"soon", b"\xe9", b"")]
    if not bad and len(deadlines) <= 1 and len(numbers) == len(deadlines) + len(timeouts) and numbers:
        assert [float(value) for name, value in fields if name == b"tailgate-deadline-ms"] == [min(numbers)]
    elif deadlines:  # left as they are, for whoever reads them to find at fault
        assert [value for name, value in fields if name == b"tailgate-deadline-ms"] == deadlines


def test_what_a_client_says_of_its_own_connection_is_not_passed_on() -> None:
    given_fields = [
        (name.encode(), b"x") for name in ("Accept-Encoding", "Content-Encoding", "Expect", "Origin", "Via")
    ]
    assert call_fields(given_fields) == ((), None)


def test_trailers_become_header_fields_unless_http_would_misread_them() -> None:
    trailers = (
        (b"x-request-id", b"7"), (b"content-length", b"5"), (b"transfer-encoding", b"chunked"), (b"set-cookie", b"a=b"),
        (b"connection", b"close"), (b"x-split", b"a\r\nb: c"), (b"grpc-status-details-bin", b"AA"), (b"theirs", b"yes"),
        (b"grpc-retry-pushback-ms", b"2001"), (b"X-Upper", b"no"),
    )  # fmt: skip
    assert answer_fields(trailers) == [("x-request-id", "7"), ("theirs", "yes"), ("Retry-After", "3")]
    assert answer_fields(((b"grpc-retry-pushback-ms", b"-1"),)) == []  # do not come again
    for digits in (10, 400, 5000):  # more than a time, than a float, and than Python's numbers may have
        assert answer_fields(((b"grpc-retry-pushback-ms", b"9" * digits),)) == []


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(b"abc") + gzip.compress(b"def")),
        ("gzip", gzip.compress(b"abc") + b"junk"),
        ("deflate", zlib.compress(b"abc") + b"\0"),
    ],
)
def test_what_follows_a_compressed_body_is_not_lost_in_silence(coding: str, packed: bytes) -> None:
    with pytest.raises(InvalidRequest, match=f"bytes follow the message's {coding}; send one member"):
        decompress(packed, coding, 100)


@pytest.mark.parametrize("value", ["br", "zstd", "gzip, deflate", "gzip;q=1", "none"])
def test_a_coding_that_is_not_offered_is_said_so(value: str) -> None:
    with pytest.raises(UnsupportedMediaType, match="expected gzip, deflate or none"):
        coding_of(value)
    assert [coding_of(one) for one in ("", "identity", " GZIP ", "x-gzip", "deflate")] == [
        "", "", "gzip", "gzip", "deflate",
    ]  # fmt: skip


@given(st.lists(st.binary(max_size=40), max_size=8), st.booleans(), st.integers(0, 200), st.integers(0, 300))
def test_what_a_body_keeps_is_held_within_both_bounds_and_given_back(
    pieces: list[bytes], compressed: bool, most: int, room: int
) -> None:
    held, whole = Held(room), b"".join(pieces)
    body = Body(held, most, "--some-option")
    sent = [gzip.compress(whole)] if compressed else pieces
    sizes, refused, opened = [sum(map(len, sent)), *([len(whole)] if compressed else [])], "", b""
    try:
        for piece in sent:
            body.add(piece)
            assert held.bytes <= min(most, room)
        opened = body.open("gzip" if compressed else "")
    except (TooLarge, Overloaded) as error:
        refused = type(error).__name__
    if not refused:
        assert opened == whole
        assert held.bytes == sum(sizes)
    assert max(sizes) > most or refused != "TooLarge"
    assert sum(sizes) > room or refused != "Overloaded"
    assert (max(sizes) > most or sum(sizes) > room) == bool(refused)
    body.release()
    body.release()
    assert held.bytes == 0


def test_a_body_that_says_it_is_too_long_is_not_waited_for() -> None:
    body = Body(Held(100), 10, "--some-option")
    body.expect(None)
    body.expect(10)
    with pytest.raises(TooLarge, match=r"more than the 10 bytes allowed \(--some-option\)"):
        body.expect(11)
