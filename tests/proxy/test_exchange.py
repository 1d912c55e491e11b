"""What is read from a call, before any decision."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.config import Address
from tailgate.errors import InvalidRequest
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.protocol.envelope import Envelope, RequestFrame
from tailgate_proxy.call import Call, Metadata
from tailgate_proxy.config import ModelConfig, ProxyConfig
from tailgate_proxy.exchange import Exchange, read_body, read_headers

CONFIG = ProxyConfig.model_construct(
    upstream=Address("127.0.0.1", 1),
    deadline=0.05,
    models={"slow": ModelConfig.model_construct(deadline=0.2, output="probabilities")},
)


def read(
    metadata: Metadata = (),
    *,
    model: str = "digits",
    v2_id: str = "",
    grpc_timeout: str | None = None,
    body: bytes | None = None,
) -> Exchange:
    """Headers and message; what is wrong with either stands in the fault."""
    sent = RequestFrame(model, "image", "UINT8", (1, 2)).build(v2_id, b"ab") if body is None else body

    async def receive() -> bytes:
        return sent

    exchange = read_headers(Call(receive, metadata, 100.0, 1.7e9, grpc_timeout), CONFIG, lambda: "made")
    try:
        read_body(exchange, sent, CONFIG)
    except InvalidRequest as error:
        exchange.fault = exchange.fault or error
    return exchange


@pytest.mark.parametrize(
    ("grpc_timeout", "metadata_ms", "model", "expected_s"),
    [
        (None, None, "digits", 0.05),  # the default
        (None, None, "slow", 0.2),  # the model's own
        ("10m", None, "digits", 0.01),  # the client's gRPC timeout
        ("3S", None, "digits", 0.05),  # a patient client does not lengthen it
        (None, "20", "digits", 0.02),
        ("30m", "20", "slow", 0.02),
        ("10m", "20", "slow", 0.01),
        ("0n", None, "slow", 0.0),
        (None, "0", "digits", 0.0),
        (None, "-5", "digits", -0.005),  # expired, and not clamped
        (None, "1e9", "slow", 0.2),
    ],
)
def test_the_deadline_is_the_earliest_of_all_that_have_a_say(
    grpc_timeout: str | None, metadata_ms: str | None, model: str, expected_s: float
) -> None:
    metadata: Metadata = () if metadata_ms is None else (("tailgate-deadline-ms", metadata_ms),)
    exchange = read(metadata, model=model, grpc_timeout=grpc_timeout)
    assert exchange.fault is None
    assert exchange.deadline.budget_s == expected_s
    assert exchange.deadline.start_s == 100.0
    assert exchange.deadline.expired_on_arrival == (expected_s <= 0)


@pytest.mark.parametrize(
    ("metadata", "body", "named"),
    [
        ((("tailgate-deadline-ms", "soon"),), None, "tailgate-deadline-ms is 'soon'"),
        ((("tailgate-deadline-ms", "nan"),), None, "tailgate-deadline-ms is 'nan'"),
        ((("tailgate-deadline-ms", "inf"),), None, "tailgate-deadline-ms is 'inf'"),
        ((("tailgate-deadline-ms", "1"), ("tailgate-deadline-ms", "2")), None, "given 2 times"),
        ((("tailgate-label", "seven"),), None, "tailgate-label is 'seven'"),
        ((("tailgate-label", "-1"),), None, "tailgate-label is '-1'"),
        ((("tailgate-label", "1"), ("tailgate-label", "1")), None, "tailgate-label is '1, 1'"),
        ((("tailgate-label", "٣"),), None, "tailgate-label"),
        ((), b"\xff\xff\xff", "not a ModelInferRequest"),
        ((), b"\x0a\x05ab", "not a ModelInferRequest"),
        ((), b"\x0a\x02\xff\xfe", "must be UTF-8"),
    ],
)
def test_what_is_malformed_is_noted_and_names_its_field_and_value(
    metadata: Metadata, body: bytes | None, named: str
) -> None:
    exchange = read(metadata, body=body)
    assert exchange.fault is not None
    assert named in str(exchange.fault)
    assert exchange.deadline.budget_s in (0.05, 0.2)  # everything else is read all the same


@pytest.mark.parametrize(
    ("metadata", "v2_id", "expected", "made"),
    [
        ((("x-request-id", "client"),), "seven", "client", False),
        ((("x-request-id", ""),), "seven", "seven", False),
        ((), "seven", "seven", False),
        ((), "", "made", True),
    ],
)
def test_the_request_id_is_the_clients_else_the_messages_else_made_here(
    metadata: Metadata, v2_id: str, expected: str, made: bool
) -> None:
    exchange = read(metadata, v2_id=v2_id)
    assert (exchange.request_id, exchange.id_made) == (expected, made)


def test_the_envelope_and_the_models_own_output_are_known() -> None:
    assert read(model="slow", v2_id="9").envelope == Envelope("slow", "", "9")
    assert read(model="slow").output == "probabilities"
    assert read().output == ""


@given(
    st.binary(max_size=64),
    st.lists(
        st.tuples(
            st.sampled_from(["tailgate-deadline-ms", "tailgate-label", "x-request-id", "other"]),
            st.text(max_size=8) | st.binary(max_size=8),
        ),
        max_size=4,
    ),
)
def test_no_call_whatever_it_holds_fails_to_be_read(body: bytes, metadata: list[tuple[str, str | bytes]]) -> None:
    exchange = read(tuple(metadata), body=body)
    assert exchange.request_id
    assert math.isfinite(exchange.deadline.budget_s)
    assert exchange.label >= UNKNOWN_CLASS


@pytest.mark.parametrize("value", ["-1S", "abc", "", "123456789S", "5", "1.5S", "1 S", "99999999999H"])
def test_a_malformed_grpc_timeout_is_a_fault_of_this_call(value: str) -> None:
    exchange = read(grpc_timeout=value)
    assert exchange.fault is not None
    assert f"grpc-timeout is {value!r}" in str(exchange.fault)


def test_until_the_model_is_known_the_longest_deadline_of_any_model_holds() -> None:
    async def receive() -> bytes:
        return b""

    exchange = read_headers(Call(receive, (), 100.0, 1.7e9, None), CONFIG, lambda: "made")
    assert exchange.deadline.budget_s == 0.2
    read_body(exchange, RequestFrame("digits", "image", "UINT8", (1, 2)).build("", b"ab"), CONFIG)
    assert exchange.deadline.budget_s == 0.05
