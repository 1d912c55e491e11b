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
_MEMBER = ("pool", "upstream")

ADMISSION_LIMIT = Definition(
    "tailgate_admission_limit",
    GaugeMetricFamily,
    "Requests that may be at an upstream at once, now. Where it is adaptive, it moves to and fro a little under load.",
    ("pool",),
)
ADMISSION_IN_FLIGHT = Definition(
    "tailgate_admission_in_flight", GaugeMetricFamily, "Requests that are at an upstream.", ("pool",)
)
ADMISSION_WAITING = Definition(
    "tailgate_admission_waiting", GaugeMetricFamily, "Requests that wait for their turn at an upstream.", ("pool",)
)
ADMISSION_BOUND = Definition(
    "tailgate_admission_waiting_bound",
    GaugeMetricFamily,
    "How many may wait: as many as the upstream can answer within the longest deadline. Missing until that is known.",
    ("pool",),
)
ADMISSION_WAIT = Definition(
    "tailgate_admission_wait_seconds",
    HistogramMetricFamily,
    "Seconds that requests waited for their turn, of those that had it; 0 where there was room at once.",
    ("pool",),
)
ADMISSION_TRIED = Definition(
    "tailgate_admission_tried",
    CounterMetricFamily,
    "Requests that would have been refused as too late, and were tried, in nobody's place: in_time were answered in "
    "time, and would have been false refusals; in_vain were not. The first over the sum: the share of false refusals.",
    ("pool", "result"),
)
ADMISSION_WOULD_REFUSE = Definition(
    "tailgate_admission_would_refuse",
    CounterMetricFamily,
    "Requests in mode observe that in another mode would have been refused as too late.",
    ("pool",),
)
ADMISSION_STRICTNESS = Definition(
    "tailgate_admission_strictness",
    GaugeMetricFamily,
    "How strictly requests are refused as too late: 1 as the times of the upstream say, less the more of such refusals "
    "prove false, 0 not at all on arrival.",
    ("pool",),
)
UPSTREAM_EJECTED = Definition(
    "tailgate_upstream_ejected",
    GaugeMetricFamily,
    "1 while an upstream is left out because its calls fail, though it may say that it is ready, else 0.",
    _MEMBER,
)
UPSTREAM_EJECTIONS = Definition(
    "tailgate_upstream_ejections", CounterMetricFamily, "Times that an upstream was left out for that.", _MEMBER
)
UPSTREAM_OUTSTANDING = Definition(
    "tailgate_upstream_outstanding",
    GaugeMetricFamily,
    "Calls to an upstream that have not ended, also those that nobody waits for and that may not be cancelled.",
    _MEMBER,
)
UPSTREAM_ATTEMPTS = Definition(
    "tailgate_upstream_attempts",
    CounterMetricFamily,
    "Calls to an upstream that have ended, by how. A request that was tried again has several.",
    (*_MEMBER, "result"),
)
UPSTREAM_REPEATS = Definition(
    "tailgate_upstream_repeats",
    CounterMetricFamily,
    "Calls to an upstream that were made because an earlier one for the same request had failed, there or elsewhere.",
    _MEMBER,
)
UPSTREAM_HEDGES = Definition(
    "tailgate_upstream_hedges",
    CounterMetricFamily,
    "Calls to an upstream that were made because another one had not answered the same request yet.",
    _MEMBER,
)
UPSTREAM_HEDGES_WON = Definition(
    "tailgate_upstream_hedges_won",
    CounterMetricFamily,
    "Such calls that were answered first; the call that was slower is then overtaken.",
    _MEMBER,
)
UNHEDGED = Definition(
    "tailgate_unhedged",
    CounterMetricFamily,
    "Requests that were given to nobody else although their call took longer than nearly all, by why: alone (nobody "
    "else is in use), busy (no room that nobody needs), too_late (for another, too), budget.",
    ("pool", "reason"),
)
RETRIES_REFUSED = Definition(
    "tailgate_retries_refused",
    CounterMetricFamily,
    "Requests that could have been tried again, and were not for want of a budget.",
    ("pool",),
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
RESERVE = Definition(
    "tailgate_budget_reserve_seconds",
    GaugeMetricFamily,
    "How much less an upstream is told than a request has left, for the way of its answer back through the proxy; for "
    "no request more than a tenth of what is left.",
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
RELOAD_SUCCESS = Definition(
    "tailgate_config_reload_success",
    GaugeMetricFamily,
    "1 while the configuration in use is the one that was asked for last, 0 after one that could not be used.",
)
RELOAD_TIME = Definition(
    "tailgate_config_reload_success_timestamp_seconds",
    GaugeMetricFamily,
    "When the configuration in use was put to use, in seconds since the epoch.",
)
RELOADS = Definition(
    "tailgate_config_reloads",
    CounterMetricFamily,
    "Times that the configuration was read again, by whether it was put to use (success) or left the old one in use "
    "(failure).",
    ("result",),
)
SHADOW_IN_FLIGHT = Definition(
    "tailgate_shadow_in_flight", GaugeMetricFamily, "Copies of requests, at another upstream, that have not ended."
)
SHADOW_REQUESTS = Definition(
    "tailgate_shadow_requests",
    CounterMetricFamily,
    "Copies that ended, by outcome, as if they had been the clients' own; they count nowhere else. In time is "
    'outcome="ok".',
    (*_SERIES, "outcome"),
)
SHADOW_LABELLED = Definition(
    "tailgate_shadow_labelled_requests",
    CounterMetricFamily,
    "Copies that ended and whose label is known, because it came with the request or was given for it afterwards, by "
    'whether the answer was right. Time-critical accuracy is the share with outcome="ok" and verdict="right".',
    (*_SERIES, "outcome", "verdict"),
)
SHADOW_UNLABELLED = Definition(
    "tailgate_shadow_unlabelled",
    CounterMetricFamily,
    "Copies that were given up waiting for a label: too old, or too many.",
    ("reason",),
)
SHADOW_LATENCY = Definition(
    "tailgate_shadow_latency_seconds",
    HistogramMetricFamily,
    "Seconds from the sending of a copy to its end, however it ended.",
    _SERIES,
)
SHADOW_AGREEMENTS = Definition(
    "tailgate_shadow_agreements",
    CounterMetricFamily,
    "Copies whose answer names a class, as that of the original does, by whether it is the same or another one.",
    ("model", "version", "class"),
)
SHADOW_DROPPED = Definition(
    "tailgate_shadow_dropped",
    CounterMetricFamily,
    "Requests that were to be copied and were not, by reason; they themselves went on as ever.",
    ("reason",),
)
SHADOW_HELD = Definition("tailgate_shadow_held_bytes", GaugeMetricFamily, "Bytes of requests that copies hold.")

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
    UPSTREAM_EJECTED,
    UPSTREAM_EJECTIONS,
    UPSTREAM_OUTSTANDING,
    UPSTREAM_ATTEMPTS,
    UPSTREAM_REPEATS,
    UPSTREAM_HEDGES,
    UPSTREAM_HEDGES_WON,
    UNHEDGED,
    RETRIES_REFUSED,
    ADMISSION_LIMIT,
    ADMISSION_IN_FLIGHT,
    ADMISSION_WAITING,
    ADMISSION_BOUND,
    ADMISSION_WAIT,
    ADMISSION_TRIED,
    ADMISSION_WOULD_REFUSE,
    ADMISSION_STRICTNESS,
    TRACE_RECORDS,
    LOOP_LAG,
    GC_PAUSE,
    RESERVE,
    CONNECTIONS,
    CONNECTION_ENDS,
    HELD,
    TLS_EXPIRY,
    TLS_RELOADS,
    TLS_RELOAD_FAILURES,
    TLS_HANDSHAKE_FAILURES,
    ACCESS_REFUSALS,
    TOKEN_RELOADS,
    TOKEN_RELOAD_FAILURES,
    RELOAD_SUCCESS,
    RELOAD_TIME,
    RELOADS,
    SHADOW_IN_FLIGHT,
    SHADOW_REQUESTS,
    SHADOW_LABELLED,
    SHADOW_UNLABELLED,
    SHADOW_LATENCY,
    SHADOW_AGREEMENTS,
    SHADOW_DROPPED,
    SHADOW_HELD,
)
