"""Labels that are given for requests, and requests that wait for theirs."""

from __future__ import annotations

from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from tailgate.metrics.definition import Definition

LABELS = Definition(
    "tailgate_labels",
    CounterMetricFamily,
    "Labels that were given for requests that have ended or are still unknown, by what became of them; those that wait "
    "are in tailgate_labels_pending, and those handed_over to another worker count there, too.",
    ("result",),
)
LABELS_PENDING = Definition("tailgate_labels_pending", GaugeMetricFamily, "Labels whose request is not known yet.")
LABEL_DELAY = Definition(
    "tailgate_label_delay_seconds",
    HistogramMetricFamily,
    "Seconds from a request's arrival to the label that was given for it afterwards.",
    ("model",),
)
PREDICTIONS_PENDING = Definition(
    "tailgate_predictions_pending", GaugeMetricFamily, "Requests that have ended and may still be labelled."
)
PREDICTIONS_UNLABELLED = Definition(
    "tailgate_predictions_unlabelled",
    CounterMetricFamily,
    "Requests that were given up waiting for a label: too old, or too many.",
    ("reason",),
)

DEFINITIONS: Final = (
    LABELS,
    LABELS_PENDING,
    LABEL_DELAY,
    PREDICTIONS_PENDING,
    PREDICTIONS_UNLABELLED,
)
