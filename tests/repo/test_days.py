"""The known-truth simulation (`bench/days.py`): its requests, truth and counters are what they should be."""

from __future__ import annotations

import math
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench._days_errors import over
from bench._days_plan import DEADLINES_S, FLOOR, FULL, MODEL, QUICK, Incident, Plan, Restart
from bench._days_requests import Requests, simulate
from bench._days_scraped import Life, counters, guessed, lives, openmetrics
from bench._days_truth import Scraped, Truth, Windows, canary_z, sayable_s, trailing, wilson_upper
from bench._prometheus import SCRAPE_S
from tailgate.gauges import Gauges
from tailgate.ledger import Ledger, latency_buckets_s
from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.slo import bounds
from tailgate.snapshot import Snapshot

PLAN = Plan(
    length_s=1200.0,
    day_s=2400.0,  # from midnight to noon
    incidents=(Incident("outage", 700.5, 60.0), Incident("wrong", 900.25, 90.0), Incident("canary", 1000.0, 200.0)),
    canaries=((400.0, 1200.0),),
    restarts=(Restart(1, 640.3, 30.0),),
    quiet=((0.0, 700.0),),
)
REQUESTS = simulate(PLAN, 7)
TRUTH = Truth.of(REQUESTS, PLAN.length_s)


# --- the requests


def test_the_same_seed_makes_the_same_requests_and_another_makes_others() -> None:
    again, other = simulate(PLAN, 7), simulate(PLAN, 8)
    for name in vars(REQUESTS):
        assert np.array_equal(getattr(REQUESTS, name), getattr(again, name))
    assert not np.array_equal(REQUESTS.arrival_s[:100], other.arrival_s[:100])


def test_what_is_in_time_ended_by_its_deadline_and_what_is_late_did_not() -> None:
    took_s = REQUESTS.end_s - REQUESTS.arrival_s
    assert (took_s[REQUESTS.in_time] <= REQUESTS.budget_s[REQUESTS.in_time] + 1e-9).all()
    late = REQUESTS.outcome == Outcome.OK_LATE
    assert late.any()
    assert (took_s[late] > REQUESTS.budget_s[late] - 1e-9).all()
    assert np.unique(REQUESTS.budget_s).tolist() == sorted(DEADLINES_S)
    assert not REQUESTS.right[~np.isin(REQUESTS.outcome, (Outcome.OK, Outcome.OK_LATE))].any()


def test_each_incident_strikes_whom_it_should_and_nobody_else() -> None:
    def share(requests: Requests) -> float:
        return float(requests.right_in_time.mean())

    at = REQUESTS.arrival_s
    assert share(REQUESTS.chosen(at < 700)) > 0.93
    assert share(REQUESTS.chosen((at >= 700.5) & (at < 760.5))) == 0
    assert 0.3 < share(REQUESTS.chosen((at >= 900.25) & (at < 990.25))) < 0.65
    after = REQUESTS.chosen(at >= 1000)
    bad = (after.version == 1) & (after.slice == 1)
    assert share(after.chosen(~bad)) > 0.93
    assert not (REQUESTS.version[at < 400]).any()


def test_no_request_reaches_a_replica_that_is_not_there() -> None:
    gone = (REQUESTS.arrival_s >= 640.3) & (REQUESTS.arrival_s < 670.3)
    assert gone.any()
    assert not (REQUESTS.replica[gone] == 1).any()


@pytest.mark.parametrize("plan", [FULL, QUICK])
def test_nothing_goes_wrong_in_stretches_that_are_called_quiet(plan: Plan) -> None:
    for (start_s, end_s), one in product(plan.quiet, plan.incidents):
        assert one.end_s <= start_s or one.start_s >= end_s
    for one in plan.incidents:
        assert one.kind != "canary" or (one.start_s, one.end_s) in plan.canaries
    hours = np.arange(0.0, plan.length_s, 60.0)
    assert plan.rate(hours).min() == 0.2
    assert plan.is_night(hours[plan.is_quiet(hours)]).any()
    assert any(plan.is_quiet(np.array([one.start_s]))[0] for one in plan.restarts)


