"""What a call says of itself: id, deadline and label by its headers, model by its message. Read by pure functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tailgate.deadline import Deadline, earliest, parse_deadline_ms, parse_grpc_timeout
from tailgate.errors import InvalidRequest
from tailgate.http2.events import Field, Headers
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.protocol.envelope import NO_ENVELOPE, Envelope
from tailgate.protocol.names import DEADLINE_MS, LABEL, REQUEST_ID, SLICE
from tailgate_proxy.call import Arrival
from tailgate_proxy.routes import Route, Routes

_REQUEST_ID: Final = REQUEST_ID.encode()
_DEADLINE_MS: Final = DEADLINE_MS.encode()
_LABEL: Final = LABEL.encode()
_TIMEOUT: Final = b"grpc-timeout"
_ENCODING: Final = b"grpc-encoding"
_SLICE: Final = SLICE.encode()
_READ: Final = frozenset((_REQUEST_ID, _DEADLINE_MS, _LABEL, _SLICE, _TIMEOUT, _ENCODING))

_NOT_FORWARDED: Final = _READ | frozenset(
    b":method :scheme :path :authority user-agent te content-type content-length host "
    b"connection proxy-connection transfer-encoding upgrade keep-alive".split()
)
"""What belongs to one connection, is the proxy's own, or is written anew."""


@dataclass(slots=True)
class Exchange:
    """One call on its way through the proxy, with everything that was read from it so far.

    Attributes:
        arrival_s: When its headers came, on the monotonic clock.
        arrival_unix_s: On the wall clock.
        forwarded: The client's fields that the upstream is to have.
        encoding: How a compressed message is compressed.
        request_id: The client's, or one made here.
        id_made: Whether it was made here, so that the client has to be told.
        client_budget_s: The tightest that the client itself set, or None.
        grpc_budget_s: What ``grpc-timeout`` allows, or None.
        deadline: The earliest of all that have a say; by the headers alone, no model's is known yet.
        label: The right class, if the client knows it.
        slice: The group of requests it belongs to; empty where there are none.
        fault: What is wrong with the headers; the call is refused with this.
        route: What is to be done for it; the default one until the model is known.
        envelope: Model, version and id of the request; empty before they came.
        admitted: Whether it has a place among those in flight.
        due: Whether it has been counted as due: it ended, or its deadline passed.
        begun_s: When its call to the upstream began, on the monotonic clock; 0 where it did not.
        answered_s: When the upstream's answer was complete; 0 where there was none.
    """

    arrival_s: float
    arrival_unix_s: float
    forwarded: list[Field]
    encoding: str
    request_id: str
    id_made: bool
    client_budget_s: float | None
    grpc_budget_s: float | None
    deadline: Deadline
    label: int
    slice: str
    fault: InvalidRequest | None
    route: Route
    envelope: Envelope = NO_ENVELOPE
    admitted: bool = False
    due: bool = False
    begun_s: float = 0.0
    answered_s: float = 0.0


def read_headers(arrival: Arrival, routes: Routes, make_id: Callable[[], str]) -> Exchange:
    """Read what the headers say. What is malformed is noted as the fault, and everything else is read all the same.

    Args:
        arrival: The call as it arrived.
        routes: For deadlines: until the model is known, the longest that any has holds.
        make_id: Makes an id for a request that has none.
    """
    fields = arrival.fields
    own, fault = arrival.by_name, None
    if len(own) < len(fields):
        fault = _given_twice(fields)
        # Of several ids the first counts: whoever stands between may add one, behind the client's.
        own = {**own, **{field[0]: field[1] for field in reversed(fields) if field[0] == _REQUEST_ID}}
    grpc_budget_s = metadata_budget_s = None
    label = UNKNOWN_CLASS
    try:
        if _TIMEOUT in own:
            grpc_budget_s = parse_grpc_timeout(own[_TIMEOUT].decode("latin-1"))
    except InvalidRequest as error:
        fault = fault or error
    try:
        if _DEADLINE_MS in own:
            metadata_budget_s = parse_deadline_ms(own[_DEADLINE_MS].decode("latin-1"))
    except InvalidRequest as error:
        fault = fault or error
    try:
        if _LABEL in own:
            label = _read_label(own[_LABEL])
    except InvalidRequest as error:
        fault = fault or error
    client_budget_s = grpc_budget_s
    if metadata_budget_s is not None and (grpc_budget_s is None or metadata_budget_s < grpc_budget_s):
        client_budget_s = metadata_budget_s
    given_id = own.get(_REQUEST_ID, b"").decode("latin-1")
    forwarded = [field for field in fields if field[0] not in _NOT_FORWARDED and field[0][:5] != b"grpc-"]
    return Exchange(
        arrival_s=arrival.at_s,
        arrival_unix_s=arrival.unix_s,
        forwarded=forwarded,
        encoding=own.get(_ENCODING, b"identity").decode("latin-1"),
        request_id=given_id or make_id(),
        id_made=not given_id,
        client_budget_s=client_budget_s,
        grpc_budget_s=grpc_budget_s,
        deadline=earliest(arrival.at_s, client_budget_s, routes.longest_deadline_s),
        label=label,
        slice=routes.slice_of(own.get(_SLICE, b"")),
        fault=fault,
        route=routes.default,
    )


def know_model(exchange: Exchange, envelope: Envelope, routes: Routes) -> None:
    """Take in what the message says: which model, and with it the route and the deadline; maybe an id."""
    exchange.envelope = envelope
    route = routes.of(envelope.model)
    exchange.route = route
    if route.deadline_s < exchange.deadline.budget_s:
        exchange.deadline = earliest(exchange.arrival_s, exchange.client_budget_s, route.deadline_s)
    if exchange.id_made and envelope.id:
        exchange.request_id, exchange.id_made = envelope.id, False


def _given_twice(fields: Headers) -> InvalidRequest | None:
    """What is wrong where one of the proxy's own fields comes more than once."""
    names = [name for name, _ in fields]
    for name in _READ - {_REQUEST_ID}:
        if names.count(name) > 1:
            return InvalidRequest(f"{name.decode()} is given more than once; give it once")
    return None


def is_forwarded(name: bytes) -> bool:
    """Whether an upstream is to have a client's field of this name."""
    return name not in _NOT_FORWARDED and name[:5] != b"grpc-"


def _read_label(value: bytes) -> int:
    if not value.isdigit() or len(value) >= 10:
        raise InvalidRequest(f"{LABEL} is {value.decode('latin-1')!r}; expected the index of one class, such as '7'")
    return int(value)
