"""The lines of one series, or of a histogram's, from events: of the requests that `history` makes, by process."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from prometheus_client.utils import floatToGoString

from bench._prometheus import SCRAPE_S, lines
from verify.history import CANARY, MODEL, REPLICAS, SLICES, START_S, VERSIONS, Flags, Floats, Ints, Requests

Lives = list[tuple[int, Floats]]
"""Each process's replica, and when it was scraped; its counters begin at zero."""


def series(name: str, labels: dict[str, str], times_s: Floats, values: Floats | Ints) -> Iterator[str]:
    """One series, a line at each time."""
    return lines(name, labels, START_S + times_s, values)


def target(replica: int) -> dict[str, str]:
    """The labels that Prometheus gives to what it scrapes of a process."""
    return {"job": "tailgate", "instance": REPLICAS[replica]}


def since_known(version: int, scrapes: Floats) -> Floats:
    """When it was scraped with a version's series: they begin, at zero, two minutes before it gets requests."""
    return scrapes if version == 0 else scrapes[scrapes >= CANARY[0] - 120]


def cumulative(events_s: Floats, scrapes: Floats, weights: Floats | None = None) -> Floats:
    """How many events a process had counted at each scrape."""
    order = np.argsort(events_s)
    sums = np.concatenate([[0.0], np.cumsum(np.ones(len(events_s)) if weights is None else weights[order])])
    born_s = scrapes[0] - SCRAPE_S
    counted: Floats = sums[np.searchsorted(events_s[order], scrapes, side="right")]
    counted -= sums[np.searchsorted(events_s[order], born_s, side="right")]
    return counted


def groups(requests: Requests, lives: Lives) -> Iterator[tuple[dict[str, str], Floats, Flags]]:
    """For each process, version and slice: labels, when it was scraped, and which requests are its."""
    for (replica, scrapes), version, slice_ in product(lives, range(2), range(2)):
        mine = (requests.replica == replica) & (requests.version == version) & (requests.slice == slice_)
        names = {"model": MODEL, "version": VERSIONS[version], "slice": SLICES[slice_]}
        known = since_known(version, scrapes)
        if len(known):
            yield {**target(replica), **names}, known, mine


def histogram(  # noqa: PLR0917  # its six callers read as a table
    name: str, labels: dict[str, str], scrapes: Floats, bounds: tuple[float, ...], when_s: Floats, values: Floats
) -> Iterator[str]:
    """The series of a histogram of events, each with its time and value."""
    for bound, le in zip((*bounds, np.inf), map(floatToGoString, (*bounds, np.inf)), strict=True):
        counted = cumulative(when_s[values <= bound], scrapes)
        yield from series(f"{name}_bucket", {**labels, "le": le}, scrapes, counted)
    yield from series(f"{name}_count", labels, scrapes, cumulative(when_s, scrapes))
    yield from series(f"{name}_sum", labels, scrapes, cumulative(when_s, scrapes, values))
