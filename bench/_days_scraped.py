"""What two proxies would have counted of the requests, and Prometheus scraped, under the names of `tailgate.metrics`.

Every label is known when its request ends, as where it comes with the request, and every weight is 1. Series that
would stay at zero throughout (outcomes and verdicts that do not occur) are left out: they add nothing to any sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from bench._days_plan import (
    DEADLINE_S,
    FLOOR,
    MODEL,
    OBJECTIVE,
    OFFSETS_S,
    REPLICAS,
    ROLES,
    SLICES,
    START_S,
    VERSIONS,
    Floats,
    Plan,
)
from bench._days_requests import OUTCOMES, Flags, Requests
from bench._prometheus import SCRAPE_S, lines
from tailgate.metrics import quality, upstreams
from tailgate.metrics.definition import Definition
from tailgate.metrics.requests import DUE, LABELLED, LABELLED_SQUARES, LABELLED_WEIGHT, RECEIVED, REQUESTS
from tailgate.observation import Verdict
from tailgate.outcome import ANSWER_SEEN, Outcome

Ints = NDArray[np.int64]
Labels = tuple[tuple[str, str], ...]

KNOWN_BEFORE_S = 120.0
"""A canary's series are there, at zero, before it gets requests; they stay until their process ends."""


@dataclass(frozen=True)
class Life:
    """One process of a replica, from birth to death, and when it was scraped."""

    replica: int
    born_s: float
    died_s: float
    scrapes_s: Floats


Counted = tuple[Life, Mapping[tuple[str, Labels], Ints]]
"""A process, and every counter of it at each of its scrapes, by name and labels beside job and instance."""


def scrapes(plan: Plan, replica: int) -> Floats:
    """When Prometheus tries to scrape a replica."""
    return np.arange(OFFSETS_S[replica], plan.length_s, SCRAPE_S)


def lives(plan: Plan) -> list[Life]:
    """All processes of all replicas."""
    found = []
    for replica in range(len(REPLICAS)):
        stops = sorted((one.start_s, one.start_s + one.gap_s) for one in plan.restarts if one.replica == replica)
        births, deaths = [0.0, *(up for _, up in stops)], [*(down for down, _ in stops), plan.length_s]
        tried = scrapes(plan, replica)
        for born_s, died_s in zip(births, deaths, strict=True):
            found.append(Life(replica, born_s, died_s, tried[(tried >= born_s) & (tried < died_s)]))
    return found


def counters(requests: Requests, life: Life) -> dict[tuple[str, Labels], Ints]:
    """What one process had counted at each of its scrapes."""
    mine = requests.chosen(
        (requests.replica == life.replica) & (requests.arrival_s >= life.born_s) & (requests.arrival_s < life.died_s)
    )
    found: dict[tuple[str, Labels], Ints] = {(_total(RECEIVED), ()): _counted(life, mine.arrival_s)[0]}
    group = mine.version.astype(np.int64) * len(SLICES) + mine.slice
    due = _counted(life, mine.due_s, group, len(VERSIONS) * len(SLICES))
    seen = np.isin(mine.outcome, ANSWER_SEEN)
    verdict = np.where(seen, np.where(mine.right, 0, 1), 2)
    place = np.searchsorted(_CODES, mine.outcome)
    kinds = len(_CODES) * len(_VERDICTS)
    code = (group * len(_CODES) + place) * len(_VERDICTS) + verdict
    ended = _counted(life, mine.end_s, code, len(VERSIONS) * len(SLICES) * kinds)
    by_kind = ended.reshape(len(VERSIONS) * len(SLICES), len(_CODES), len(_VERDICTS), -1)
    for number, (version, part) in enumerate(product(VERSIONS, SLICES)):
        series: Labels = (("model", MODEL), ("version", version), ("slice", part))
        found[_total(DUE), series] = due[number]
        found[_total(LABELLED_SQUARES), series] = by_kind[number].sum(axis=(0, 1))
        for index, outcome in enumerate(map(Outcome, _CODES)):
            of_outcome: Labels = (*series, ("outcome", outcome.label))
            found[_total(REQUESTS), of_outcome] = by_kind[number, index].sum(axis=0)
            for which, judged in enumerate(_VERDICTS):
                if (judged is not Verdict.UNKNOWN) == (outcome in ANSWER_SEEN):
                    labels: Labels = (*of_outcome, ("verdict", judged.value))
                    found[_total(LABELLED), labels] = by_kind[number, index, which]
                    found[_total(LABELLED_WEIGHT), labels] = by_kind[number, index, which]
    return found


