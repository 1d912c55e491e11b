"""The requests of a plan, made from a seed: millions, as arrays.

Lives here: what became of each, which is the truth. Must not live here: counters, scrapes or windows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bench._days_plan import (
    CANARY_SHARE,
    DEADLINE_SHARES,
    DEADLINES_S,
    HOUR_S,
    RARE_SHARE,
    REPLICAS,
    Floats,
    Incident,
    Plan,
)
from tailgate.outcome import ANSWER_SEEN, Outcome

Flags = NDArray[np.bool_]
Codes = NDArray[np.int8]

USUAL_S, SPREAD = 0.008, 0.32  # of the lognormal latency
RIGHT, RIGHT_RARE, RIGHT_BAD_CANARY = 0.962, 0.955, 0.62
OBSERVED = 0.5  # of those who miss their deadline, the share that is answered all the same
FAILURES = ((Outcome.UPSTREAM_ERROR, 3e-4), (Outcome.CLIENT_CANCELLED, 5e-4), (Outcome.SHED_QUEUE_FULL, 1e-4))
HICCUPS_PER_HOUR, HICCUP_S = 4.0, 1.5  # on the best of days lateness comes in bursts
OUTCOMES = (Outcome.OK, Outcome.OK_LATE, Outcome.DEADLINE_IN_FLIGHT, *(outcome for outcome, _ in FAILURES))
"""All that occur here."""


@dataclass(frozen=True)
class Requests:
    """All requests, one element each, by arrival.

    Attributes:
        arrival_s: Seconds from the start.
        end_s: When each ended, however it did.
        budget_s: Seconds from the arrival that each had.
        replica: Index of the proxy's process.
        version: Index of the version.
        slice: Index of the slice.
        outcome: Number of the `Outcome`.
        right: Whether the answer is right; false where none was seen.
    """

    arrival_s: Floats
    end_s: Floats
    budget_s: Floats
    replica: Codes
    version: Codes
    slice: Codes
    outcome: Codes
    right: Flags

    @property
    def due_s(self) -> Floats:
        """When each ended or missed its deadline, whichever came first."""
        return np.minimum(self.end_s, self.arrival_s + self.budget_s)

    @property
    def in_time(self) -> Flags:
        """Whether each was answered by its deadline."""
        in_time: Flags = self.outcome == Outcome.OK
        return in_time

    @property
    def right_in_time(self) -> Flags:
        """Whether each counts for time-critical accuracy."""
        return self.right & self.in_time

    def chosen(self, which: Flags) -> Self:
        """Some of them."""
        return type(self)(**{field.name: getattr(self, field.name)[which] for field in fields(self)})


def simulate(plan: Plan, seed: int) -> Requests:
    """The same requests for the same plan and seed."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(plan.length_s)
    came = rng.poisson(plan.rate(seconds + 0.5))
    arrival = np.sort(np.repeat(seconds, came) + rng.random(came.sum()))
    n = len(arrival)

    def during(start_s: float, end_s: float) -> slice:
        return slice(*np.searchsorted(arrival, (start_s, end_s)).tolist())

    replica = rng.integers(0, len(REPLICAS), n, dtype=np.int8)
    for restart in plan.restarts:  # it lets its requests end before it stops, and then begins
        replica[during(restart.start_s - 1.0, restart.start_s + restart.gap_s)] = 1 - restart.replica
    rare = rng.random(n) < RARE_SHARE
    canary = np.zeros(n, np.bool_)
    for start_s, end_s in plan.canaries:
        inside = during(start_s, end_s)
        canary[inside] = rng.random(len(arrival[inside])) < CANARY_SHARE

    latency = USUAL_S * np.exp(SPREAD * rng.standard_normal(n))
    accuracy = np.where(rare, RIGHT_RARE, RIGHT)
    for start_s in rng.uniform(0.0, plan.length_s, rng.poisson(HICCUPS_PER_HOUR * plan.length_s / HOUR_S)):
        inside = during(start_s, start_s + rng.exponential(HICCUP_S))
        latency[inside] += 0.03 * (rng.random(len(arrival[inside])) < 0.5)
    for incident in plan.incidents:
        inside = during(incident.start_s, incident.end_s)
        _strike(rng, incident, latency[inside], accuracy[inside], canary[inside] & rare[inside])

    budget = rng.choice(DEADLINES_S, n, p=DEADLINE_SHARES)
    late = np.where(rng.random(n) < OBSERVED, Outcome.OK_LATE, Outcome.DEADLINE_IN_FLIGHT)
    outcome = np.where(latency <= budget, Outcome.OK, late).astype(np.int8)
    chance, below = rng.random(n), 0.0
    for failure, share in FAILURES:
        outcome[(chance >= below) & (chance < below + share)] = failure
        below += share
    latency = np.where(outcome == Outcome.SHED_QUEUE_FULL, 2e-4, latency)
    # The others end by their deadline: an error or a client that left after it would have been a missed deadline.
    answered = np.isin(outcome, (Outcome.OK, Outcome.OK_LATE))
    return Requests(
        arrival_s=arrival,
        end_s=arrival + np.where(answered, latency, np.minimum(latency, budget)),
        budget_s=budget,
        replica=replica,
        version=canary.astype(np.int8),
        slice=rare.astype(np.int8),
        outcome=outcome,
        right=np.isin(outcome, ANSWER_SEEN) & (rng.random(n) < accuracy),
    )


def _strike(rng: np.random.Generator, incident: Incident, latency: Floats, accuracy: Floats, bad: Flags) -> None:
    match incident.kind:
        case "slow":
            latency += rng.uniform(0.016, 0.05, len(latency)) * (rng.random(len(latency)) < 0.6)
        case "outage":
            latency += 0.1
        case "wrong":
            accuracy[:] = 0.5
        case "canary":
            accuracy[bad] = RIGHT_BAD_CANARY
