"""How a call ends on the wire, written and read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.errors import Status
from tailgate.http2.events import Field, Headers
from tailgate.http2.grpc_ending import Ending, read_ending, trailers_only, write_ending
from tailgate.http2.grpc_headers import RESPONSE

names = st.sampled_from([b"a", b"x-custom", b"trace-bin", b"tailgate-outcome", b"grpc-retry-pushback-ms"])
metadata = st.lists(st.tuples(names, st.binary(max_size=8)), max_size=5).map(tuple)


@given(st.sampled_from(Status), st.text(max_size=30), metadata)
def test_an_ending_is_read_as_it_was_written(status: Status, message: str, fields: Headers) -> None:
    encodable = message.encode(errors="replace").decode()
    expected = Ending(status, encodable, fields)
    assert read_ending(write_ending(status, message, fields)) == expected
    whole = trailers_only(status, message, fields)
    assert read_ending(whole) == expected
    assert whole[: len(RESPONSE)] == RESPONSE


@pytest.mark.parametrize("status", Status)
def test_a_status_is_its_number_and_its_text_is_escaped_as_grpc_says(status: Status) -> None:
    fields = write_ending(status, "50 % of é\n")
    assert fields == ((b"grpc-status", str(int(status)).encode()), (b"grpc-message", b"50 %25 of %C3%A9%0A"))
    assert write_ending(status) == fields[:1]


def test_metadata_stays_as_it_came_in_its_order_and_what_is_the_protocols_own_is_no_metadata() -> None:
    kept: list[Field] = [(b"b-bin", b"no base64!"), (b"a", b"1"), (b"a", b"\xff"), (b"grpc-retry-pushback-ms", b"9")]
    own: list[Field] = [
        (b":status", b"200"),
        (b"content-type", b"application/grpc"),
        (b"content-length", b"0"),
        (b"grpc-encoding", b"gzip"),
        (b"grpc-accept-encoding", b"gzip"),
        (b"grpc-status", b"0"),
        (b"grpc-message", b"m"),
    ]
    mixed = [field for pair in zip(own, [*kept, *kept], strict=False) for field in pair]
    assert read_ending(tuple(mixed)) == Ending(Status.OK, "m", tuple([*kept, *kept][: len(own)]))


@pytest.mark.parametrize("value", [b"17", b"-1", b"x", b"", b"00", b" 0", b"099", "٣".encode()])
def test_a_status_nobody_knows_is_unknown_and_never_ok(value: bytes) -> None:
    assert read_ending(((b"grpc-status", value),)).status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("http", "status"),
    [(b"200", Status.UNKNOWN), (b"401", Status.UNAUTHENTICATED), (b"404", Status.UNIMPLEMENTED),
     (b"429", Status.UNAVAILABLE), (b"502", Status.UNAVAILABLE), (b"500", Status.UNKNOWN)],
)  # fmt: skip
def test_without_a_status_of_its_own_the_http_status_decides(http: bytes, status: Status) -> None:
    ending = read_ending(((b":status", http), (b"content-type", b"text/html"), (b"server", b"x")))
    assert (ending.status, ending.fields) == (status, ((b"server", b"x"),))
    assert http.decode() in ending.message


def test_trailers_without_a_status_are_no_success() -> None:
    assert read_ending(()).status is Status.UNKNOWN
    assert read_ending(((b"a", b"b"),)) == Ending(
        Status.UNKNOWN, "HTTP status 200 without grpc-status", ((b"a", b"b"),)
    )


@given(st.lists(st.tuples(st.sampled_from([b"grpc-status", b"grpc-message", b"a"]), st.binary(max_size=6)), max_size=6))
def test_no_trailers_fail_to_be_read(fields: list[Field]) -> None:
    ending = read_ending(tuple(fields))
    assert ending.fields == tuple(field for field in fields if field[0] == b"a")
    assert (ending.status is Status.OK) == ([value for name, value in fields if name == b"grpc-status"][-1:] == [b"0"])
