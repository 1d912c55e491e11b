"""Every metric Tailgate exports: its name, what it means, its labels. Nothing is named anywhere else.

A `Snapshot` copies the books, so that every count of a scrape is of one instant: in each scrape
``tailgate_received_total`` equals the sum of ``tailgate_requests_total`` and ``tailgate_in_flight``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from tailgate import __version__
from tailgate.ledger import Histogram, Ledger, Series


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


_SERIES = ("model", "version", "slice")

BUILD = Definition("tailgate_build", InfoMetricFamily, "The version that is running.")
RECEIVED = Definition("tailgate_received", CounterMetricFamily, "Requests that arrived.")
IN_FLIGHT = Definition("tailgate_in_flight", GaugeMetricFamily, "Requests that have no outcome yet.")
REQUESTS = Definition(
    "tailgate_requests",
    CounterMetricFamily,
    'Requests that ended, by outcome. In time is outcome="ok".',
    (*_SERIES, "outcome"),
)
DUE = Definition(
    "tailgate_due_requests",
    CounterMetricFamily,
    "Requests that ended, or whose deadline passed while they went on, whichever came first. The share in time is a "
    "share of these.",
    _SERIES,
)
LABELLED = Definition(
    "tailgate_labelled_requests",
    CounterMetricFamily,
    "Requests that ended and whose label is known and settled, answered or not, by whether the answer was right. "
    'Where every request is labelled, time-critical accuracy is the share with outcome="ok" and verdict="right".',
    (*_SERIES, "outcome", "verdict"),
)
LABELLED_WEIGHT = Definition(
    "tailgate_labelled_weight",
    CounterMetricFamily,
    "The same, each counted with its weight: one over the probability with which it was chosen to be labelled.",
    (*_SERIES, "outcome", "verdict"),
)
LATENCY = Definition(
    "tailgate_latency_seconds",
    HistogramMetricFamily,
    "Seconds from arrival to the end of a request, however it ended.",
    _SERIES,
)
RIGHT_LATENCY = Definition(
    "tailgate_right_latency_seconds",
    HistogramMetricFamily,
    "Seconds from arrival to a right answer, late ones included. Divided by labelled requests: quality at each bucket.",
    _SERIES,
)
RIGHT_RATIO = Definition(
    "tailgate_right_deadline_ratio",
    HistogramMetricFamily,
    "Latency of a right answer over the time it had. Divided by labelled requests: quality if all had so many times "
    "the time.",
    _SERIES,
)
STAGES = Definition(
    "tailgate_stage_seconds",
    HistogramMetricFamily,
    "Seconds that answered requests spent in each stage: forward (until the call to the upstream began), upstream "
    "(until its answer was complete), reply (until it was booked). All but upstream is the proxy's own doing.",
    ("stage",),
)
OBJECTIVE = Definition(
    "tailgate_objective_ratio", GaugeMetricFamily, "The time-critical accuracy a model is to have.", ("model",)
)
FLOOR = Definition(
    "tailgate_window_floor_ratio",
    GaugeMetricFamily,
    "The time-critical accuracy under which a single minute is an incident.",
    ("model",),
)
MODEL_INFO = Definition(
    "tailgate_model_info",
    GaugeMetricFamily,
    "1 for every version of a model that is known, with its role: stable or canary.",
    ("model", "version", "role"),
)
LABELS = Definition(
    "tailgate_labels",
    CounterMetricFamily,
    "Labels that were given for requests that have ended or are still unknown, by what became of them; those that wait "
    "are in tailgate_labels_pending.",
    ("result",),
)
LABELS_PENDING = Definition("tailgate_labels_pending", GaugeMetricFamily, "Labels whose request is not known yet.")
PREDICTIONS_PENDING = Definition(
    "tailgate_predictions_pending", GaugeMetricFamily, "Requests that have ended and may still be labelled."
)
PREDICTIONS_UNLABELLED = Definition(
    "tailgate_predictions_unlabelled",
    CounterMetricFamily,
    "Requests that were given up waiting for a label: too old, or too many.",
    ("reason",),
)
LABEL_DELAY = Definition(
    "tailgate_label_delay_seconds",
    HistogramMetricFamily,
    "Seconds from a request's arrival to the label that was given for it afterwards.",
    ("model",),
)
DETECTOR_STATISTIC = Definition(
    "tailgate_detector_statistic",
    GaugeMetricFamily,
    "Evidence that quality has fallen under its objective, as the e-CUSUM detector counts it; 1 is none.",
    _SERIES,
)
DETECTOR_THRESHOLD = Definition(
    "tailgate_detector_threshold", GaugeMetricFamily, "The evidence at which the detector alarms.", _SERIES
)
DETECTOR_ALARMS = Definition("tailgate_detector_alarms", CounterMetricFamily, "Alarms of the detector.", _SERIES)
GC_PAUSE = Definition("tailgate_gc_pause_seconds", HistogramMetricFamily, "Pauses for Python's garbage collector.")
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
    DUE,
    LABELLED,
    LABELLED_WEIGHT,
    LATENCY,
    RIGHT_LATENCY,
    RIGHT_RATIO,
    STAGES,
    LABELS,
    LABELS_PENDING,
    LABEL_DELAY,
    PREDICTIONS_PENDING,
    PREDICTIONS_UNLABELLED,
    MODEL_INFO,
    DEADLINE,
    OBJECTIVE,
    FLOOR,
    DETECTOR_STATISTIC,
    DETECTOR_THRESHOLD,
    DETECTOR_ALARMS,
    UPSTREAM_UP,
    TRACE_RECORDS,
    LOOP_LAG,
    GC_PAUSE,
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
class LabelCounts:
    """What has happened to labels.

    Attributes:
        results: Labels by what became of them; every result is there from the start.
        pending: Labels whose request is not known yet.
        delays: From a request's arrival to its label, by model.
        predictions_pending: Requests that may still be labelled.
        unlabelled: Requests that were given up waiting for a label, by reason.
    """

    results: Mapping[str, int]
    pending: int
    delays: Mapping[str, Histogram]
    predictions_pending: int
    unlabelled: Mapping[str, int]


@dataclass(frozen=True)
class DetectorState:
    """How a detector stands: its evidence, the evidence at which it alarms, how often it has."""

    statistic: float
    threshold: float
    alarms: int


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
        objectives: By model.
        floors: By model.
        roles: By model and version.
        labels: What has happened to labels; None where none are taken.
        detectors: By series; those without an objective are missing.
        gc_pauses: Of the garbage collector.
    """

    deadlines_s: Mapping[str, float] = field(default_factory=dict)
    upstreams: Mapping[str, bool] = field(default_factory=dict)
    trace_written: int = 0
    trace_dropped: int = 0
    loop_lag: Histogram | None = None
    connections: int = 0
    connection_ends: Mapping[str, int] = field(default_factory=dict)
    held_bytes: int = 0
    certificate_expiries_s: Mapping[str, float] = field(default_factory=dict)
    tls: Mapping[str, TlsCounts] = field(default_factory=dict)
    objectives: Mapping[str, float] = field(default_factory=dict)
    floors: Mapping[str, float] = field(default_factory=dict)
    roles: Mapping[tuple[str, str], str] = field(default_factory=dict)
    labels: LabelCounts | None = None
    detectors: Mapping[Series, DetectorState] = field(default_factory=dict)
    gc_pauses: Histogram | None = None


