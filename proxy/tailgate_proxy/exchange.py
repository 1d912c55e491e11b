"""What a call says of itself: id, deadline and label by its headers, model by its message. Read by pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tailgate.deadline import Deadline, earliest, parse_deadline_ms, parse_grpc_timeout
from tailgate.errors import InvalidRequest
from tailgate.http2.events import Field, Headers
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.protocol.envelope import NO_ENVELOPE, Envelope
from tailgate.protocol.names import DEADLINE_MS, LABEL, REQUEST_ID, SLICE
from tailgate_proxy.call import Arrival, Reply
from tailgate_proxy.forwarding import READ
from tailgate_proxy.routes import Route, Routes

_REQUEST_ID: Final = REQUEST_ID.encode()
_DEADLINE_MS: Final = DEADLINE_MS.encode()
_LABEL: Final = LABEL.encode()
_TIMEOUT: Final = b"grpc-timeout"
_ENCODING: Final = b"grpc-encoding"
_SLICE: Final = SLICE.encode()
_AUTHORIZATION: Final = b"authorization"
_NO_FIELDS: Final[Mapping[bytes, bytes]] = {}


@dataclass(slots=True, init=False)  # see `call` for why
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
        told_until_s: The end of the time that the upstream was told it has; infinite where it was told nothing.
        authorization: What it presents to be let in; empty where that is nothing.
        fields: Its header fields by their names, for whoever routes by them.
        render: Puts an answer into the form that the client reads, before its outcome is decided, or says why that
            cannot be; None: the form it has already.
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
    envelope: Envelope
    admitted: bool
    due: bool
    begun_s: float
    answered_s: float
    told_until_s: float
    authorization: bytes
    fields: Mapping[bytes, bytes]
    render: Callable[[Reply], Reply] | None

    def __init__(
        self,
        *,
        arrival_s: float,
        arrival_unix_s: float,
        forwarded: list[Field],
        encoding: str,
        request_id: str,
        id_made: bool,
        client_budget_s: float | None,
        grpc_budget_s: float | None,
        deadline: Deadline,
        label: int,
        slice: str,  # noqa: A002 — as everywhere else
        fault: InvalidRequest | None,
        route: Route,
        envelope: Envelope = NO_ENVELOPE,
        authorization: bytes = b"",
        fields: Mapping[bytes, bytes] = _NO_FIELDS,
    ) -> None:
        """One that has just arrived."""
        self.arrival_s = arrival_s
        self.arrival_unix_s = arrival_unix_s
        self.forwarded = forwarded
        self.encoding = encoding
        self.request_id = request_id
        self.id_made = id_made
        self.client_budget_s = client_budget_s
        self.grpc_budget_s = grpc_budget_s
        self.deadline = deadline
        self.label = label
        self.slice = slice
        self.fault = fault
        self.route = route
        self.envelope = envelope
        self.admitted = self.due = False
        self.begun_s = self.answered_s = 0.0
        self.told_until_s = math.inf
        self.authorization = authorization
        self.fields = fields
        self.render = None


def read_headers(arrival: Arrival, routes: Routes, make_id: Callable[[], str]) -> Exchange:
    """Read what the headers say. What is malformed is noted as the fault, and everything else is read all the same.

    Args:
        arrival: The call as it arrived.
        routes: For deadlines: until the model is known, the longest that any has holds.
        make_id: Makes an id for a request that has none.
    """
    fields = arrival.fields
    own, fault = arrival.by_name, None
    authorization = own.get(_AUTHORIZATION, b"")
    if len(own) < len(fields):
        authorization = authorization_of(fields)
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
    return Exchange(
        arrival_s=arrival.at_s,
        arrival_unix_s=arrival.unix_s,
        forwarded=routes.forwarding.of(fields),
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
        authorization=authorization,
        fields=own,
    )


def know_model(exchange: Exchange, envelope: Envelope, routes: Routes) -> None:
    """Take in what the message says: which model, and with it the route and the deadline; maybe an id."""
    exchange.envelope = envelope
    if exchange.id_made and envelope.id:
        exchange.request_id, exchange.id_made = envelope.id, False
    route = routes.to(envelope, exchange.request_id, exchange.fields)
    exchange.route = route
    if route.deadline_s < exchange.deadline.budget_s:
        exchange.deadline = earliest(exchange.arrival_s, exchange.client_budget_s, route.deadline_s)


def know_rest(exchange: Exchange, envelope: Envelope) -> None:
    """Take in what the message said behind its tensors, when the call was under way: an id may stand there.

    Raises:
        InvalidRequest: It names another model or version, by which the upstream would go: what had been decided, and
            what is counted, was by the first.
    """
    known = exchange.envelope
    if (envelope.model, envelope.version) != (known.model, known.version):
        raise InvalidRequest(
            f"the request is for model {known.model!r}, version {known.version!r}, and behind its tensors for "
            f"{envelope.model!r}, version {envelope.version!r}; say it once, before them"
        )
    if envelope.id != known.id:
        exchange.envelope = known._replace(id=envelope.id)


def _given_twice(fields: Headers) -> InvalidRequest | None:
    """What is wrong where one of the proxy's own fields comes more than once."""
    names = [name for name, _ in fields]
    for name in READ - {_REQUEST_ID}:
        if names.count(name) > 1:
            return InvalidRequest(f"{name.decode()} is given more than once; give it once")
    return None


def authorization_of(fields: Headers) -> bytes:
    """What a client presents to be let in. Several make none: with commas between them they are no token."""
    return b", ".join([value for name, value in fields if name == _AUTHORIZATION])


def _read_label(value: bytes) -> int:
    if not value.isdigit() or len(value) >= 10:
        raise InvalidRequest(f"{LABEL} is {value.decode('latin-1')!r}; expected the index of one class, such as '7'")
    return int(value)
