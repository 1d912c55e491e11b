"""Names on the wire: methods of the service, and the metadata that Tailgate reads or writes."""

from __future__ import annotations

from typing import Final

SERVICE: Final = "inference.GRPCInferenceService"
MODEL_INFER: Final = f"/{SERVICE}/ModelInfer"

REQUEST_ID: Final = "x-request-id"
"""Identifies a request everywhere: the client's, else the V2 `id`, else made by the proxy and returned in trailers."""

DEADLINE_MS: Final = "tailgate-deadline-ms"
"""A deadline in milliseconds from arrival, beside or instead of gRPC's own `grpc-timeout`."""

LABEL: Final = "tailgate-label"
"""The index of the right class, where the client knows it. Read by the proxy and not handed on."""

SLICE: Final = "tailgate-slice"
"""Metadata: the group of requests this one belongs to, one of those that the proxy is configured with."""

SHADOW: Final = "tailgate-shadow"
"""Metadata of a copy: tells the upstream that nobody waits for its answer. Clients cannot say it."""

OUTCOME: Final = "tailgate-outcome"
"""Trailer of every answer that is not OK: which of the closed set of outcomes this request had."""

MAX_NAME_LENGTH: Final = 64
"""Longest model or version name that becomes a metric label or a name in a trace."""
