"""How far what the rules recorded is from the truth, series by series and situation by situation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bench._days_plan import DAY_S, SLICES, START_S, VERSIONS, Floats, Plan, in_any
from bench._days_requests import Requests
from bench._days_scraped import Counted, guessed
from bench._days_truth import (
    CANARY_LEAST,
    HOUR_S,
    WINDOW_S,
    Scraped,
    Truth,
    Windows,
    by_version,
    canary_excess,
    canary_z,
    missing,
    scrape_range_s,
    trailing,
    wilson_upper,
)
from bench._prometheus import SCRAPE_S, Prometheus, Rule
from tailgate.slo.promql import TICKET_Z

Flags = NDArray[np.bool_]
SPANS = {"1m": WINDOW_S, "5m": 300.0, "1h": HOUR_S}
NEW, ANY = "new process or counter", "any"


@dataclass(frozen=True)
class Error:
    """Distances of one recorded series from the truth, in one situation.

    Attributes:
        series: Its name, and its slice if it has one.
        when: The situation.
        evaluations: How many were compared.
        absent: At how many others there was a truth, but nothing recorded.
        scraped: Largest distance from what the requests between the same scrapes say; None where that is not asked.
        scraped_p95: 95th percentile of these.
        median: Of the distances from the wall-clock window.
        p95: 95th percentile of these.
        largest: Of these.
    """

    series: str
    when: str
    evaluations: int
    absent: int
    scraped: float | None
    scraped_p95: float | None
    median: float
    p95: float
    largest: float


class Recorded:
    """The series that a Prometheus has recorded."""

    def __init__(self, server: Prometheus, rules: dict[str, Rule], length_s: float) -> None:
        """Read from a server, over the whole length, by these rules."""
        self._server, self._rules, self._length_s = server, rules, length_s

    def instants(self, name: str) -> Floats:
        """When a rule was evaluated, in seconds from the start."""
        return self._rules[name].instants(START_S, START_S + self._length_s) - START_S

    def values(self, name: str, **labels: str) -> Floats:
        """What it recorded then; NaN where nothing."""
        instants = self.instants(name)
        selector = ",".join(f'{key}="{value}"' for key, value in labels.items())
        found = np.full(len(instants), np.nan)
        for series in self._server.samples(f"{name}{{{selector}}}", START_S - 1.0, START_S + self._length_s):
            found[np.searchsorted(instants, series.times_s - START_S - 1e-3)] = series.values
        return found


def errors(
    recorded: Recorded, requests: Requests, truth: Truth, plan: Plan, counted: Sequence[Counted]
) -> Iterator[Error]:
    """Compare."""
    for span, length_s in SPANS.items():
        at = recorded.instants(f"model:tailgate_tca:ratio_rate{span}")
        kinds = situations(plan, at, length_s, missing(plan, at, length_s) | guessed(counted, at, length_s))
        wall, seen = trailing(truth, at, length_s), Scraped(requests).trailing(at, length_s)
        name = f"model:tailgate_tca:ratio_rate{span}"
        yield from _compared(name, kinds, recorded.values(name), wall.share, seen.share)
        name = f"model:tailgate_tca_upper:ratio_rate{span}"
        bounds = (wilson_upper(windows, TICKET_Z) for windows in (wall, seen))
        yield from _compared(name, kinds, recorded.values(name), *bounds)
        if span == "1m":
            name = "model_version_slice:tailgate_tca:ratio_rate1m"
            for number, slice_ in enumerate(SLICES):
                parts = (
                    trailing(truth.of_series(0, number), at, length_s),
                    _of(requests, 0, number).trailing(at, length_s),
                )
                ours = recorded.values(name, version=VERSIONS[0], slice=slice_)
                yield from _compared(f"{name} {slice_}", kinds, ours, *(windows.share for windows in parts))
            yield from _tails(recorded, at, wall.share, seen.share)
    yield from _canaries(recorded, requests, truth, plan, counted)
    name = "model:tailgate_tca:ratio_rate1d"
    at = recorded.instants(name)
    wall = trailing(truth, at, DAY_S)
    yield from _compared(name, {ANY: at >= scrape_range_s(DAY_S)}, recorded.values(name), wall.share, None)


def _canaries(
    recorded: Recorded, requests: Requests, truth: Truth, plan: Plan, counted: Sequence[Counted]
) -> Iterator[Error]:
    name = "model_slice:tailgate_canary_z:1h"
    at = recorded.instants(name)
    kinds = situations(plan, at, HOUR_S, missing(plan, at, HOUR_S) | guessed(counted, at, HOUR_S))
    for number, slice_ in enumerate(SLICES):
        stable, canary = by_version(truth, at, number)
        wall = np.where(canary.requests.sum(axis=1) >= CANARY_LEAST, canary_z(stable, canary), np.nan)
        seen = _slid_z(_of(requests, 0, number), _of(requests, 1, number), at)
        yield from _compared(f"{name} {slice_}", kinds, recorded.values(name, slice=slice_), wall, seen)


def _slid_z(stable: Scraped, canary: Scraped, at: Floats) -> Floats:
    """The canary's z from windows that slide along with the evaluations, which are as far apart as scrapes."""
    count = round(HOUR_S / SCRAPE_S)
    ends = np.concatenate([at[0] - SCRAPE_S * np.arange(count - 1, 0, -1), at])
    windows = (one.trailing(ends, WINDOW_S) for one in (stable, canary))
    each = canary_excess(*(Windows(one.requests[:, np.newaxis], one.good[:, np.newaxis]) for one in windows))
    excess, variance = (sliding_window_view(one, count).sum(axis=1) for one in each)
    with np.errstate(invalid="ignore", divide="ignore"):
        z: Floats = excess / np.sqrt(variance) * np.sqrt(SCRAPE_S / WINDOW_S)  # they hold every request several times
    z[~np.isfinite(z)] = np.nan
    return z


