"""Every request: that it came, how it ended, when, and whether its answer was right."""

from __future__ import annotations

from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily

from tailgate.metrics.definition import SERIES, Definition

BUILD = Definition("tailgate_build", InfoMetricFamily, "The version that is running.")
RECEIVED = Definition("tailgate_received", CounterMetricFamily, "Requests that arrived.")
IN_FLIGHT = Definition("tailgate_in_flight", GaugeMetricFamily, "Requests that have no outcome yet.")
REQUESTS = Definition(
    "tailgate_requests",
    CounterMetricFamily,
    'Requests that ended, by outcome. In time is outcome="ok".',
    (*SERIES, "outcome"),
)
DUE = Definition(
    "tailgate_due_requests",
    CounterMetricFamily,
    "Requests that ended, or whose deadline passed while they went on, whichever came first. The share in time is a "
    "share of these.",
    SERIES,
)
LABELLED = Definition(
    "tailgate_labelled_requests",
    CounterMetricFamily,
    "Requests that ended and whose label is known and settled, answered or not, by whether the answer was right. "
    'Where every request is labelled, time-critical accuracy is the share with outcome="ok" and verdict="right".',
    (*SERIES, "outcome", "verdict"),
)
LABELLED_WEIGHT = Definition(
    "tailgate_labelled_weight",
    CounterMetricFamily,
    "The same, each counted with its weight: one over the probability with which it was chosen to be labelled.",
    (*SERIES, "outcome", "verdict"),
)
LABELLED_SQUARES = Definition(
    "tailgate_labelled_weight_squares",
    CounterMetricFamily,
    "The squares of these weights. The squared sum of weights over the sum of squares is how many labels of equal "
    "weight they are worth (Kish): the n of every bound on accuracy.",
    SERIES,
)
LATENCY = Definition(
    "tailgate_latency_seconds",
    HistogramMetricFamily,
    "Seconds from arrival to the end of a request, however it ended.",
    SERIES,
)
RIGHT_LATENCY = Definition(
    "tailgate_right_latency_seconds",
    HistogramMetricFamily,
    "Seconds from arrival to a right answer, late ones included. Divided by labelled requests: quality at each bucket.",
    SERIES,
)
RIGHT_RATIO = Definition(
    "tailgate_right_deadline_ratio",
    HistogramMetricFamily,
    "Latency of a right answer over the time it had. Divided by labelled requests: quality if all had so many times "
    "the time.",
    SERIES,
)
STAGES = Definition(
    "tailgate_stage_seconds",
    HistogramMetricFamily,
    "Seconds that answered requests spent in each stage: forward (until the call to the upstream began), upstream "
    "(until its answer was complete), reply (until it was booked). All but upstream is the proxy's own doing.",
    ("stage",),
)

DEFINITIONS: Final = (
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
)
