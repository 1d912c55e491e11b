"""What a call says of itself: id, model, deadline, label. Read once, before any decision, by a pure function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tailgate.deadline import Deadline, earliest, parse_deadline_ms
from tailgate.errors import InvalidRequest, TooLarge
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.protocol.envelope import Envelope, read_envelope
from tailgate.protocol.names import DEADLINE_MS, LABEL, REQUEST_ID
from tailgate_proxy.call import Call, Metadata
from tailgate_proxy.config import ProxyConfig


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call on its way through the proxy, with everything that was read from it.

    Attributes:
        call: As it arrived.
        request_id: The client's, or one made here.
        id_made: Whether it was made here, so that the client has to be told.
        envelope: Model, version and id of the request.
        deadline: The earliest of all that have a say.
        label: The right class, if the client knows it.
        output: The output that names the class.
        fault: What is wrong with the call; it is refused with this.
    """

    call: Call
    request_id: str
    id_made: bool
    envelope: Envelope
    deadline: Deadline
    label: int
    output: str
    fault: InvalidRequest | TooLarge | None


def read_exchange(call: Call, config: ProxyConfig, make_id: Callable[[], str]) -> Exchange:
    """Read a call. What is malformed is noted as its fault, and everything else is read all the same.

    Args:
        call: As it arrived.
        config: For the deadlines and outputs of models.
        make_id: Makes an id for a request that has none.
    """
    fault: InvalidRequest | TooLarge | None = None
    envelope, client_budget_s, label = Envelope("", "", ""), None, UNKNOWN_CLASS
    if len(call.body) > config.max_message_mib << 20:
        fault = TooLarge(
            f"the request has {len(call.body)} bytes; this proxy takes {config.max_message_mib} MiB (--max-message-mib)"
        )
    try:
        envelope = read_envelope(call.body)
    except InvalidRequest as error:
        fault = fault or error
    try:
        client_budget_s = _read_budget(call.metadata)
    except InvalidRequest as error:
        fault = fault or error
    try:
        label = _read_label(call.metadata)
    except InvalidRequest as error:
        fault = fault or error
    model = config.models.get(envelope.model)
    model_budget_s = config.deadline if model is None or model.deadline is None else model.deadline
    given_id = next(iter(_values(call.metadata, REQUEST_ID)), "") or envelope.id
    return Exchange(
        call=call,
        request_id=given_id or make_id(),
        id_made=not given_id,
        envelope=envelope,
        deadline=earliest(call.arrival_s, call.grpc_budget_s, client_budget_s, model_budget_s),
        label=label,
        output="" if model is None else model.output,
        fault=fault,
    )


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
