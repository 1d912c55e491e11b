"""What is true of the requests, window by window: every second's counts, and what any window of them holds.

Lives here: counting of requests, and the statistics of windows. Must not live here: counters, or what Prometheus says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench._days_plan import FLOOR, OFFSETS_S, REPLICAS, SLICES, VERSIONS, Floats, Incident, Plan, in_any
from bench._days_requests import Requests
from bench._prometheus import SCRAPE_S
from tailgate.slo.promql import CANARY_Z, TICKET_Z

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
WINDOW_S, HOUR_S = 60.0, 3600.0
CANARY_LEAST, CANARY_VARIANCE = 30, 3.0


@dataclass(frozen=True)
class Truth:
    """Every second of a simulation.

    Attributes:
        arrived: Requests by version, slice and second of their arrival.
        right_in_time: Those of them that were answered right by their deadline.
    """

    arrived: Ints
    right_in_time: Ints

    @classmethod
    def of(cls, requests: Requests, length_s: float) -> Truth:
        """Count."""
        shape = (len(VERSIONS), len(SLICES), int(length_s))
        code = np.ravel_multi_index((requests.version, requests.slice, requests.arrival_s.astype(np.int64)), shape)
        size = int(np.prod(shape))
        good = code[requests.right_in_time]
        return cls(np.bincount(code, minlength=size).reshape(shape), np.bincount(good, minlength=size).reshape(shape))

    def of_series(self, version: int, slice_: int) -> Truth:
        """Of one version and slice alone."""
        part = np.s_[version : version + 1, slice_ : slice_ + 1]
        return Truth(self.arrived[part], self.right_in_time[part])


@dataclass(frozen=True)
class Windows:
    """What stretches of time hold.

    Attributes:
        requests: In each.
        good: Of these, right and in time.
    """

    requests: Floats
    good: Floats

    @property
    def share(self) -> Floats:
        """Time-critical accuracy; NaN where nothing came."""
        with np.errstate(invalid="ignore"):
            return self.good / self.requests


def trailing(truth: Truth, ends_s: Floats, length_s: float) -> Windows:
    """All requests that arrived in the wall-clock window before each end; a second that is cut counts by its part."""

    def within(counts: Ints) -> Floats:
        sums = np.concatenate([[0], counts.sum(axis=(0, 1)).cumsum()])
        at = np.arange(len(sums))
        found: Floats = np.interp(ends_s, at, sums) - np.interp(ends_s - length_s, at, sums)
        return found

    return Windows(within(truth.arrived), within(truth.right_in_time))


class Scraped:
    """The same of the windows that scrapes cut out: from the first scrape of each replica to its last.

    A request counts when it falls due, as in the proxies' books. What no scrape ever saw, because its process ended
    before the next, counts here.
    """

    def __init__(self, requests: Requests) -> None:
        """Sort the requests of each replica by when they fell due."""
        self._due: list[Floats] = []
        self._good: list[Ints] = []
        for replica in range(len(REPLICAS)):
            mine = requests.replica == replica
            order = np.argsort(requests.due_s[mine], kind="stable")
            self._due.append(requests.due_s[mine][order])
            self._good.append(np.concatenate([[0], requests.right_in_time[mine][order].cumsum()]))

    def trailing(self, ends_s: Floats, length_s: float) -> Windows:
        """Between the scrapes of each replica that lie within the range of `rate` that ends then."""
        total, good = np.zeros(ends_s.shape), np.zeros(ends_s.shape)
        for offset_s, due_s, right in zip(OFFSETS_S, self._due, self._good, strict=True):
            last = np.floor((ends_s - offset_s) / SCRAPE_S) * SCRAPE_S + offset_s
            first = np.ceil((ends_s - length_s - SCRAPE_S - offset_s) / SCRAPE_S) * SCRAPE_S + offset_s
            to, since = (np.searchsorted(due_s, at, side="right") for at in (last, first))
            total += to - since
            good += right[to] - right[since]
        return Windows(total, good)


def wilson_upper(windows: Windows, z: float) -> Floats:
    """What the share surely is at most (Wilson's score interval); NaN where nothing came."""
    share, n = windows.share, windows.requests
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        bound: Floats = (share + z**2 / (2 * n) + spread) / (1 + z**2 / n)
    return bound


def canary_excess(stable: Windows, canary: Windows) -> tuple[Floats, Floats]:
    """How many more right answers the canary has than its part, given the windows of an hour (ends × windows), and the
    variance of that number by chance.
    """
    n = stable.requests + canary.requests
    with np.errstate(invalid="ignore", divide="ignore"):
        pooled = (stable.good + canary.good) / n
        excess = canary.good - canary.requests * pooled
        variance = canary.requests * stable.requests * pooled * (1 - pooled) / np.maximum(n - 1, 1)
    return np.nansum(excess, axis=1), np.nansum(variance, axis=1)


def canary_z(stable: Windows, canary: Windows) -> Floats:
    """By how many standard deviations the canary differs from stable, given the windows of an hour: ends × windows.

    Mantel and Haenszel's statistic, as in `tailgate.slo.bounds.stratified_z`; NaN where nothing can be compared.
    """
    excess, variance = canary_excess(stable, canary)
    with np.errstate(invalid="ignore", divide="ignore"):
        z: Floats = excess / np.sqrt(variance)
    z[~np.isfinite(z)] = np.nan
    return z


def minutes(ends_s: Floats) -> Floats:
    """The ends of the sixty windows of each hour: ends × windows."""
    return ends_s[:, np.newaxis] - WINDOW_S * np.arange(HOUR_S / WINDOW_S)


def by_version(truth: Truth, ends_s: Floats, slice_: int) -> tuple[Windows, Windows]:
    """The windows of the hours of stable and canary, in a slice."""
    ends = minutes(ends_s)
    stable, canary = (trailing(truth.of_series(version, slice_), ends, WINDOW_S) for version in range(len(VERSIONS)))
    return stable, canary


def sayable_s(truth: Truth, incident: Incident) -> float:
    """The first second at which whoever knew every request to the second could say that something is wrong, by the
    rules' own standard: the last minute surely under its floor, or the canary's z of the last hour under the page's.

    Infinite where that never could be said.
    """
    seconds = np.arange(np.ceil(incident.start_s), np.floor(incident.end_s + WINDOW_S), dtype=np.float64)
    if incident.kind == "canary":
        stable, canary = by_version(truth, seconds, SLICES.index("rare"))
        enough = canary.requests.sum(axis=1) >= CANARY_LEAST
        enough &= canary_excess(stable, canary)[1] >= CANARY_VARIANCE
        sure = enough & (canary_z(stable, canary) < -CANARY_Z)
    else:
        sure = wilson_upper(trailing(truth, seconds, WINDOW_S), TICKET_Z) < FLOOR
    return float(seconds[sure][0]) if sure.any() else np.inf


def scrape_range_s(length_s: float) -> float:
    """From the end of a window back to where no scrape that counts for it can lie."""
    return length_s + 2 * SCRAPE_S


def missing(plan: Plan, ends_s: Floats, length_s: float) -> Flags:
    """Whether a process was missing or new within the range of `rate` that ends then: what it counted after its last
    scrape is lost.
    """
    reach_s = scrape_range_s(length_s)
    restarts = ((one.start_s, one.start_s + one.gap_s + reach_s) for one in plan.restarts)
    return in_any(ends_s, [(0.0, reach_s), *restarts])
