"""What the proxy can be configured to do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from tailgate.config import Address, AddressField, Config, DurationField
from tailgate.outcome import Mode
from tailgate.protocol.names import MAX_NAME_LENGTH


def _mode(value: object) -> object:
    if isinstance(value, str):
        try:
            return Mode(value)
        except ValueError:
            raise ValueError("expected 'enforce' or 'observe'") from None
    return value


def _path(value: object) -> object:
    return Path(value) if isinstance(value, str) else value


ModelName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)]


class ModelConfig(Config):
    """What is known of one model.

    Attributes:
        deadline: Seconds it has where the client sets no deadline; None: the proxy's default.
        output: The output that names the class; empty: the first one.
    """

    deadline: DurationField | None = None
    output: str = ""


class ProxyConfig(Config):
    """One proxy.

    Attributes:
        upstream: The V2 gRPC server behind it.
        listen: Where it serves gRPC.
        admin: Where it serves metrics, health and status over HTTP.
        deadline: Seconds a request has where neither client nor model sets a deadline.
        mode: What happens at the deadline.
        models: By name; these have their metrics from the start.
        trace: Folder for the trace; None: no trace.
        max_in_flight: Requests taken at once; more are refused.
        max_message_mib: Largest request or answer, in MiB.
        max_held_mib: Bytes of requests held at once over all clients, in MiB; requests beyond are refused.
        drain_grace: Longest wait for requests in flight when told to stop.
    """

    upstream: AddressField
    deadline: DurationField
    listen: AddressField = Address("127.0.0.1", 9001)
    admin: AddressField = Address("127.0.0.1", 9090)
    mode: Annotated[Mode, BeforeValidator(_mode)] = Mode.ENFORCE
    models: dict[ModelName, ModelConfig] = Field(default_factory=dict)
    trace: Annotated[Path | None, BeforeValidator(_path)] = None
    max_in_flight: Annotated[int, Field(ge=1)] = 1024
    max_message_mib: Annotated[int, Field(ge=1, le=1024)] = 64
    max_held_mib: Annotated[int, Field(ge=1)] = 1024
    drain_grace: DurationField = 10.0