# --- the counters


@pytest.mark.parametrize("life", lives(PLAN), ids=lambda life: f"{life.replica}-{life.born_s:g}")
def test_the_counters_are_those_that_the_real_books_export(life: Life) -> None:
    at = len(life.scrapes_s) - 1
    scrape_s = life.scrapes_s[at]
    ledger = Ledger(latency_buckets_s(DEADLINES_S))
    mine = REQUESTS.chosen(
        (REQUESTS.replica == life.replica) & (REQUESTS.arrival_s >= life.born_s) & (REQUESTS.arrival_s <= scrape_s)
    )
    for number in range(len(mine.arrival_s)):
        outcome, names = Outcome(int(mine.outcome[number])), ("7", "8")[mine.version[number]]
        part = ("common", "rare")[mine.slice[number]]
        seen = outcome in (Outcome.OK, Outcome.OK_LATE)
        ledger.arrive()
        if mine.due_s[number] <= scrape_s:
            ledger.fall_due(MODEL, names, part)
        if mine.end_s[number] <= scrape_s:
            predicted = int(not mine.right[number]) if seen else UNKNOWN_CLASS
            took_s = float(mine.end_s[number] - mine.arrival_s[number])
            budget_s = float(mine.budget_s[number])
            ledger.book(Observation("", MODEL, names, 0.0, budget_s, took_s, outcome, predicted, label=0, slice=part))
            if seen:  # with a label that came with the request, its weight is 1
                assert outcome.answered
    exported = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for metric in Snapshot(ledger, Gauges()).collect()
        for sample in metric.samples
    }
    ours = {(name, frozenset(labels)): int(values[at]) for (name, labels), values in counters(REQUESTS, life).items()}
    assert sum(ours.values()) > 100
    for key, value in ours.items():
        assert exported.get(key, 0) == value, key
    exported_by_us = {name for name, _ in ours}
    left_out = {key for key, value in exported.items() if key[0] in exported_by_us and key not in ours and value}
    assert not left_out


def test_counters_never_fall_within_a_life_and_begin_at_zero_in_each() -> None:
    for life in lives(PLAN):
        for values in counters(REQUESTS, life).values():
            assert (np.diff(values) >= 0).all()
            assert values[0] <= 25 * SCRAPE_S


def test_an_openmetrics_file_names_each_family_once_and_ends() -> None:
    lines = list(openmetrics([(life, counters(REQUESTS, life)) for life in lives(PLAN)], PLAN))
    types = [line for line in lines if line.startswith("# TYPE")]
    assert len(types) == len(set(types))
    assert lines[-1] == "# EOF\n"
    down = [line for line in lines if line.startswith("up{") and " 0 " in line]
    assert len(down) == 30.0 / SCRAPE_S  # without replica 1


def test_a_counter_that_counts_its_first_is_known_to_be_guessed() -> None:
    scrapes_s = np.arange(3.0, 600.0, SCRAPE_S)
    life = Life(0, 0.0, 600.0, scrapes_s)
    values = np.where(scrapes_s > 300.0, 1, 0)
    ends_s = np.arange(100.0, 600.0, SCRAPE_S)
    found = guessed([(life, {("tailgate_due_requests_total", ()): values})], ends_s, 60.0)
    first = scrapes_s[values > 0][0]
    assert np.array_equal(found, (ends_s >= first) & (ends_s - 60.0 - SCRAPE_S <= first - SCRAPE_S))


# --- the truth


def test_every_second_counts_every_request_once() -> None:
    assert TRUTH.arrived.sum() == len(REQUESTS.arrival_s)
    assert TRUTH.right_in_time.sum() == REQUESTS.right_in_time.sum()
    assert (TRUTH.right_in_time <= TRUTH.arrived).all()


