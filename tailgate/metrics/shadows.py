"""Copies of requests, whose answers nobody waits for, in books of their own."""

from __future__ import annotations

from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from tailgate.metrics.definition import SERIES, Definition

IN_FLIGHT = Definition(
    "tailgate_shadow_in_flight", GaugeMetricFamily, "Copies of requests, at another upstream, that have not ended."
)
REQUESTS = Definition(
    "tailgate_shadow_requests",
    CounterMetricFamily,
    "Copies that ended, by outcome, as if they had been the clients' own; they count nowhere else. In time is "
    'outcome="ok".',
    (*SERIES, "outcome"),
)
LABELLED = Definition(
    "tailgate_shadow_labelled_requests",
    CounterMetricFamily,
    "Copies that ended and whose label is known, because it came with the request or was given for it afterwards, by "
    'whether the answer was right. Time-critical accuracy is the share with outcome="ok" and verdict="right".',
    (*SERIES, "outcome", "verdict"),
)
UNLABELLED = Definition(
    "tailgate_shadow_unlabelled",
    CounterMetricFamily,
    "Copies that were given up waiting for a label: too old, or too many.",
    ("reason",),
)
LATENCY = Definition(
    "tailgate_shadow_latency_seconds",
    HistogramMetricFamily,
    "Seconds from the sending of a copy to its end, however it ended.",
    SERIES,
)
AGREEMENTS = Definition(
    "tailgate_shadow_agreements",
    CounterMetricFamily,
    "Copies whose answer names a class, as that of the original does, by whether it is the same or another one.",
    ("model", "version", "class"),
)
DROPPED = Definition(
    "tailgate_shadow_dropped",
    CounterMetricFamily,
    "Requests that were to be copied and were not, by reason; they themselves went on as ever.",
    ("reason",),
)
HELD = Definition("tailgate_shadow_held_bytes", GaugeMetricFamily, "Bytes of requests that copies hold.")

DEFINITIONS: Final = (
    IN_FLIGHT,
    REQUESTS,
    LABELLED,
    UNLABELLED,
    LATENCY,
    AGREEMENTS,
    DROPPED,
    HELD,
)