def _of(requests: Requests, version: int, slice_: int) -> Scraped:
    return Scraped(requests.chosen((requests.version == version) & (requests.slice == slice_)))


def _tails(recorded: Recorded, windows_s: Floats, wall: Floats, seen: Floats) -> Iterator[Error]:
    for span, length_s in (("1h", HOUR_S), ("1d", DAY_S)):
        for name, quantile in (
            (f"model:tailgate_tca:worst1m_{span}", 0.0),
            (f"model:tailgate_tca:p01_1m_{span}", 0.01),
        ):
            at = recorded.instants(name)
            parts = (over(windows_s, shares, at, length_s, quantile) for shares in (wall, seen))
            yield from _compared(name, {ANY: at > 0.0}, recorded.values(name), *parts)


def over(times_s: Floats, values: Floats, ends_s: Floats, length_s: float, quantile: float) -> Floats:
    """A quantile of the values in each stretch before an end, both edges included; NaN before the first whole one."""
    step_s = times_s[1] - times_s[0]
    first = np.searchsorted(times_s, ends_s - length_s - 1e-6)
    count = int(length_s // step_s)
    found = np.full(len(ends_s), np.nan)
    whole = (ends_s - length_s >= times_s[0]) & (first + count <= len(times_s))
    # Where both edges fall on a value there is one more; taken apart, so that all rows are of a length.
    for extra in (0, 1):
        if count + extra > len(times_s):
            continue
        rows = sliding_window_view(values, count + extra)
        inside = np.searchsorted(times_s, ends_s + 1e-6) - first == count + extra
        for chunk in np.array_split(np.flatnonzero(whole & inside), 50):
            found[chunk] = np.nanquantile(rows[first[chunk]], quantile, axis=1) if len(chunk) else np.nan
    return found


def _compared(
    name: str, kinds: Mapping[str, Flags], ours: Floats, wall: Floats, seen: Floats | None
) -> Iterator[Error]:
    expected = np.isfinite(wall) & (True if seen is None else np.isfinite(seen))
    for when, chosen in kinds.items():
        mine = expected & chosen & np.isfinite(ours)
        if mine.any():
            away = np.abs(ours - wall)[mine]
            median, p95 = np.quantile(away, (0.5, 0.95)).tolist()
            exact: tuple[float, ...] | tuple[None, None] = (None, None)
            if seen is not None:
                exact = tuple(np.quantile(np.abs(ours - seen)[mine], (1.0, 0.95)).tolist())
            absent = int((expected & chosen).sum() - mine.sum())
            yield Error(name, when, int(mine.sum()), absent, exact[0], exact[1], median, p95, float(away.max()))


def situations(plan: Plan, at_s: Floats, length_s: float, new: Flags) -> dict[str, Flags]:
    """Which windows that end then are of which kind; each whole one is of one."""
    whole = at_s >= scrape_range_s(length_s)
    spells = (one for one in plan.incidents if one.kind != "canary")
    struck = in_any(at_s, ((one.start_s, one.end_s + scrape_range_s(length_s)) for one in spells))
    night = plan.is_night(at_s)
    return {
        "by day": whole & ~new & ~struck & ~night,
        "at night": whole & ~new & ~struck & night,
        "incident": whole & ~new & struck,
        NEW: whole & new,
    }
