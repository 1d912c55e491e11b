"""What the proxy can be configured to do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from tailgate.config import Address, AddressField, Config, DurationField
from tailgate.outcome import Mode
from tailgate.protocol.names import MAX_NAME_LENGTH
from tailgate_proxy.event_loop import LoopChoice


def _mode(value: object) -> object:
    if isinstance(value, str):
        try:
            return Mode(value)
        except ValueError:
            raise ValueError("expected 'enforce', 'observe' or 'default-answer'") from None
    return value


def _path(value: object) -> object:
    return Path(value) if isinstance(value, str) else value


def _names(value: object) -> object:
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(","))
    return tuple(value) if isinstance(value, list) else value


def _discovery(value: object) -> object:
    if isinstance(value, str) and not value.endswith(".json"):
        raise ValueError("expected a file whose name ends in .json, since Prometheus reads no other")
    return _path(value)


ModeField = Annotated[Mode, BeforeValidator(_mode)]
PathField = Annotated[Path | None, BeforeValidator(_path)]
ShareField = Annotated[float, Field(gt=0, lt=1)]
SliceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
ModelName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)]


class ModelConfig(Config):
    """What is known of one model.

    Attributes:
        deadline: Seconds it has where the client sets no deadline; None: the proxy's default.
        output: The output that names the class; empty: the first one.
        mode: What happens at the deadline; None: as for other models.
        default_answer: File with the answer of mode default-answer; None: the proxy's.
        objective: Time-critical accuracy it is to have; None: the proxy's.
        floor: Time-critical accuracy under which a single minute is an incident; None: the proxy's.
        canary: Its versions that are on trial, beside those that are not.
    """

    deadline: DurationField | None = None
    output: str = ""
    mode: ModeField | None = None
    default_answer: PathField = None
    objective: ShareField | None = None
    floor: ShareField | None = None
    canary: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()


class ProxyConfig(Config):
    """One proxy.

    Attributes:
        upstream: The V2 gRPC server behind it.
        listen: Where it serves gRPC.
        admin: Where it serves metrics, health and status over HTTP.
        deadline: Seconds a request has where neither client nor model sets a deadline.
        mode: What happens at the deadline.
        default_answer: File with the answer of mode default-answer: a V2 answer in JSON.
        late_share: Share of the calls that run on at the upstream after their deadline (enforce), for their answers to
            be scored; the client never sees them.
        late_patience: How long after its deadline such a call may run.
        models: By name; these have their metrics from the start.
        objective: Time-critical accuracy that models are to have; None: none is set.
        floor: Time-critical accuracy under which a single minute is an incident; None: none is set.
        slices: Groups of requests that are counted apart, by the name that clients give in `tailgate-slice`.
        label_wait: Seconds that a request waits for its label, and a label for its request.
        label_settle: Seconds for which a label that was given afterwards may be corrected, before it is counted.
        window_wait: Seconds after its end for which a minute waits for labels, before it is final.
        confidences: Answers a second whose confidence is looked at, to say what is expected while labels are missing.
        max_predictions: Requests that wait for a label at once; beyond, the oldest are given up.
        max_labels: Labels that wait for their request at once; beyond, the oldest are given up.
        trace: Folder for the trace; None: no trace.
        max_in_flight: Requests taken at once; more are refused.
        max_message_mib: Largest request or answer, in MiB.
        max_held_mib: Bytes of requests held at once over all clients, in MiB; requests beyond are refused.
        max_connections: Clients connected at once; more are turned away.
        max_connections_per_peer: The same from one address.
        handshake_timeout: Seconds a client has to acknowledge our settings, and to complete what it has begun to send.
        stall_timeout: Seconds that answers may wait for a client that reads nothing, or next to nothing.
        idle_timeout: Seconds that a connection may be without a call.
        drain_grace: Longest wait for requests in flight when told to stop.
        tls_cert: The certificate clients are served with, with its chain, in PEM; None: no TLS.
        tls_key: Its private key, in PEM.
        tls_client_ca: Authorities of which a client must show a certificate; None: clients show none.
        upstream_tls: Whether the upstream is called over TLS.
        upstream_ca: Authorities the upstream's certificate must be of; None: the system's.
        upstream_cert: The certificate shown to the upstream, with its chain; None: none.
        upstream_key: Its private key.
        upstream_server_name: The name the upstream's certificate must have; None: the host of `upstream`.
        workers: Processes that share the port. What is limited is limited in each of them.
        discovery: File that tells Prometheus where the metrics are; None: no such file.
        loop: The event loop.
    """

    upstream: AddressField
    deadline: DurationField
    listen: AddressField = Address("127.0.0.1", 9001)
    admin: AddressField = Address("127.0.0.1", 9090)
    mode: ModeField = Mode.ENFORCE
    default_answer: PathField = None
    late_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    late_patience: DurationField = 1.0
    models: dict[ModelName, ModelConfig] = Field(default_factory=dict)
    objective: ShareField | None = None
    floor: ShareField | None = None
    slices: Annotated[tuple[SliceName, ...], BeforeValidator(_names), Field(max_length=32)] = ()
    label_wait: DurationField = 900.0
    label_settle: DurationField = 0.0
    window_wait: DurationField = 10.0
    confidences: Annotated[int, Field(ge=0)] = 100
    max_predictions: Annotated[int, Field(ge=1)] = 50_000
    max_labels: Annotated[int, Field(ge=1)] = 10_000
    trace: Annotated[Path | None, BeforeValidator(_path)] = None
    max_in_flight: Annotated[int, Field(ge=1)] = 1024
    max_message_mib: Annotated[int, Field(ge=1, le=1024)] = 64
    max_held_mib: Annotated[int, Field(ge=1)] = 1024
    max_connections: Annotated[int, Field(ge=1)] = 10_000
    max_connections_per_peer: Annotated[int, Field(ge=1)] = 1000
    handshake_timeout: DurationField = 10.0
    stall_timeout: DurationField = 30.0
    idle_timeout: DurationField = 3600.0
    drain_grace: DurationField = 10.0
    tls_cert: PathField = None
    tls_key: PathField = None
    tls_client_ca: PathField = None
    upstream_tls: bool = False
    upstream_ca: PathField = None
    upstream_cert: PathField = None
    upstream_key: PathField = None
    upstream_server_name: Annotated[str | None, Field(min_length=1)] = None
    workers: Annotated[int, Field(ge=1)] = 1
    discovery: Annotated[Path | None, BeforeValidator(_discovery)] = None
    loop: LoopChoice = "auto"