def guessed(counted: Sequence[Counted], ends_s: Floats, length_s: float) -> Flags:
    """Where `rate` over the range that ends then takes a counter for less than it is.

    It extends what was counted between the first scrape and the last to the edges of the range, but no counter below
    zero: one that counts its first there, or in a process that is new, is not extended to the left.
    """
    found = np.zeros(len(ends_s), np.bool_)
    for life, series in counted:
        last = np.searchsorted(life.scrapes_s, ends_s, side="right") - 1
        first = np.searchsorted(life.scrapes_s, ends_s - length_s - SCRAPE_S)
        there = np.flatnonzero(last > first)
        first, last = first[there], last[there]
        lasted_s = life.scrapes_s[last] - life.scrapes_s[first]
        for values in series.values():
            gained = values[last] - values[first]
            found[there] |= (gained > 0) & (values[first] * lasted_s < gained * SCRAPE_S)
    return found


def _total(definition: Definition) -> str:
    return f"{definition.name}_total"


_CODES = sorted(int(outcome) for outcome in OUTCOMES)
_VERDICTS = (Verdict.RIGHT, Verdict.WRONG, Verdict.UNKNOWN)


def _counted(life: Life, events_s: Floats, codes: Ints | None = None, kinds: int = 1) -> Ints:
    """How many events of each kind had happened at each scrape: kinds × scrapes."""
    columns = len(life.scrapes_s) + 1
    at = np.searchsorted(life.scrapes_s, events_s, side="left")
    if codes is not None:
        at = codes * columns + at
    return np.bincount(at, minlength=kinds * columns).reshape(kinds, columns)[:, :-1].cumsum(axis=1)


def openmetrics(counted: Sequence[Counted], plan: Plan) -> Iterator[str]:
    """The lines of an OpenMetrics file with time stamps."""
    for name in dict.fromkeys(name for _, found in counted for name, _ in found):
        yield f"# TYPE {name.removesuffix('_total')} counter\n"
        for life, found in counted:
            for (other, labels), values in found.items():
                if other == name:
                    known = _known(plan, life, dict(labels).get("version", VERSIONS[0]))
                    yield from _series(name, life.replica, labels, life.scrapes_s[known], values[known])
    yield from _gauges(plan, [life for life, _ in counted])
    yield "# EOF\n"


def _known(plan: Plan, life: Life, version: str) -> Flags:
    if version == VERSIONS[0]:
        return np.ones(len(life.scrapes_s), np.bool_)
    first_s = min((start_s for start_s, _ in plan.canaries), default=np.inf) - KNOWN_BEFORE_S
    known: Flags = life.scrapes_s >= first_s
    return known


def _gauges(plan: Plan, all_lives: list[Life]) -> Iterator[str]:
    yield "# TYPE up gauge\n"
    for replica in range(len(REPLICAS)):
        tried = scrapes(plan, replica)
        reached = np.isin(tried, np.concatenate([life.scrapes_s for life in all_lives if life.replica == replica]))
        yield from _series("up", replica, (), tried, reached.astype(np.int64))
    model: Labels = (("model", MODEL),)
    values: tuple[tuple[str, Labels, float], ...] = (
        (quality.DEADLINE.name, model, DEADLINE_S),
        (quality.OBJECTIVE.name, model, OBJECTIVE),
        (quality.FLOOR.name, model, FLOOR),
        (upstreams.UP.name, (("upstream", "127.0.0.1:8001"),), 1.0),
    )
    for name, labels, value in values:
        yield f"# TYPE {name} gauge\n"
        for life in all_lives:
            yield from _series(name, life.replica, labels, life.scrapes_s, np.full(len(life.scrapes_s), value))
    yield f"# TYPE {quality.MODEL_INFO.name} gauge\n"
    for life, (version, role) in product(all_lives, zip(VERSIONS, ROLES, strict=True)):
        at = life.scrapes_s[_known(plan, life, version)]
        labels = (*model, ("version", version), ("role", role))
        yield from _series(quality.MODEL_INFO.name, life.replica, labels, at, np.ones(len(at)))


def _series(name: str, replica: int, labels: Labels, at_s: Floats, values: Floats | Ints) -> Iterator[str]:
    target = {"job": "tailgate", "instance": REPLICAS[replica]}
    return lines(name, target | dict(labels), START_S + at_s, values)
