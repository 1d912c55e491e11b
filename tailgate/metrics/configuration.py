"""The configuration that is in use, and those that could not be."""

from __future__ import annotations

from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from tailgate.metrics.definition import Definition

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

DEFINITIONS: Final = (
    RELOAD_SUCCESS,
    RELOAD_TIME,
    RELOADS,
)
