"""Invariants of what the upstream computed, by its own log."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tailgate.audit.evidence import Evidence, rows_of, total
from tailgate.audit.finding import Finding, of_names, of_rows
from tailgate.outcome import Outcome
from tailgate.trace.format import request_key

_REFUSED = (
    Outcome.EXPIRED_ON_ARRIVAL, Outcome.EXPIRED_IN_QUEUE, Outcome.SHED_QUEUE_FULL, Outcome.SHED_PREDICTED_LATE,
    Outcome.REJECTED_INVALID, Outcome.REJECTED_LIMIT, Outcome.REJECTED_AUTH,
)  # fmt: skip
"""`DRAINING` is said to those who come to a proxy that stops, and to those whom the end of its grace finds there: these
may have been computed."""
AT_ONCE_S = 0.1
"""Who comes to a proxy that stops is refused at once; whom the end of its grace finds there came before it stopped, and
no proxy waits for less than 0.2 s."""


def executions(evidence: Evidence) -> Finding:
    """What the upstream began, beside what the proxy booked."""
    promise = "what the upstream computed was asked for, once or as a hedge, and every answer was computed"
    if evidence.executed is None:
        return Finding("I5", promise, unchecked="no log of the upstream was given")
    rows = rows_of(evidence.proxy)
    times = Counter(request_key(name).rstrip(b"\0") for name in evidence.executed)
    known = set(rows["request_id"].tolist())
    begun = np.isin(rows["request_id"], np.array(list(times) or [b""]))
    answered = np.isin(rows["outcome"], (Outcome.OK, Outcome.OK_LATE, Outcome.OK_LATE_DISCARDED))
    unasked = [name.decode(errors="replace") for name in times if name not in known]
    hedges = total(evidence.scrapes, "tailgate_upstream_hedges_total")
    again = [name.decode(errors="replace") for name in _too_often(times, hedges)]
    at_once = (rows["outcome"] == Outcome.DRAINING) & (rows["latency_s"] < AT_ONCE_S)
    refused = np.isin(rows["outcome"], _REFUSED) | at_once
    return Finding(
        "I5",
        promise,
        len(evidence.executed),
        (
            *of_names(unasked, "were computed that no row of the proxy knows"),
            *of_names(again, f"were computed more than once{f', and hedged were {hedges:,}' if hedges else ''}"),
            *(() if evidence.unlogged else of_rows(rows[answered & ~begun], "were answered, and never computed")),
            *of_rows(rows[refused & begun], "were refused, and computed all the same"),
        ),
        note=f"{evidence.unlogged:,} are missing in the upstream's log, so any answer may be of these"
        if evidence.unlogged
        else "",
    )


def _too_often(times: Counter[bytes], hedges: int) -> list[bytes]:
    """Those that were computed more than once without being hedged: of a request that is, two calls are made at most.
    Which ones were, nobody wrote down; if more were computed twice than were hedged, it may have been any of them.
    """
    again = {name: count for name, count in times.items() if count > 1 and name}
    if sum(again.values()) - len(again) > hedges:
        return list(again)
    return [name for name, count in again.items() if count > 2]
