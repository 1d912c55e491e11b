"""What a scrape shows: names and labels as defined, values of one instant."""

from __future__ import annotations

import re

from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tailgate import __version__
from tailgate.gauges import AccessCounts, DetectorState, Gauges, LabelCounts, MemberCounts, PastErrorCounts, TlsCounts
from tailgate.ledger import BASE_BUCKETS_S, Histogram, Ledger
from tailgate.metrics import DEFINITIONS
from tailgate.observation import Expected, Observation
from tailgate.outcome import Outcome
from tailgate.snapshot import Snapshot


def scrape(ledger: Ledger) -> str:
    lag = Histogram((0.001,))
    lag.add(0.0005)
    gauges = Gauges(
        {"digits": 0.05},
        {("default", "127.0.0.1:8001"): MemberCounts(True, False, 2, {"answered": 5, "lost": 1}, 1, 1)},
        trace_written=3,
        trace_dropped=1,
        loop_lag=lag,
        connections=7,
        connection_ends={"client": 3, "stall_timeout": 1},
        held_bytes=4096,
        certificate_expiries_s={"server": 1.8e9},
        tls={"server": TlsCounts(reloads=2, reload_failures=1, handshake_failures=5)},
        objectives={"digits": 0.9},
        floors={"digits": 0.8},
        roles={("digits", "1"): "stable"},
        labels=LabelCounts({"joined": 2}, 1, {"digits": lag}, 3, {"too_old": 4}),
        past_errors={("digits", "1"): PastErrorCounts(100.0, 81.0, 80.0, lag)},
        detectors={("digits", "1", ""): DetectorState(1.5, 1000.0, 2)},
        gc_pauses=lag,
        reserve_s=0.002,
        retries_refused={"default": 4},
        unhedged={("default", "budget"): 3},
        access=AccessCounts({("infer", "missing"): 6}, reloads=2, reload_failures=1),
    )
    return generate_latest(Snapshot(ledger, gauges)).decode()


def some_ledger() -> Ledger:
    ledger = Ledger(BASE_BUCKETS_S)
    for predicted in (1, 2, -1):
        ledger.arrive()
        ledger.book(Observation("id", "digits", "1", 1.7e9, 0.05, 0.01, Outcome.OK, predicted=predicted, label=1))
    ledger.arrive()
    return ledger


def test_every_metric_defined_is_exported_and_every_metric_exported_is_defined() -> None:
    families = list(text_string_to_metric_families(scrape(some_ledger())))
    exported = {(family.name, family.type, family.documentation) for family in families}
    kinds = {"CounterMetricFamily": "counter", "GaugeMetricFamily": "gauge", "HistogramMetricFamily": "histogram"}
    expected = {
        (d.name, kinds[d.kind.__name__], d.help) if d.kind.__name__ in kinds else (f"{d.name}_info", "gauge", d.help)
        for d in DEFINITIONS
    }
    assert exported == expected


def test_labels_are_those_of_the_definition() -> None:
    families = {family.name: family for family in text_string_to_metric_families(scrape(some_ledger()))}
    for definition in DEFINITIONS:
        family = families.get(definition.name) or families[f"{definition.name}_info"]
        for sample in family.samples:
            assert set(sample.labels) - {"le", "version"} == set(definition.labels) - {"version"}


def test_names_follow_the_conventions_of_prometheus() -> None:
    for definition in DEFINITIONS:
        assert re.fullmatch(r"tailgate(_[a-z]+)+", definition.name)
        assert not definition.name.endswith("_total")  # added by the exposition
        assert definition.help.endswith(".")


def test_a_scrape_balances_and_shows_what_was_booked() -> None:
    text = scrape(some_ledger())
    assert "tailgate_received_total 4.0" in text
    assert "tailgate_in_flight 1.0" in text
    series = 'model="digits",outcome="ok",slice=""'
    assert f'tailgate_requests_total{{{series},version="1"}} 3.0' in text
    for verdict in ("right", "wrong", "unknown"):
        assert f'tailgate_labelled_requests_total{{{series},verdict="{verdict}",version="1"}} 1.0' in text
    assert 'tailgate_right_latency_seconds_bucket{le="0.01",model="digits",slice="",version="1"} 1.0' in text
    assert 'tailgate_right_latency_seconds_bucket{le="0.005",model="digits",slice="",version="1"} 0.0' in text
    assert 'tailgate_right_deadline_ratio_bucket{le="0.25",model="digits",slice="",version="1"} 1.0' in text
    assert f'tailgate_build_info{{version="{__version__}"}} 1.0' in text
    assert 'tailgate_trace_records_total{result="dropped"} 1.0' in text
    assert "tailgate_budget_reserve_seconds 0.002" in text


def test_a_snapshot_does_not_move_after_it_was_taken() -> None:
    ledger = some_ledger()
    lag = Histogram((0.001,))
    snapshot = Snapshot(ledger, Gauges({}, {}, 0, 0, lag))
    before = generate_latest(snapshot)
    ledger.arrive()
    ledger.book(Observation("id", "digits", "1", 1.7e9, 0.05, 0.01, Outcome.OK))
    assert generate_latest(snapshot) == before


def test_what_was_expected_stands_beside_what_came_true() -> None:
    ledger = some_ledger()
    answer = Observation(
        "id", "digits", "1", 1.7e9, 0.05, 0.01, Outcome.OK, expected=Expected(0.9, 4, 0.75, 0.03, 0.04)
    )
    for outcome in (Outcome.OK, Outcome.OK_LATE):
        ledger.arrive()
        ledger.book(answer._replace(outcome=outcome))
    shown = scrape(ledger)
    of_series = 'model="digits",slice="",version="1"'
    for name, value in (("looked_at", 1.0), ("answers", 4.0), ("right", 3.0), ("spread", 0.2)):
        assert f"tailgate_expected_{name}_total{{{of_series}}} {value}" in shown.splitlines()
    of_version = 'model="digits",version="1"'
    for name, value in (("answers", 100.0), ("expected_right", 81.0), ("right", 80.0)):
        assert f"tailgate_reconciled_{name}_total{{{of_version}}} {value}" in shown.splitlines()
    assert f"tailgate_expected_error_ratio_count{{{of_version}}} 1.0" in shown.splitlines()
