"""Several days of known truth, put to a real Prometheus with our rules: `python bench/days.py [--quick] [--seed N]`.

Millions of simulated requests: two replicas, two versions, two slices, a deadline with each request, nights with one
request in five seconds, restarts, and days on which nothing is wrong beside incidents of four kinds (`_days_plan.py`).
What two proxies would have exported becomes Prometheus's history; the checked-in rules are evaluated over all of it,
each group at its own interval and phase, and so are the alerts, with their `for` and `keep_firing_for`. Then:

- Recorded series against the truth, twice. *Scrapes*: against the requests between the same scrapes, which says whether
  a rule counts right. *Clock*: against the wall-clock window that ends with the evaluation, which adds that scrapes are
  some seconds old. The bounds were found once at single instants of another simulation; here they are held against
  19 of 20 evaluations.
- Every alert that begins in a time when nothing is wrong.
- Incidents: seconds from the beginning, and from when it could have been said at all by whoever knew every request to
  the second (the same Wilson bound or z as the rules), to the first alert, and to the first page.
- For contrast the alert that people write first: the lowest one-minute window is under the floor.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench._common import Claim, finish, machine, markdown_table
from bench._days_alerts import Fired, fired
from bench._days_errors import ANY, NEW, Error, Recorded, errors
from bench._days_found import Found, Noise, blamed, find, noise
from bench._days_plan import DAY_S, FULL, QUICK, SLICES, START_S, Plan
from bench._days_requests import simulate
from bench._days_scraped import counters, lives, openmetrics
from bench._days_truth import Truth
from bench._prometheus import (
    SCRAPE_S,
    SHIPPED,
    Prometheus,
    Rule,
    backfill,
    missing_binaries,
    read_rules,
    record,
    recorded_in,
)

SEED = 20_260_105
NAIVE = Rule(
    "raw minimum of windows under the floor",
    "min_over_time(model:tailgate_tca:ratio_rate1m[5m]) < model:tailgate_window_floor:ratio",
    "tailgate-quality",
    SCRAPE_S,
    {"severity": "naive"},
)
SHOWN = ("model:tailgate_tca", "model_version_slice:tailgate_tca:ratio_rate1m", "model_slice:tailgate_canary_z:1h")
FOUND_WITHIN_S = 60.0
EXACT = 1e-6
NEAR = {  # by day and in incidents, at night
    "1m": (0.013, 0.076),
    "5m": (0.011, 0.011),
    "1h": (0.0008, 0.0008),
}
NEAR_DAY, NEAR_WORST, NEAR_P01, NEAR_Z = 0.00006, 0.0001, 0.0007, 0.13


def main() -> int:
    """Simulate, ask, print, write; 1 if a claim does not hold, 2 if Prometheus is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="eight hours instead of five days")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    if absent := missing_binaries():
        print(absent)
        return 2
    plan: Plan = QUICK if options.quick else FULL
    with TemporaryDirectory(prefix="tailgate-days-") as folder:
        return _run(plan, options.seed, Path(folder), quick=options.quick)


def _run(plan: Plan, seed: int, folder: Path, *, quick: bool) -> int:
    began_s = time.monotonic()

    def said(what: str) -> None:
        print(f"{time.monotonic() - began_s:6.0f} s  {what}", file=sys.stderr, flush=True)

    requests = simulate(plan, seed)
    truth = Truth.of(requests, plan.length_s)
    counted = [(life, counters(requests, life)) for life in lives(plan)]
    said(f"{len(requests.arrival_s):,} requests; their counters to Prometheus")
    data = folder / "tsdb"
    data.mkdir()
    backfill(openmetrics(counted, plan), data)
    rules, alerts = read_rules(sorted((SHIPPED / "rules").glob("*.yml")), folder)
    wanted = {name for rule in (*alerts, NAIVE) for name in recorded_in(rule.expr)}
    wanted |= {name for name in rules if name.startswith(SHOWN)}
    end_s = START_S + plan.length_s
    record(rules, wanted & rules.keys(), data, START_S, end_s, said)
    with Prometheus(data) as server:
        said("reading what was recorded")
        found = list(errors(Recorded(server, rules, plan.length_s), requests, truth, plan, counted))
    said("evaluating the alerts")
    ours, naive = (
        [_from_start(one) for one in fired(data, which, rules, START_S, end_s)] for which in (alerts, [NAIVE])
    )
    said("done")
    incidents = [find(truth, incident, ours) for incident in plan.incidents]
    pages, tickets = ([one for one in ours if one.severity == severity] for severity in ("page", "ticket"))
    quiet_days = sum(end - start for start, end in plan.quiet) / DAY_S
    noises = [
        noise(plan, name, some) for name, some in (("our pages", pages), ("our tickets", tickets), (NAIVE.name, naive))
    ]
    blames = [one for one in blamed(plan, ours) if one.severity == "page"]
    print(f"{len(requests.arrival_s):,} requests in {plan.length_s / DAY_S:.3g} days; {len(rules)} recording rules, "
          f"{len(alerts)} alerts\n")  # fmt: skip
    _print(found, incidents, noises, quiet_days)
    details: dict[str, Any] = {
        "machine": machine("numpy") | {"prometheus": _version()},
        "seed": seed,
        "scrape_s": SCRAPE_S,
        "days": plan.length_s / DAY_S,
        "requests": len(requests.arrival_s),
        "incident_free_days": quiet_days,
        "seconds": round(time.monotonic() - began_s),
        "errors": [asdict(one) for one in found],
        "incidents": [_plain(one) for one in incidents],
        "while_nothing_was_wrong": [asdict(one) for one in noises],
        "fired": [asdict(one) for one in ours],
    }
    return finish("days", [*_claims(found, incidents, noises, blames, quiet_days)], quick=quick, **details)