class Snapshot:
    """All counts of one instant: what a renderer takes for a registry, on any thread.

    Copying the counts takes a fraction of a millisecond; making samples of them takes many, and is done only when they
    are asked for.
    """

    def __init__(self, ledger: Ledger, gauges: Gauges) -> None:
        """Copy the counts now, on the thread that owns them; the histograms among the gauges are copied as well."""
        self._ledger = ledger.copy()
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """Every metric of `DEFINITIONS`, in that order."""
        yield from _of_requests(self._ledger)
        yield from _of_labels(self._gauges.labels)
        yield from _of_objectives(self._gauges)
        yield from _of_proxy(self._gauges)


def _of_requests(ledger: Ledger) -> Iterator[Metric]:
    series = ledger.series.items()
    yield _with(BUILD, ((), {"version": __version__}))
    yield _with(RECEIVED, ((), ledger.received))
    yield _with(IN_FLIGHT, ((), ledger.in_flight))
    yield _with(
        REQUESTS,
        *(((*key, outcome.label), count) for key, books in series for outcome, count in books.outcomes.items()),
    )
    yield _with(DUE, *((key, books.due) for key, books in series))
    for definition, name in ((LABELLED, "labelled"), (LABELLED_WEIGHT, "weight")):
        yield _with(
            definition,
            *(
                ((*key, outcome.label, verdict.value), count)
                for key, books in series
                for (outcome, verdict), count in getattr(books, name).items()
            ),
        )
    yield _with_histograms(LATENCY, *((key, books.latency) for key, books in series))
    yield _with_histograms(RIGHT_LATENCY, *((key, books.right_latency) for key, books in series))
    yield _with_histograms(RIGHT_RATIO, *((key, books.right_ratio) for key, books in series))
    stages = (("forward", ledger.forward), ("upstream", ledger.upstream), ("reply", ledger.reply))
    yield _with_histograms(STAGES, *(((stage,), histogram) for stage, histogram in stages))


