"""How many requests may be at an upstream, who waits, who is refused, and how well that is foreseen."""

from __future__ import annotations

from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from tailgate.metrics.definition import Definition

LIMIT = Definition(
    "tailgate_admission_limit",
    GaugeMetricFamily,
    "Requests that may be at an upstream at once, now. Where it is adaptive, it moves to and fro a little under load.",
    ("pool",),
)
IN_FLIGHT = Definition(
    "tailgate_admission_in_flight", GaugeMetricFamily, "Requests that are at an upstream.", ("pool",)
)
WAITING = Definition(
    "tailgate_admission_waiting", GaugeMetricFamily, "Requests that wait for their turn at an upstream.", ("pool",)
)
BOUND = Definition(
    "tailgate_admission_waiting_bound",
    GaugeMetricFamily,
    "How many may wait: as many as the upstream can answer within the longest deadline. Missing until that is known.",
    ("pool",),
)
WAIT = Definition(
    "tailgate_admission_wait_seconds",
    HistogramMetricFamily,
    "Seconds that requests waited for their turn, of those that had it; 0 where there was room at once.",
    ("pool",),
)
TRIED = Definition(
    "tailgate_admission_tried",
    CounterMetricFamily,
    "Requests that would have been refused as too late, and were tried, in nobody's place: in_time were answered in "
    "time, and would have been false refusals; in_vain were not. The first over the sum: the share of false refusals.",
    ("pool", "result"),
)
WOULD_REFUSE = Definition(
    "tailgate_admission_would_refuse",
    CounterMetricFamily,
    "Requests in mode observe that in another mode would have been refused as too late.",
    ("pool",),
)
STRICTNESS = Definition(
    "tailgate_admission_strictness",
    GaugeMetricFamily,
    "How strictly requests are refused as too late: 1 as the times of the upstream say, less the more of such refusals "
    "prove false, 0 not at all on arrival.",
    ("pool",),
)

DEFINITIONS: Final = (
    LIMIT,
    IN_FLIGHT,
    WAITING,
    BOUND,
    WAIT,
    TRIED,
    WOULD_REFUSE,
    STRICTNESS,
)
