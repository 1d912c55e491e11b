"""The proxy's own process: its event loop, its connections, what it holds, its trace."""

from __future__ import annotations

from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from tailgate.metrics.definition import Definition

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
GC_PAUSE = Definition("tailgate_gc_pause_seconds", HistogramMetricFamily, "Pauses for Python's garbage collector.")
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

DEFINITIONS: Final = (
    TRACE_RECORDS,
    LOOP_LAG,
    GC_PAUSE,
    RESERVE,
    CONNECTIONS,
    CONNECTION_ENDS,
    HELD,
)
