"""What is read from a call, before any decision: its header fields at once, its model when the message names it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.errors import Status
from tailgate.http2.events import Field, Headers
from tailgate.outcome import Mode
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.protocol.envelope import Envelope
from tailgate_proxy.call import Arrival
from tailgate_proxy.exchange import Exchange, know_model, read_headers
from tailgate_proxy.routes import Route, Routes

ROUTES = Routes(
    Route(Mode.ENFORCE, 0.05),
    {"slow": Route(Mode.OBSERVE, 0.2, "probabilities"), "quick": Route(Mode.ENFORCE, 0.01)},
    forward_metadata=("*", "authorization", "cookie"),
)
REQUEST: Headers = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/inference.GRPCInferenceService/ModelInfer"),
    (b":authority", b"proxy"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
    (b"user-agent", b"a client"),
)
OWN = (b"grpc-timeout", b"tailgate-deadline-ms", b"tailgate-label", b"x-request-id", b"grpc-encoding")


def read(*fields: Field) -> Exchange:
    return read_headers(Arrival((*REQUEST, *fields), dict((*REQUEST, *fields)), 100.0, 1.7e9), ROUTES, lambda: "made")


def with_model(exchange: Exchange, model: str = "digits", v2_id: str = "") -> Exchange:
    know_model(exchange, Envelope(model, "", v2_id), ROUTES)
    return exchange


@pytest.mark.parametrize(
    ("grpc_timeout", "deadline_ms", "model", "expected_s"),
    [
        (None, None, "digits", 0.05),  # the default
        (None, None, "slow", 0.2),  # the model's own
        (None, None, "quick", 0.01),
        (b"10m", None, "digits", 0.01),  # the client's gRPC timeout
        (b"3S", None, "digits", 0.05),  # a patient client does not lengthen it
        (None, b"20", "digits", 0.02),
        (b"30m", b"20", "slow", 0.02),
        (b"10m", b"20", "slow", 0.01),
        (b"0n", None, "slow", 0.0),
        (None, b"0", "digits", 0.0),
        (None, b"-5", "digits", -0.005),  # expired, and not clamped
        (b"10m", b"-5", "digits", -0.005),
        (None, b"1e9", "slow", 0.2),
        (b"99999999H", None, "slow", 0.2),
    ],
)
def test_the_deadline_is_the_earliest_of_all_that_have_a_say(
    grpc_timeout: bytes | None, deadline_ms: bytes | None, model: str, expected_s: float
) -> None:
    given_fields = ((b"grpc-timeout", grpc_timeout), (b"tailgate-deadline-ms", deadline_ms))
    exchange = with_model(read(*((name, value) for name, value in given_fields if value is not None)), model)
    assert exchange.fault is None
    assert exchange.deadline.budget_s == expected_s
    assert exchange.deadline.start_s == exchange.arrival_s == 100.0
    assert exchange.deadline.expired_on_arrival == (expected_s <= 0)


def test_until_the_model_is_known_the_longest_deadline_of_any_holds() -> None:
    assert read().deadline.budget_s == 0.2
    assert read().route is ROUTES.default
    assert read((b"grpc-timeout", b"30m")).deadline.budget_s == 0.03


def test_the_model_brings_its_route() -> None:
    slow = with_model(read(), "slow", "9")
    assert slow.envelope == Envelope("slow", "", "9")
    assert (slow.route.mode, slow.route.output) == (Mode.OBSERVE, "probabilities")
    assert with_model(read(), "unheard-of").route is ROUTES.default


def test_what_observe_mode_needs_to_know_of_the_clients_own_patience_is_kept_apart() -> None:
    both = read((b"grpc-timeout", b"30m"), (b"tailgate-deadline-ms", b"20"))
    assert (both.grpc_budget_s, both.client_budget_s) == (0.03, 0.02)
    only_ms = read((b"tailgate-deadline-ms", b"20"))
    assert (only_ms.grpc_budget_s, only_ms.client_budget_s) == (None, 0.02)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        *(
            (((b"grpc-timeout", value),), f"grpc-timeout is {value.decode('latin-1')!r}")
            for value in (b"-1S", b"abc", b"", b"123456789S", b"5", b"1.5S", b"1 S", b"99999999999H", b"\xb2S")
        ),
        *(
            (((b"tailgate-deadline-ms", value),), f"tailgate-deadline-ms is {value.decode('latin-1')!r}")
            for value in (b"soon", b"nan", b"inf", b"-inf", b"", b"1_0", b" 5", b"0x10", b"1e999", b"\xb2")
        ),
        *(
            (((b"tailgate-label", value),), f"tailgate-label is {value.decode('latin-1')!r}")
            for value in (b"seven", b"-1", b"", b"1.0", b"1234567890", "٣".encode(), b"\xb2")
        ),
        (((b"grpc-timeout", b"1S"), (b"grpc-timeout", b"1S")), "grpc-timeout is given more than once"),
        (((b"tailgate-deadline-ms", b"1"), (b"tailgate-deadline-ms", b"2")), "tailgate-deadline-ms is given more than"),
        (((b"tailgate-label", b"1"), (b"tailgate-label", b"1")), "tailgate-label is given more than once"),
        (((b"grpc-encoding", b"gzip"), (b"grpc-encoding", b"gzip")), "grpc-encoding is given more than once"),
    ],
)
def test_what_is_malformed_is_noted_and_names_its_field_and_value(fields: tuple[Field, ...], named: str) -> None:
    exchange = read((b"x-request-id", b"mine"), *fields)
    assert exchange.fault is not None
    assert exchange.fault.status is Status.INVALID_ARGUMENT
    assert named in str(exchange.fault)
    assert exchange.request_id == "mine"  # everything else is read all the same
    assert exchange.deadline.budget_s <= 0.2


def test_a_field_of_others_may_come_as_often_as_it_likes() -> None:
    exchange = read((b"a", b"1"), (b"a", b"2"), (b"cookie", b"x"), (b"cookie", b"y"))
    assert exchange.fault is None
    assert exchange.forwarded == [(b"a", b"1"), (b"a", b"2"), (b"cookie", b"x"), (b"cookie", b"y")]


@pytest.mark.parametrize(
    ("ids", "v2_id", "expected", "made"),
    [
        ((b"client",), "seven", "client", False),
        ((b"first", b"added-on-the-way"), "seven", "first", False),
        ((b"first", b""), "", "first", False),
        ((b"",), "seven", "seven", False),
        ((), "seven", "seven", False),
        ((), "", "made", True),
        ((b"caf\xe9",), "", "café", False),
    ],
)
def test_the_request_id_is_the_clients_first_else_the_messages_else_made_here(
    ids: tuple[bytes, ...], v2_id: str, expected: str, made: bool
) -> None:
    exchange = with_model(read(*((b"x-request-id", value) for value in ids)), v2_id=v2_id)
    assert exchange.fault is None
    assert (exchange.request_id, exchange.id_made) == (expected, made)


def test_several_ids_hide_no_fault_of_another_field() -> None:
    twice = read((b"x-request-id", b"a"), (b"tailgate-label", b"1"), (b"x-request-id", b"b"), (b"tailgate-label", b"2"))
    assert "tailgate-label is given more than once" in str(twice.fault)
    assert twice.request_id == "a"


def test_only_what_is_the_clients_own_is_forwarded() -> None:
    kept = [(b"x-custom", b"1"), (b"trace-bin", b"AAE"), (b"authorization", b"secret")]
    own = [(name, b"1") for name in OWN]
    connection = [(b"connection", b"x"), (b"host", b"h"), (b"content-length", b"3"), (b"grpc-accept-encoding", b"gzip")]
    exchange = read(*own, *kept, *connection)
    assert exchange.forwarded == kept
    names = [name for name, _ in (*REQUEST, *own, *kept, *connection)]
    assert [name for name in names if ROUTES.forwarding.takes(name)] == [name for name, _ in kept]


def test_arrival_and_encoding_are_kept() -> None:
    exchange = read((b"grpc-encoding", b"gzip"))
    assert (exchange.arrival_s, exchange.arrival_unix_s) == (100.0, 1.7e9)
    assert exchange.encoding == "gzip"
    assert read().encoding == "identity"


header_values = st.sampled_from([b"1", b"10m", b"-3", b"x", b"9" * 12]) | st.binary(max_size=12)
header_lists = st.lists(st.tuples(st.sampled_from([*OWN, b"other"]), header_values), max_size=6)


@given(header_lists, st.sampled_from(["digits", "slow", "quick", ""]), st.text(max_size=3))
def test_no_call_whatever_it_holds_fails_to_be_read(fields: list[Field], model: str, v2_id: str) -> None:
    exchange = read(*fields)
    before = exchange.deadline
    with_model(exchange, model, v2_id)
    assert exchange.request_id
    assert exchange.label >= UNKNOWN_CLASS
    assert math.isfinite(exchange.deadline.budget_s)
    assert exchange.deadline.budget_s <= min(before.budget_s, exchange.route.deadline_s)  # the model never lengthens it
    doubled = {name for name, _ in fields if [n for n, _ in fields].count(name) > 1} & {*OWN} - {b"x-request-id"}
    assert exchange.fault is not None or not doubled
    assert all(name == b"other" for name, _ in exchange.forwarded)