@given(edges=st.lists(st.floats(0.0, 1200.0), min_size=2, max_size=6, unique=True).map(sorted))
def test_windows_that_follow_each_other_hold_what_the_whole_holds(edges: list[float]) -> None:
    whole = trailing(TRUTH, np.array([edges[-1]]), edges[-1] - edges[0])
    parts = [trailing(TRUTH, np.array([end]), end - start) for start, end in pairwise(edges)]
    assert sum(part.requests[0] for part in parts) == pytest.approx(whole.requests[0], abs=1e-6)
    assert sum(part.good[0] for part in parts) == pytest.approx(whole.good[0], abs=1e-6)


@given(end_s=st.floats(200.0, 1200.0), length_s=st.sampled_from((60.0, 150.0)))
def test_windows_between_scrapes_hold_the_requests_between_the_first_scrape_and_the_last(
    end_s: float, length_s: float
) -> None:
    total = good = 0
    for replica, offset_s in enumerate((3.2, 11.7)):
        tried = np.arange(offset_s, 1200.0 + SCRAPE_S, SCRAPE_S)
        within = tried[(tried >= end_s - length_s - SCRAPE_S) & (tried <= end_s)]
        mine = (REQUESTS.replica == replica) & (REQUESTS.due_s > within[0]) & (REQUESTS.due_s <= within[-1])
        total += int(mine.sum())
        good += int(REQUESTS.right_in_time[mine].sum())
    found = Scraped(REQUESTS).trailing(np.array([end_s]), length_s)
    assert (found.requests[0], found.good[0]) == (total, good)


@given(n=st.integers(1, 5000), share=st.floats(0.0, 1.0), z=st.sampled_from((3.29, 3.9)))
def test_bounds_are_those_of_the_formula(n: int, share: float, z: float) -> None:
    good = round(n * share)
    windows = Windows(np.array([float(n)]), np.array([float(good)]))
    assert wilson_upper(windows, z)[0] == pytest.approx(bounds.wilson_upper(good / n, n, z))


@given(
    tables=st.lists(
        st.tuples(st.integers(1, 50), st.integers(0, 50), st.integers(1, 200), st.integers(0, 200)),
        min_size=1,
        max_size=60,
    )
)
def test_the_canarys_z_is_that_of_the_formula(tables: list[tuple[int, int, int, int]]) -> None:
    table = np.array(tables, np.float64)
    canary = Windows(table[np.newaxis, :, 0], np.minimum(table[:, 0], table[:, 1])[np.newaxis])
    stable = Windows(table[np.newaxis, :, 2], np.minimum(table[:, 2], table[:, 3])[np.newaxis])
    good, n = canary.good + stable.good, canary.requests + stable.requests
    shares = zip(canary.share[0], table[:, 0], stable.share[0], table[:, 2], strict=True)
    varied = bool(((good > 0) & (good < n)).any())  # else nothing can be compared
    expected = bounds.stratified_z(shares) if varied else math.nan
    assert canary_z(stable, canary)[0] == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_an_incident_is_sayable_only_once_it_has_begun() -> None:
    for incident in PLAN.incidents[:2]:
        at_s = sayable_s(TRUTH, incident)
        assert incident.start_s < at_s < incident.start_s + 60.0
        before = trailing(TRUTH, np.array([at_s - 1.0, at_s]), 60.0)
        assert (wilson_upper(before, 3.29) < FLOOR).tolist() == [False, True]
    assert sayable_s(TRUTH, Incident("slow", 100.0, 100.0)) == np.inf


@given(
    values=st.lists(st.floats(0.0, 1.0), min_size=30, max_size=60),
    phase_s=st.sampled_from((0.0, 4.0, 14.5)),
    quantile=st.sampled_from((0.0, 0.01, 0.5)),
)
def test_quantiles_over_stretches_are_those_of_the_values_within(
    values: list[float], phase_s: float, quantile: float
) -> None:
    times_s, length_s = 15.0 * np.arange(len(values)) + 2.0, 180.0
    ends_s = np.arange(190.0 + phase_s, times_s[-1], 60.0)
    found = over(times_s.astype(np.float64), np.array(values), ends_s, length_s, quantile)
    for end_s, one in zip(ends_s, found, strict=True):
        within = np.array(values)[(times_s >= end_s - length_s) & (times_s <= end_s)]
        assert one == pytest.approx(np.quantile(within, quantile))
