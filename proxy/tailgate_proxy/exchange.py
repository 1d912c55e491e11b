"""What a call says of itself: id, deadline and label by its headers, model by its message. Read by pure functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tailgate.deadline import Deadline, earliest, parse_deadline_ms, parse_grpc_timeout
from tailgate.errors import InvalidRequest
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.protocol.envelope import Envelope, read_envelope
from tailgate.protocol.names import DEADLINE_MS, LABEL, REQUEST_ID
from tailgate_proxy.call import Call, Metadata
from tailgate_proxy.config import ProxyConfig

NO_ENVELOPE = Envelope("", "", "")


@dataclass(slots=True)
class Exchange:
    """One call on its way through the proxy, with everything that was read from it so far.

    Attributes:
        call: As it arrived.
        request_id: The client's, or one made here.
        id_made: Whether it was made here, so that the client has to be told.
        client_budget_s: The tightest that the client itself set, or None.
        grpc_budget_s: What ``grpc-timeout`` allows, or None.
        deadline: The earliest of all that have a say; by the headers alone, no model's is known yet.
        label: The right class, if the client knows it.
        fault: What is wrong with the headers; the call is refused with this.
        body: The serialized request, once it is there.
        envelope: Model, version and id of the request; empty before that.
        output: The output that names the class.
    """

    call: Call
    request_id: str
    id_made: bool
    client_budget_s: float | None
    grpc_budget_s: float | None
    deadline: Deadline
    label: int
    fault: InvalidRequest | None
    body: bytes = b""
    envelope: Envelope = NO_ENVELOPE
    output: str = ""


def read_headers(call: Call, config: ProxyConfig, make_id: Callable[[], str]) -> Exchange:
    """Read what the headers say. What is malformed is noted as the fault, and everything else is read all the same.

    Args:
        call: As it arrived.
        config: For deadlines: until the model is known, the longest that any model has holds.
        make_id: Makes an id for a request that has none.
    """
    fault: InvalidRequest | None = None
    grpc_budget_s, metadata_budget_s, label = None, None, UNKNOWN_CLASS
    try:
        grpc_budget_s = None if call.grpc_timeout is None else parse_grpc_timeout(call.grpc_timeout)
    except InvalidRequest as error:
        fault = error
    try:
        metadata_budget_s = _read_budget(call.metadata)
    except InvalidRequest as error:
        fault = fault or error
    try:
        label = _read_label(call.metadata)
    except InvalidRequest as error:
        fault = fault or error
    given = [budget for budget in (grpc_budget_s, metadata_budget_s) if budget is not None]
    client_budget_s = min(given, default=None)
    longest_s = max([config.deadline, *(m.deadline for m in config.models.values() if m.deadline is not None)])
    given_id = next(iter(_values(call.metadata, REQUEST_ID)), "")
    return Exchange(
        call=call,
        request_id=given_id or make_id(),
        id_made=not given_id,
        client_budget_s=client_budget_s,
        grpc_budget_s=grpc_budget_s,
        deadline=earliest(call.arrival_s, client_budget_s, longest_s),
        label=label,
        fault=fault,
    )


def read_body(exchange: Exchange, body: bytes, config: ProxyConfig) -> None:
    """Read what the message says into the exchange: which model, and with it the deadline; maybe an id.

    Raises:
        InvalidRequest: It is no ModelInferRequest.
    """
    envelope = read_envelope(body)
    exchange.body, exchange.envelope = body, envelope
    model = config.models.get(envelope.model)
    if model is not None:
        exchange.output = model.output
    model_budget_s = config.deadline if model is None or model.deadline is None else model.deadline
    if model_budget_s < exchange.deadline.budget_s:
        exchange.deadline = earliest(exchange.call.arrival_s, exchange.client_budget_s, model_budget_s)
    if exchange.id_made and envelope.id:
        exchange.request_id, exchange.id_made = envelope.id, False


def _read_budget(metadata: Metadata) -> float | None:
    values = _values(metadata, DEADLINE_MS)
    if len(values) > 1:
        raise InvalidRequest(f"{DEADLINE_MS} is given {len(values)} times; give it once")
    return parse_deadline_ms(values[0]) if values else None


def _read_label(metadata: Metadata) -> int:
    values = _values(metadata, LABEL)
    if not values:
        return UNKNOWN_CLASS
    text = values[0]
    if len(values) > 1 or not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidRequest(f"{LABEL} is {', '.join(values)!r}; expected the index of one class, such as '7'")
    return int(text)


def _values(metadata: Metadata, name: str) -> list[str]:
    return [value if isinstance(value, str) else value.decode("latin-1") for key, value in metadata if key == name]
