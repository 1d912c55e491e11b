"""What was expected of the requests while labels were missing: the proxy's own estimate, shown them one by one.

Not drawn up like the other series: `tailgate.expectations` learns from the labels of each process, and is wrong where
it is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from bench._prometheus import SCRAPE_S
from tailgate.expectations import ERROR_BUCKETS, Expectations
from tailgate.observation import Expected, Observation
from tailgate.outcome import ANSWER_SEEN, Outcome
from verify.history import (
    DEADLINE_S,
    LABELLED_SHARE,
    MODEL,
    SLICES,
    START_S,
    VERSIONS,
    Flags,
    Floats,
    Requests,
)
from verify.series import Lives, cumulative, groups, histogram, since_known, target
from verify.series import series as lines

LABEL_WAIT_S, ADVANCE_S = 900.0, 5.0
_NAMES = ("answers", "expected_right", "right")


@dataclass
class _Past:
    """What was reconciled of a version: when, its sums as in `_NAMES`, and the sizes of the errors with their times."""

    when_s: list[float] = field(default_factory=list)
    sums: list[Floats] = field(default_factory=list)
    error_s: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)


def expectations(requests: Requests, lives: Lives) -> Iterator[str]:
    """Every series of it."""
    probability, spread = np.full(len(requests.arrival_s), np.nan), np.zeros(len(requests.arrival_s))
    pasts = [_live(requests, _of_life(requests, *life), probability, spread) for life in lives]
    counted = requests.in_time & np.isfinite(probability)
    for name, weights in (
        ("looked_at", np.ones(len(probability))),
        ("answers", np.ones(len(probability))),  # so few that each is looked at
        ("right", probability),
        ("spread", spread),
    ):
        yield f"# TYPE tailgate_expected_{name} counter\n"
        for labels, scrapes, mine in groups(requests, lives):
            chosen = mine & counted
            values = cumulative(requests.end_s[chosen], scrapes, weights[chosen])
            yield from lines(f"tailgate_expected_{name}_total", labels, scrapes, values)
    for place, name in enumerate(_NAMES):
        yield f"# TYPE tailgate_reconciled_{name} counter\n"
        for labels, scrapes, past in _by_version(lives, pasts):
            values = cumulative(np.asarray(past.when_s), scrapes, np.asarray(past.sums).reshape(-1, 3)[:, place])
            yield from lines(f"tailgate_reconciled_{name}_total", labels, scrapes, values)
    yield "# TYPE tailgate_expected_error_ratio histogram\n"
    for labels, scrapes, past in _by_version(lives, pasts):
        error_s, errors = np.asarray(past.error_s), np.asarray(past.errors)
        yield from histogram("tailgate_expected_error_ratio", labels, scrapes, ERROR_BUCKETS, error_s, errors)


def _by_version(lives: Lives, pasts: list[dict[str, _Past]]) -> Iterator[tuple[dict[str, str], Floats, _Past]]:
    for (replica, scrapes), past in zip(lives, pasts, strict=True):
        for number, version in enumerate(VERSIONS):
            known = since_known(number, scrapes)
            if len(known):
                yield {**target(replica), "model": MODEL, "version": version}, known, past[version]


def _of_life(requests: Requests, replica: int, scrapes: Floats) -> Flags:
    born_s, died_s = scrapes[0] - SCRAPE_S, scrapes[-1] + SCRAPE_S
    mine: Flags = (requests.replica == replica) & (requests.end_s > born_s) & (requests.end_s <= died_s)
    return mine


def _live(requests: Requests, mine: Flags, probability: Floats, spread: Floats) -> dict[str, _Past]:
    """One process sees its requests end and their labels come; what it expects of each is filled in."""
    expectations = Expectations(LABEL_WAIT_S)
    pasts = {version: _Past() for version in VERSIONS}
    answered = np.flatnonzero(mine & np.isin(requests.outcome, ANSWER_SEEN))
    labelled = answered[requests.labelled[answered]]
    times_s = np.concatenate([requests.end_s[answered], (requests.arrival_s + requests.delay_s)[labelled]])
    order = np.argsort(times_s, kind="stable")
    numbers, is_label = np.concatenate([answered, labelled])[order], order >= len(answered)
    expected: dict[int, Expected] = {}
    confidences, versions, slices = requests.confidence.tolist(), requests.version.tolist(), requests.slice.tolist()
    now_s = 0.0
    for time_s, number, label in zip(times_s[order].tolist(), numbers.tolist(), is_label.tolist(), strict=True):
        if time_s >= now_s + ADVANCE_S:
            now_s = time_s
            expectations.advance(START_S + now_s)
            _note(expectations, pasts, now_s)
        version = VERSIONS[versions[number]]
        if label:
            weight = 1.0 / LABELLED_SHARE[requests.slice[number]]
            expectations.judge(_observation(requests, number, version, expected.pop(number)), weight)
            continue
        series = (MODEL, version, SLICES[slices[number]])
        one = expected[number] = expectations.expect(series, confidences[number], 1)
        if one.right is not None:
            probability[number], spread[number] = one.right, math.hypot(one.spread, one.beyond)
    return pasts


def _observation(requests: Requests, number: int, version: str, expected: Expected) -> Observation:
    return Observation(
        request_id="",
        model=MODEL,
        version=version,
        arrival_unix_s=START_S + float(requests.arrival_s[number]),
        budget_s=DEADLINE_S,
        latency_s=float(requests.latency_s[number]),
        outcome=Outcome(int(requests.outcome[number])),
        predicted=1,
        label=1 if requests.right[number] else 2,
        slice=SLICES[int(requests.slice[number])],
        expected=expected,
    )


def _note(expectations: Expectations, pasts: dict[str, _Past], now_s: float) -> None:
    """Write down what has been reconciled since the last time."""
    for (_, version), past in expectations.pasts().items():
        of = pasts[version]
        new = [abs(error) for error, _ in list(past.errors)[len(of.errors) :]]
        if new:
            of.when_s.append(now_s)
            of.sums.append(np.array([past.answers, past.expected, past.right]) - sum(of.sums))
            of.error_s += [now_s] * len(new)
            of.errors += new
