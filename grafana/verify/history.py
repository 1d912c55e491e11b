"""Six hours that never were: requests made from a seed, with known faults, as Prometheus would have scraped them.

Two replicas, two versions (a canary from the fourth hour), two slices, a slow spell, a half-wrong spell, a restart, a
spell in which requests are refused. Of the common slice every second request is labelled, of the rare one each, but for
25 minutes in which no label ever comes; labels come some seconds later. What is true is counted from the requests
themselves, never from what was scraped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench._prometheus import SCRAPE_S
from tailgate.outcome import ANSWER_SEEN, Outcome

START_S = 1_767_600_000.0  # 2026-01-05 08:00 UTC, a Monday
HOURS = 6
END_S = START_S + HOURS * 3600.0
MODEL, DEADLINE_S, OBJECTIVE, FLOOR = "digits", 0.025, 0.95, 0.85
REPLICAS, OFFSETS_S = ("proxy-a:9090", "proxy-b:9090"), (3.2, 11.7)
VERSIONS, ROLES = ("7", "8"), ("stable", "canary")
SLICES, RARE, LABELLED_SHARE = ("common", "rare"), 0.05, (0.5, 1.0)
PER_SECOND = 40.0

UNLABELLED = (0.5 * 3600, 25 * 60)
SLOW = (1.5 * 3600, 7 * 60)
RESTART = (2.5 * 3600, 30)  # of the second replica
HALF_WRONG = (3.2 * 3600, 90)
CANARY = (4.0 * 3600, 2 * 3600)
FULL = (5.2 * 3600, 4 * 60)


Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Requests:
    """All requests, one element each.

    Attributes:
        arrival_s: Seconds from the start.
        latency_s: To the end, however it ended.
        replica: Index of the proxy's process.
        version: Index of the version.
        slice: Index of the slice.
        outcome: Number of the `Outcome`.
        right: Whether the answer is right; false where none was seen.
        labelled: Whether anybody ever says so.
        confidence: How sure the answer is of itself, 0 to 1.
        delay_s: From the arrival to the label.
    """

    arrival_s: Floats
    latency_s: Floats
    replica: Ints
    version: Ints
    slice: Ints
    outcome: Ints
    right: Flags
    labelled: Flags
    confidence: Floats
    delay_s: Floats

    @property
    def end_s(self) -> Floats:
        """When each ended."""
        return self.arrival_s + self.latency_s

    @property
    def weight(self) -> Floats:
        """For how many requests each label stands."""
        return 1.0 / np.asarray(LABELLED_SHARE)[self.slice]

    @property
    def in_time(self) -> Flags:
        """Whether each was answered by its deadline."""
        in_time: Flags = self.outcome == Outcome.OK
        return in_time


def simulate(seed: int = 7) -> Requests:
    """The same requests for the same seed."""
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(1.0 / PER_SECOND, int(PER_SECOND * HOURS * 3600 * 1.02))
    arrival = np.cumsum(gaps)
    arrival = arrival[arrival < HOURS * 3600.0]
    n = len(arrival)

    def during(spell: tuple[float, float], margin_s: float = 0.0) -> Flags:
        inside: Flags = (arrival >= spell[0] - margin_s) & (arrival < sum(spell))
        return inside

    replica = rng.integers(0, 2, n)
    replica[during(RESTART, 1.0)] = 0  # the second one lets its requests end before it stops
    slice_ = (rng.random(n) < RARE).astype(np.int64)
    version = (during(CANARY) & (rng.random(n) < 0.1)).astype(np.int64)

    latency = rng.lognormal(np.log(0.011), 0.32, n)
    slow = during(SLOW) & (rng.random(n) < 0.6)
    latency[slow] += rng.uniform(0.016, 0.05, slow.sum())
    outcome = np.where(latency <= DEADLINE_S, Outcome.OK, Outcome.OK_LATE).astype(np.int64)
    for ending, share in ((Outcome.UPSTREAM_UNAVAILABLE, 5e-4), (Outcome.CLIENT_CANCELLED, 8e-4)):
        outcome[rng.random(n) < share] = ending
    refused = during(FULL) & (rng.random(n) < 0.12)
    outcome[refused], latency[refused] = Outcome.SHED_QUEUE_FULL, 2e-4

    accuracy = np.full(n, 0.975)
    accuracy[slice_ == 1] = 0.965
    accuracy[during(HALF_WRONG)] = 0.5
    accuracy[(version == 1) & (slice_ == 1)] = 0.62
    seen = np.isin(outcome, ANSWER_SEEN)
    right = seen & (rng.random(n) < accuracy)
    of_its_own = np.random.default_rng([seed, 1])
    unsure = np.where(right, 0.5, 0.7) * np.exp(-of_its_own.gamma(np.where(right, 2.0, 1.2), np.where(right, 1.5, 0.7)))
    return Requests(
        arrival_s=arrival,
        latency_s=latency,
        replica=replica,
        version=version,
        slice=slice_,
        outcome=outcome,
        right=right,
        labelled=(rng.random(n) < np.asarray(LABELLED_SHARE)[slice_]) & ~during(UNLABELLED),
        confidence=1.0 - unsure,
        delay_s=latency + rng.exponential(3.0, n),
    )


def true_tca(requests: Requests, chosen: Flags) -> float:
    """Of the requests chosen, the share that was right and in time, whether or not anybody labelled it."""
    return float((requests.right & requests.in_time)[chosen].mean())


def windows(requests: Requests, length_s: float = 60.0, step_s: float = SCRAPE_S) -> Floats:
    """Time-critical accuracy of each window: its share in time times its labelled accuracy; NaN without labels."""
    ends = np.arange(length_s * 2, HOURS * 3600.0, step_s)

    def within(times: Floats, weights: Floats | None = None) -> Floats:
        order = np.argsort(times)
        sums = np.concatenate([[0.0], np.cumsum(np.ones(len(times)) if weights is None else weights[order])])
        sought = np.searchsorted(times[order], np.stack([ends - length_s, ends]), side="right")
        counted: Floats = sums[sought[1]] - sums[sought[0]]
        return counted

    end_s, known = requests.end_s, requests.labelled & requests.in_time
    known_s, weight, right = (
        (requests.arrival_s + requests.delay_s)[known],
        requests.weight[known],
        requests.right[known],
    )
    judged = within(known_s, weight)
    accuracy = np.divide(within(known_s, weight * right), judged, out=np.full(len(ends), np.nan), where=judged > 0)
    shares: Floats = within(end_s[requests.in_time]) / within(end_s) * accuracy
    return shares