def _from_start(one: Fired) -> Fired:
    return replace(one, from_s=one.from_s - START_S, to_s=one.to_s - START_S)


def _print(found: Sequence[Error], incidents: Sequence[Found], noises: Sequence[Noise], quiet_days: float) -> None:
    print(markdown_table(
        ("series", "when", "evaluations", "scrapes: largest", "clock: median", "clock: 19 of 20", "clock: largest"),
        [
            (f"`{one.series}`", one.when, one.evaluations, "" if one.scraped is None else f"{one.scraped:.1g}",
             f"{one.median:.2g}", f"{one.p95:.2g}", f"{one.largest:.2g}")
            for one in found
        ],
    ))  # fmt: skip
    print("\nSeconds from the beginning of an incident\n")
    print(markdown_table(
        ("incident", "at", "sayable", "first alert", "its name", "first page"),
        [(one.kind, one.at, round(one.sayable), _shown(one.alert), one.by, _shown(one.page)) for one in incidents],
    ))  # fmt: skip
    print(f"\nIn {quiet_days:.3g} days on which nothing was wrong\n")
    print(markdown_table(
        ("alert", "times by day", "minutes by day", "times at night", "minutes at night"),
        [(one.alert, one.by_day, round(one.minutes_by_day), one.by_night, round(one.minutes_by_night))
         for one in noises],
    ))  # fmt: skip


def _claims(
    found: Sequence[Error],
    incidents: Sequence[Found],
    noises: Sequence[Noise],
    blames: Sequence[Fired],
    quiet_days: float,
) -> Iterator[Claim]:
    pages = noises[0]
    yield Claim(f"pages in {quiet_days:.3g} incident-free days", pages.by_day + pages.by_night, 0.0)
    yield Claim("pages that blame a canary as good as stable", len(blames), 0.0)
    for kind in dict.fromkeys(one.kind for one in incidents):
        every = [one for one in incidents if one.kind == kind]
        name = f"{kind}, the slowest of {len(every)}: seconds from when it was sayable to the first alert"
        yield Claim(name, max(one.alert - one.sayable for one in every), FOUND_WITHIN_S)
    spells = [one for one in incidents if one.kind != "canary"]
    whole = "spells and outages, the slowest: seconds from the beginning"
    yield Claim(f"{whole} to the first alert", max(one.alert for one in spells), FOUND_WITHIN_S)
    yield Claim(f"{whole} to the first page", max(one.page for one in spells), FOUND_WITHIN_S)
    yield from _error_claims(found)


def _error_claims(found: Sequence[Error]) -> Iterator[Claim]:
    by_clock, between = "from the clock's window, 19 of 20", "from the requests between the same scrapes"
    yield Claim("evaluations at which one of these series is missing", sum(one.absent for one in found), 0.0)
    for span, (near, near_at_night) in NEAR.items():
        what = f"accuracy over {span}"
        rows = {one.when: one for one in found if one.series == f"model:tailgate_tca:ratio_rate{span}"}
        exact = max(one.scraped or 0.0 for one in rows.values() if one.when != NEW)
        yield Claim(f"{what}: {between}, largest", exact, EXACT)
        if NEW in rows:
            yield Claim(f"{what}, {NEW}: {between}, largest", rows[NEW].scraped or 0.0, near)
        for when, bound in (("by day", near), ("incident", near), ("at night", near_at_night)):
            if when in rows:
                yield Claim(f"{what}, {when}: {by_clock}", rows[when].p95, bound)
    by_series = {one.series: one for one in found if one.when == ANY}
    for series, what, bound in (
        ("model:tailgate_tca:worst1m_1h", "worst window of 1h", NEAR_WORST),
        ("model:tailgate_tca:worst1m_1d", "worst window of 1d", NEAR_WORST),
        ("model:tailgate_tca:p01_1m_1h", "1 % quantile of the windows of 1h", NEAR_P01),
        ("model:tailgate_tca:p01_1m_1d", "1 % quantile of the windows of 1d", NEAR_P01),
    ):
        if series in by_series:
            yield Claim(f"{what}: {between}, 19 of 20", by_series[series].scraped_p95 or 0.0, bound)
    if day := by_series.get("model:tailgate_tca:ratio_rate1d"):
        yield Claim(f"accuracy over 1d: {by_clock}", day.p95, NEAR_DAY)
    for slice_ in SLICES:
        of_slice = [one for one in found if one.series == f"model_slice:tailgate_canary_z:1h {slice_}"]
        largest = max(one.scraped or 0.0 for one in of_slice)
        yield Claim(f"canary's z, {slice_} slice: {between}, largest", largest, NEAR_Z)
        yield Claim(f"canary's z, {slice_} slice: {by_clock}", max(one.p95 for one in of_slice), NEAR_Z)


def _shown(seconds: float) -> str:
    return "never" if math.isinf(seconds) else f"{seconds:.0f}"


def _plain(found: Found) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and math.isinf(value) else value for name, value in asdict(found).items()
    }


def _version() -> str:
    said = subprocess.run(["promtool", "--version"], capture_output=True, text=True, check=True)
    return (said.stdout + said.stderr).split()[2]


if __name__ == "__main__":
    sys.exit(main())
