"""Invariants of the proxy's counters: within a scrape, and beside its trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from tailgate.audit.evidence import Evidence, rows_of, total
from tailgate.audit.finding import Breach, Finding, unequal
from tailgate.outcome import PROXY_OUTCOMES, Outcome
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.trace.format import Records

_UNFINISHED = ("tailgate_in_flight", "tailgate_held_bytes")


def counters(evidence: Evidence) -> Iterator[Finding]:
    """What the last scrapes say, of each other and of the trace."""
    scrapes, traces = evidence.scrapes, len(evidence.proxy)
    conserved = "what was received has ended or is in flight"
    returned = "at the end nothing is in flight, and nothing held"
    counted = "counters and the proxy's trace agree, outcome by outcome"
    judged = "labelled requests agree, outcome by outcome and verdict by verdict"
    promises = {"I1": conserved, "I10": returned, "I9": counted, "I8": judged}
    if not scrapes:
        yield from (Finding(code, promise, unchecked="no metrics were given") for code, promise in promises.items())
        return
    received = total(scrapes, "tailgate_received_total")
    breaches: list[Breach] = []
    for one in scrapes:
        ended = total((one,), "tailgate_requests_total") + total((one,), "tailgate_in_flight")
        breaches += unequal(total((one,), "tailgate_received_total"), ended, "received, and ended or in flight")
    yield Finding("I1", conserved, received, tuple(breaches))
    left = {name: total(scrapes, name) for name in _UNFINISHED}
    yield Finding(
        "I10", returned, len(scrapes), tuple(Breach(count, f"left in {name}") for name, count in left.items() if count)
    )
    if len(scrapes) != traces:
        why = f"there are {len(scrapes)} scrapes for {traces} traces; each process has one of either"
        yield from (Finding(code, promises[code], unchecked=why) for code in ("I9", "I8"))
        return
    rows = rows_of(evidence.proxy)
    breaches = []
    missing = sum(one.missing for one in evidence.proxy)
    dropped = total(scrapes, "tailgate_trace_records_total", result="dropped")
    if missing or dropped:  # nobody knows how those ended
        breaches += unequal(received, len(rows) + dropped, "received, and written or dropped")
    else:
        ends = Counter(rows["outcome"].tolist())
        for outcome in PROXY_OUTCOMES:
            in_counters = total(scrapes, "tailgate_requests_total", outcome=outcome.label)
            breaches += unequal(in_counters, ends[outcome], f"{outcome.label} in counters and trace")
    yield Finding("I9", counted, received, tuple(breaches), note=f"{dropped:,} were not written" if dropped else "")
    yield _labelled(evidence, rows, judged)


def _labelled(evidence: Evidence, rows: Records, promise: str) -> Finding:
    if any(one.missing for one in evidence.proxy):
        return Finding("I8", promise, unchecked="observations are missing in the trace")
    labelled = rows[rows["label"] != UNKNOWN_CLASS]
    verdict = np.where(
        labelled["predicted"] == UNKNOWN_CLASS,
        "unknown",
        np.where(labelled["predicted"] == labelled["label"], "right", "wrong"),
    )
    found = Counter(zip(labelled["outcome"].tolist(), verdict.tolist(), strict=True))
    breaches: list[Breach] = []
    for outcome in PROXY_OUTCOMES:
        for said in ("right", "wrong", "unknown"):
            in_counters = total(
                evidence.scrapes, "tailgate_labelled_requests_total", outcome=outcome.label, verdict=said
            )
            what = f"{outcome.label} and {said} in counters and trace"
            breaches += unequal(in_counters, found[outcome, said], what)
    right = found[Outcome.OK, "right"]
    note = f"time-critical accuracy {right:,} of {len(labelled):,}" if len(labelled) else ""
    return Finding("I8", promise, len(labelled), tuple(breaches), note=note)
