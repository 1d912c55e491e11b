"""Which of a client's fields the upstream is to have: those listed, and never what belongs to one connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tailgate.http2.events import Field, Headers
from tailgate.protocol.names import DEADLINE_MS, LABEL, REQUEST_ID, SHADOW, SLICE

READ: Final = frozenset(
    name.encode() for name in (REQUEST_ID, DEADLINE_MS, LABEL, SLICE, "grpc-timeout", "grpc-encoding")
)
"""What the proxy itself reads."""

_NEVER: Final = (
    READ
    | frozenset(
        b":method :scheme :path :authority user-agent te content-type content-length host "
        b"connection proxy-connection transfer-encoding upgrade keep-alive".split()
    )
    | {SHADOW.encode()}
)
"""What belongs to one connection, is the proxy's own, or is written anew."""

_CREDENTIALS: Final = frozenset((b"authorization", b"proxy-authorization", b"cookie"))
"""What no pattern covers: a client's secrets are for whom it gave them to, and go on only where that is said."""

LIKELY: Final = (
    "traceparent",  # W3C trace context, and the baggage that goes with it
    "tracestate",
    "baggage",
    "b3",  # Zipkin's, in its two forms
    "x-b3-*",
    "uber-trace-id",  # Jaeger's
    "x-cloud-trace-context",
    "x-amzn-trace-id",
    "seldon-model",  # by which Seldon's mesh and KServe's ModelMesh find the model
    "mm-model-id",
    "mm-vmodel-id",
)
"""What an upstream is likely to need: whose trace it is part of, and where a mesh should take it."""


_REMEMBERED: Final = 64


class Forwarding:
    """The list, ready to be asked."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Take names in lower case, and beginnings of names with ``*`` behind them."""
        self._names = frozenset(name.encode() for name in patterns if not name.endswith("*")) - _NEVER
        self._beginnings = tuple(name[:-1].encode() for name in patterns if name.endswith("*"))
        self._found: dict[bytes, bool] = {}  # what `takes` has said

    def takes(self, name: bytes) -> bool:
        """Whether the upstream is to have a field of this name."""
        if name in self._names:
            return True
        return name.startswith(self._beginnings) and name not in _CREDENTIALS and may_be_forwarded(name)

    def of(self, fields: Headers) -> list[Field]:
        """Those of a client's fields that the upstream is to have."""
        found, forwarded = self._found, []
        for field in fields:
            name = field[0]
            takes = found.get(name)
            if takes is None:
                if len(found) >= _REMEMBERED:  # names are the clients' to choose
                    found.clear()
                takes = found[name] = self.takes(name)
            if takes:
                forwarded.append(field)
        return forwarded


def may_be_forwarded(name: bytes) -> bool:
    """Whether there is any list with which a field of this name is forwarded."""
    return name not in _NEVER and name[:5] != b"grpc-"
