"""TLS and tokens: what is in use, until when, and who was not let in."""

from __future__ import annotations

from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from tailgate.metrics.definition import Definition

TLS_EXPIRY = Definition(
    "tailgate_tls_certificate_expiry_timestamp_seconds",
    GaugeMetricFamily,
    "When the certificate in use for this role expires, in seconds since the epoch; for a bundle of authorities, when "
    "its last one does.",
    ("role",),
)
TLS_RELOADS = Definition(
    "tailgate_tls_reloads", CounterMetricFamily, "Times that new certificate files were put to use.", ("side",)
)
TLS_RELOAD_FAILURES = Definition(
    "tailgate_tls_reload_failures",
    CounterMetricFamily,
    "Looks at new certificate files that found them unusable, and left those in use that were; goes on while they are.",
    ("side",),
)
TLS_HANDSHAKE_FAILURES = Definition(
    "tailgate_tls_handshake_failures",
    CounterMetricFamily,
    "TLS handshakes that failed, with clients (server) or with the upstream: no such connection carries a request.",
    ("side",),
)
ACCESS_REFUSALS = Definition(
    "tailgate_access_refusals",
    CounterMetricFamily,
    "Requests on any port that were not let in, by the scope they needed and the reason: missing (no token), unknown "
    "(none of ours), scope (not good for this). Those for inference are in tailgate_requests_total as well.",
    ("scope", "reason"),
)
TOKEN_RELOADS = Definition(
    "tailgate_token_reloads", CounterMetricFamily, "Times that a new file of tokens was put to use."
)
TOKEN_RELOAD_FAILURES = Definition(
    "tailgate_token_reload_failures",
    CounterMetricFamily,
    "Looks at a new file of tokens that found it unusable, and left the tokens in use that were; goes on while it is.",
)

DEFINITIONS: Final = (
    TLS_EXPIRY,
    TLS_RELOADS,
    TLS_RELOAD_FAILURES,
    TLS_HANDSHAKE_FAILURES,
    ACCESS_REFUSALS,
    TOKEN_RELOADS,
    TOKEN_RELOAD_FAILURES,
)
