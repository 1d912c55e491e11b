"""The servers behind the proxy: who is in use, what became of calls to them, what was made again."""

from __future__ import annotations

from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from tailgate.metrics.definition import Definition

_MEMBER: Final = ("pool", "upstream")

UP = Definition(
    "tailgate_upstream_up", GaugeMetricFamily, "1 while the upstream answers that it is ready, else 0.", ("upstream",)
)
EJECTED = Definition(
    "tailgate_upstream_ejected",
    GaugeMetricFamily,
    "1 while an upstream is left out because its calls fail, though it may say that it is ready, else 0.",
    _MEMBER,
)
EJECTIONS = Definition(
    "tailgate_upstream_ejections", CounterMetricFamily, "Times that an upstream was left out for that.", _MEMBER
)
OUTSTANDING = Definition(
    "tailgate_upstream_outstanding",
    GaugeMetricFamily,
    "Calls to an upstream that have not ended, also those that nobody waits for and that may not be cancelled.",
    _MEMBER,
)
ATTEMPTS = Definition(
    "tailgate_upstream_attempts",
    CounterMetricFamily,
    "Calls to an upstream that have ended, by how. A request that was tried again has several.",
    (*_MEMBER, "result"),
)
REPEATS = Definition(
    "tailgate_upstream_repeats",
    CounterMetricFamily,
    "Calls to an upstream that were made because an earlier one for the same request had failed, there or elsewhere.",
    _MEMBER,
)
HEDGES = Definition(
    "tailgate_upstream_hedges",
    CounterMetricFamily,
    "Calls to an upstream that were made because another one had not answered the same request yet.",
    _MEMBER,
)
HEDGES_WON = Definition(
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

DEFINITIONS: Final = (
    UP,
    EJECTED,
    EJECTIONS,
    OUTSTANDING,
    ATTEMPTS,
    REPEATS,
    HEDGES,
    HEDGES_WON,
    UNHEDGED,
    RETRIES_REFUSED,
)
