"""Invariants of what the upstream computed, by its own log."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tailgate.audit.evidence import Evidence, rows_of
from tailgate.audit.finding import Finding, of_names, of_rows
from tailgate.outcome import Outcome
from tailgate.trace.format import request_key

_REFUSED = (
    Outcome.EXPIRED_ON_ARRIVAL, Outcome.SHED_QUEUE_FULL, Outcome.DRAINING, Outcome.REJECTED_INVALID,
    Outcome.REJECTED_LIMIT,
)  # fmt: skip


def executions(evidence: Evidence) -> Finding:
    """What the upstream began, beside what the proxy booked."""
    promise = "what the upstream computed was asked for once, and every answer was computed"
    if evidence.executed is None:
        return Finding("I5", promise, unchecked="no log of the upstream was given")
    rows = rows_of(evidence.proxy)
    times = Counter(request_key(name).rstrip(b"\0") for name in evidence.executed)
    known = set(rows["request_id"].tolist())
    begun = np.isin(rows["request_id"], np.array(list(times) or [b""]))
    answered = np.isin(rows["outcome"], (Outcome.OK, Outcome.OK_LATE, Outcome.OK_LATE_DISCARDED))
    unasked = [name.decode(errors="replace") for name in times if name not in known]
    again = [name.decode(errors="replace") for name, count in times.items() if count > 1]
    return Finding(
        "I5",
        promise,
        len(evidence.executed),
        (
            *of_names(unasked, "were computed that no row of the proxy knows"),
            *of_names(again, "were computed more than once"),
            *of_rows(rows[answered & ~begun], "were answered, and never computed"),
            *of_rows(rows[np.isin(rows["outcome"], _REFUSED) & begun], "were refused, and computed all the same"),
        ),
    )
