"""What is asked of models, and what is expected and detected of their quality while labels are missing."""

from __future__ import annotations

from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from tailgate.metrics.definition import SERIES, Definition

MODEL_INFO = Definition(
    "tailgate_model_info",
    GaugeMetricFamily,
    "1 for every version of a model that is known, with its role: stable or canary.",
    ("model", "version", "role"),
)
DEADLINE = Definition(
    "tailgate_deadline_seconds", GaugeMetricFamily, "The deadline a model has where the client sets none.", ("model",)
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
EXPECTED_LOOKED_AT = Definition(
    "tailgate_expected_looked_at",
    CounterMetricFamily,
    "Answers in time whose own confidence was looked at, and of which it is known how often such answers are right.",
    SERIES,
)
EXPECTED_ANSWERS = Definition(
    "tailgate_expected_answers",
    CounterMetricFamily,
    "Answers in time that those stand for, of which they were chosen by chance.",
    SERIES,
)
EXPECTED_RIGHT = Definition(
    "tailgate_expected_right",
    CounterMetricFamily,
    "How many of these are expected to be right. Divided by them, times the share in time: time-critical accuracy as "
    "it is to be expected while labels are missing.",
    SERIES,
)
EXPECTED_SPREAD = Definition(
    "tailgate_expected_spread",
    CounterMetricFamily,
    "Standard errors of their probabilities of being right, added up. Divided by the answers: the standard error of "
    "the expected share, beside that of chance.",
    SERIES,
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
    SERIES,
)
DETECTOR_THRESHOLD = Definition(
    "tailgate_detector_threshold", GaugeMetricFamily, "The evidence at which the detector alarms.", SERIES
)
DETECTOR_ALARMS = Definition("tailgate_detector_alarms", CounterMetricFamily, "Alarms of the detector.", SERIES)

DEFINITIONS: Final = (
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
)
