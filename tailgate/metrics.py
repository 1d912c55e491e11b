"""Every metric Tailgate exports: its name, what it means, its labels. Nothing is named anywhere else.

A `Collector` turns the books into samples on demand, so that every count of a scrape is of one instant: in each scrape
``tailgate_received_total`` equals the sum of ``tailgate_requests_total`` and ``tailgate_in_flight``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from tailgate import __version__
from tailgate.ledger import Histogram, Ledger


@dataclass(frozen=True)
class Definition:
    """One metric.

    Attributes:
        name: As exported, without the suffix that its kind adds.
        kind: The Prometheus type.
        help: What exactly is measured, and its unit.
        labels: Names of its labels; the values come from configuration or from a closed set.
    """

    name: str
    kind: type[Metric]
    help: str
    labels: tuple[str, ...] = ()

    def family(self) -> Any:
        """An empty family to add samples to."""
        return self.kind(self.name, self.help, labels=self.labels)  # type: ignore[call-arg]  # base class lacks labels


_MODEL = ("model", "version")

BUILD = Definition("tailgate_build", InfoMetricFamily, "The version that is running.")
RECEIVED = Definition("tailgate_received", CounterMetricFamily, "Requests that arrived.")
IN_FLIGHT = Definition("tailgate_in_flight", GaugeMetricFamily, "Requests that have no outcome yet.")
REQUESTS = Definition(
    "tailgate_requests",
    CounterMetricFamily,
    "Requests that ended, by outcome and by whether the answer was right.",
    (*_MODEL, "outcome", "verdict"),
)
LABELLED = Definition(
    "tailgate_labelled_requests",
    CounterMetricFamily,
    "Requests that ended and whose label is known, answered or not. Time-critical accuracy is the number of requests "
    'with outcome="ok" and verdict="right", divided by this.',
    _MODEL,
)
LATENCY = Definition(
    "tailgate_latency_seconds",
    HistogramMetricFamily,
    "Seconds from arrival to the end of a request, however it ended.",
    _MODEL,
)
RIGHT_LATENCY = Definition(
    "tailgate_right_latency_seconds",
    HistogramMetricFamily,
    "Seconds from arrival to a right answer, late ones included. Divided by labelled requests: quality at each bucket.",
    _MODEL,
)
DEADLINE = Definition(
    "tailgate_deadline_seconds", GaugeMetricFamily, "The deadline a model has where the client sets none.", ("model",)
)
UPSTREAM_UP = Definition(
    "tailgate_upstream_up", GaugeMetricFamily, "1 while the upstream answers that it is ready, else 0.", ("upstream",)
)
TRACE_RECORDS = Definition(
    "tailgate_trace_records",
    CounterMetricFamily,
    "Observations written to the trace, or lost to the disk.",
    ("result",),
)
LOOP_LAG = Definition(
    "tailgate_event_loop_lag_seconds",
    HistogramMetricFamily,
    "How much later than asked the event loop woke. While it stalls, requests can end that nobody here sees.",
)
CONNECTIONS = Definition("tailgate_connections", GaugeMetricFamily, "Clients that are connected.")
CONNECTION_ENDS = Definition(
    "tailgate_connection_ends",
    CounterMetricFamily,
    "Connections of clients that ended, by reason: what is neither client nor stopped was ended by one of the limits.",
    ("reason",),
)
HELD = Definition(
    "tailgate_held_bytes", GaugeMetricFamily, "Bytes of requests and answers that wait in the proxy for room elsewhere."
)
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

DEFINITIONS = (
    BUILD,
    RECEIVED,
    IN_FLIGHT,
    REQUESTS,
    LABELLED,
    LATENCY,
    RIGHT_LATENCY,
    DEADLINE,
    UPSTREAM_UP,
    TRACE_RECORDS,
    LOOP_LAG,
    CONNECTIONS,
    CONNECTION_ENDS,
    HELD,
    TLS_EXPIRY,
    TLS_RELOADS,
    TLS_RELOAD_FAILURES,
    TLS_HANDSHAKE_FAILURES,
)


@dataclass(frozen=True)
class TlsCounts:
    """What has happened on one side of TLS.

    Attributes:
        reloads: Times that new certificate files were put to use.
        reload_failures: Looks that found new ones unusable.
        handshake_failures: Handshakes that failed.
    """

    reloads: int
    reload_failures: int
    handshake_failures: int


@dataclass(frozen=True)
class Gauges:
    """What a scrape shows beside the books.

    Attributes:
        deadlines_s: By model.
        upstreams: Whether each answers that it is ready, by address.
        trace_written: Observations in the trace.
        trace_dropped: Observations lost to the disk.
        loop_lag: Of the event loop.
        connections: Clients that are connected.
        connection_ends: How connections ended, by reason.
        held_bytes: What waits in the proxy.
        certificate_expiries_s: When what is in use for TLS expires, in seconds since the epoch, by role.
        tls: What has happened to TLS, by side; those without it are missing.
    """

    deadlines_s: dict[str, float]
    upstreams: dict[str, bool]
    trace_written: int
    trace_dropped: int
    loop_lag: Histogram
    connections: int = 0
    connection_ends: Mapping[str, int] = field(default_factory=dict)
    held_bytes: int = 0
    certificate_expiries_s: dict[str, float] = field(default_factory=dict)
    tls: dict[str, TlsCounts] = field(default_factory=dict)


class Collector:
    """Samples of the books and gauges, all of the instant at which `collect` runs to its end."""

    def __init__(self, ledger: Ledger, gauges: Callable[[], Gauges]) -> None:
        """Collect from this ledger, and from what `gauges` returns then."""
        self._ledger = ledger
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """Every metric of `DEFINITIONS`, in that order."""
        ledger, gauges = self._ledger, self._gauges()
        yield _with(BUILD, ((), {"version": __version__}))
        yield _with(RECEIVED, ((), ledger.received))
        yield _with(IN_FLIGHT, ((), ledger.in_flight))
        yield _with(
            REQUESTS,
            *(
                ((model, version, outcome.label, verdict.value), count)
                for (model, version), books in ledger.models.items()
                for (outcome, verdict), count in books.outcomes.items()
            ),
        )
        yield _with(LABELLED, *((key, books.labelled) for key, books in ledger.models.items()))
        yield _with_histograms(LATENCY, *((key, books.latency) for key, books in ledger.models.items()))
        yield _with_histograms(RIGHT_LATENCY, *((key, books.right_latency) for key, books in ledger.models.items()))
        yield _with(DEADLINE, *(((model,), deadline_s) for model, deadline_s in gauges.deadlines_s.items()))
        yield _with(UPSTREAM_UP, *(((address,), int(up)) for address, up in gauges.upstreams.items()))
        yield _with(TRACE_RECORDS, (("written",), gauges.trace_written), (("dropped",), gauges.trace_dropped))
        yield _with_histograms(LOOP_LAG, ((), gauges.loop_lag))
        yield _with(CONNECTIONS, ((), gauges.connections))
        yield _with(CONNECTION_ENDS, *(((reason,), count) for reason, count in gauges.connection_ends.items()))
        yield _with(HELD, ((), gauges.held_bytes))
        yield _with(TLS_EXPIRY, *(((role,), expiry_s) for role, expiry_s in gauges.certificate_expiries_s.items()))
        yield _with(TLS_RELOADS, *(((side,), counts.reloads) for side, counts in gauges.tls.items()))
        yield _with(TLS_RELOAD_FAILURES, *(((side,), counts.reload_failures) for side, counts in gauges.tls.items()))
        yield _with(
            TLS_HANDSHAKE_FAILURES, *(((side,), counts.handshake_failures) for side, counts in gauges.tls.items())
        )


class Snapshot:
    """Metrics that have been collected: what a renderer takes for a registry, on any thread."""

    def __init__(self, collector: Collector) -> None:
        """Collect now, on the thread that owns the ledger."""
        self._metrics = list(collector.collect())

    def collect(self) -> list[Metric]:
        """The metrics as they were."""
        return self._metrics


def _with(definition: Definition, *samples: tuple[tuple[str, ...], Any]) -> Metric:
    family = definition.family()
    for labels, value in samples:
        family.add_metric(labels, value)
    metric: Metric = family
    return metric


def _with_histograms(definition: Definition, *samples: tuple[tuple[str, ...], Histogram]) -> Metric:
    family = definition.family()
    for labels, histogram in samples:
        bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
        family.add_metric(labels, list(zip(bounds, histogram.cumulative(), strict=True)), histogram.sum)
    metric: Metric = family
    return metric
