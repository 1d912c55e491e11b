"""Every metric Tailgate exports: its name, what it means, its labels. Nothing is named anywhere else.

Must not live here: where their values come from (`snapshot.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric


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
LABELLED_SQUARES = Definition(
    "tailgate_labelled_weight_squares",
    CounterMetricFamily,
    "The squares of these weights. The squared sum of weights over the sum of squares is how many labels of equal "
    "weight they are worth (Kish): the n of every bound on accuracy.",
    _SERIES,
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
    "are in tailgate_labels_pending, and those handed_over to another worker count there, too.",
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
EXPECTED_LOOKED_AT = Definition(
    "tailgate_expected_looked_at",
    CounterMetricFamily,
    "Answers in time whose own confidence was looked at, and of which it is known how often such answers are right.",
    _SERIES,
)
EXPECTED_ANSWERS = Definition(
    "tailgate_expected_answers",
    CounterMetricFamily,
    "Answers in time that those stand for, of which they were chosen by chance.",
    _SERIES,
)
EXPECTED_RIGHT = Definition(
    "tailgate_expected_right",
    CounterMetricFamily,
    "How many of these are expected to be right. Divided by them, times the share in time: time-critical accuracy as "
    "it is to be expected while labels are missing.",
    _SERIES,
)
EXPECTED_SPREAD = Definition(
    "tailgate_expected_spread",
    CounterMetricFamily,
    "Standard errors of their probabilities of being right, added up. Divided by the answers: the standard error of "
    "the expected share, beside that of chance.",
    _SERIES,
)
RECONCILED_ANSWERS = Definition(
    "tailgate_reconciled_answers",
    CounterMetricFamily,
    "Answers of which first something was expected and then the label came, by weight; counted when all labels of "
    "their minute can be there.",
    ("model", "version"),
)
RECONCILED_EXPECTED = Definition(
    "tailgate_reconciled_expected_right",
    CounterMetricFamily,
    "How many of these had been expected to be right.",
    ("model", "version"),
)
RECONCILED_RIGHT = Definition(
    "tailgate_reconciled_right", CounterMetricFamily, "How many of these were right.", ("model", "version")
)
EXPECTED_ERROR = Definition(
    "tailgate_expected_error_ratio",
    HistogramMetricFamily,
    "How far the expected share of right answers was from the one that came true, minute by minute.",
    ("model", "version"),
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
    "Observations written to the trace or lost to the disk, and labels that came later and were lost to it.",
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
    LABELLED_SQUARES,
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
    EXPECTED_LOOKED_AT,
    EXPECTED_ANSWERS,
    EXPECTED_RIGHT,
    EXPECTED_SPREAD,
    RECONCILED_ANSWERS,
    RECONCILED_EXPECTED,
    RECONCILED_RIGHT,
    EXPECTED_ERROR,
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
