"""Before, during and after the contention: quality of the same requests, side by side. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailgate.quality import decompose, latency_percentiles
from tailgate.trace.format import Records
from tailgate.trace.views import response_times_s, scores


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of the run.

    Attributes:
        name: What it is called.
        arrivals: Requests scheduled in it.
        accuracy: Share of right ones among the answers that came: what a monitor of answers shows.
        time_critical: Share of right ones in time among all arrivals.
        worst: The lowest time-critical accuracy of a second of it (a second with few arrivals is left out).
        p99_s: Of the response time over all arrivals; infinite if more than 1 % had no answer.
    """

    name: str
    arrivals: int
    accuracy: float
    time_critical: float
    worst: float
    p99_s: float


def split(records: Records, deadline_s: float, start_unix_s: float, end_unix_s: float) -> list[Phase]:
    """The phases before, during and after a span of time; those without an arrival are left out."""
    at = records["arrival_unix_s"]
    spans = (
        ("before", at < start_unix_s),
        ("during contention", (at >= start_unix_s) & (at < end_unix_s)),
        ("after", at >= end_unix_s),
    )
    return [measure(name, records[chosen], deadline_s) for name, chosen in spans if chosen.any()]


def measure(name: str, records: Records, deadline_s: float) -> Phase:
    """One phase from its records, of which there is at least one."""
    times, score = response_times_s(records), scores(records)
    whole = decompose(times[None], score[None], deadline_s)
    in_time = score * (times <= deadline_s)
    second = np.floor(records["arrival_unix_s"] - records["arrival_unix_s"].min()).astype(int)
    arrivals, right = np.bincount(second), np.bincount(second, weights=in_time)
    enough = arrivals >= arrivals.max() / 2
    return Phase(
        name=name,
        arrivals=len(records),
        accuracy=whole.accuracy,
        time_critical=whole.on_time_right,
        worst=float((right[enough] / arrivals[enough]).min()),
        p99_s=float(latency_percentiles(times, [99.0])[0]),
    )