def _of_labels(labels: LabelCounts | None) -> Iterator[Metric]:
    counts = labels or LabelCounts({}, 0, {}, 0, {})
    yield _with(LABELS, *(((result,), count) for result, count in counts.results.items()))
    yield _with(LABELS_PENDING, ((), counts.pending))
    yield _with_histograms(LABEL_DELAY, *(((model,), delays) for model, delays in counts.delays.items()))
    yield _with(PREDICTIONS_PENDING, ((), counts.predictions_pending))
    yield _with(PREDICTIONS_UNLABELLED, *(((reason,), count) for reason, count in counts.unlabelled.items()))


def _of_objectives(gauges: Gauges) -> Iterator[Metric]:
    yield _with(MODEL_INFO, *(((*key, role), 1) for key, role in gauges.roles.items()))
    yield _with(DEADLINE, *(((model,), deadline_s) for model, deadline_s in gauges.deadlines_s.items()))
    yield _with(OBJECTIVE, *(((model,), objective) for model, objective in gauges.objectives.items()))
    yield _with(FLOOR, *(((model,), floor) for model, floor in gauges.floors.items()))
    detectors = gauges.detectors.items()
    yield _with(DETECTOR_STATISTIC, *((key, state.statistic) for key, state in detectors))
    yield _with(DETECTOR_THRESHOLD, *((key, state.threshold) for key, state in detectors))
    yield _with(DETECTOR_ALARMS, *((key, state.alarms) for key, state in detectors))


def _of_proxy(gauges: Gauges) -> Iterator[Metric]:
    yield _with(UPSTREAM_UP, *(((address,), int(up)) for address, up in gauges.upstreams.items()))
    yield _with(TRACE_RECORDS, (("written",), gauges.trace_written), (("dropped",), gauges.trace_dropped))
    for definition, histogram in ((LOOP_LAG, gauges.loop_lag), (GC_PAUSE, gauges.gc_pauses)):
        yield _with_histograms(definition, *(() if histogram is None else (((), histogram),)))
    yield _with(CONNECTIONS, ((), gauges.connections))
    yield _with(CONNECTION_ENDS, *(((reason,), count) for reason, count in gauges.connection_ends.items()))
    yield _with(HELD, ((), gauges.held_bytes))
    yield _with(TLS_EXPIRY, *(((role,), expiry_s) for role, expiry_s in gauges.certificate_expiries_s.items()))
    yield _with(TLS_RELOADS, *(((side,), counts.reloads) for side, counts in gauges.tls.items()))
    yield _with(TLS_RELOAD_FAILURES, *(((side,), counts.reload_failures) for side, counts in gauges.tls.items()))
    yield _with(TLS_HANDSHAKE_FAILURES, *(((side,), counts.handshake_failures) for side, counts in gauges.tls.items()))


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
