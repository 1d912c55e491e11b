"""The known-truth simulation (`bench/days.py`): its alerts fire when Prometheus's would, and are counted rightly."""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench._days_alerts import Fired, episodes
from bench._days_found import blamed, find, noise
from bench._days_plan import Incident, Plan
from bench._days_requests import simulate
from bench._days_truth import Truth
from bench._prometheus import SCRAPE_S, Rule, by_lookback, levels

OUTAGE = Incident("outage", 700.5, 60.0)
PLAN = Plan(1200.0, 2400.0, (OUTAGE, Incident("canary", 900.0, 100.0)), ((900.0, 1000.0),), (), ((0.0, 700.0),))
TRUTH = Truth.of(simulate(PLAN, 7), PLAN.length_s)
flags = st.lists(st.booleans(), min_size=1, max_size=60)


def every(held: list[bool]) -> list[float]:
    return [15.0 * number for number in range(len(held))]


@given(held=flags)
def test_an_alert_without_for_fires_exactly_while_it_holds(held: list[bool]) -> None:
    times = every(held)
    fires = [any(start <= at < end for start, end in episodes(times, held)) for at in times]
    assert fires == held


@given(held=flags, pending=st.integers(0, 5), keep=st.integers(0, 5))
def test_for_only_delays_and_keep_firing_for_only_prolongs(held: list[bool], pending: int, keep: int) -> None:
    times = every(held)
    at_once = episodes(times, held)
    later = episodes(times, held, 15.0 * pending)
    assert all(any(a <= c and d <= b for a, b in at_once) and c >= 15.0 * pending for c, d in later)
    longer = episodes(times, held, 15.0 * pending, 15.0 * keep)
    assert all(any(a <= c and d <= b for a, b in longer) for c, d in later)
    assert len(longer) <= len(later)


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: apt-get install prometheus)"
)
def test_alerts_fire_when_prometheus_says_they_do(tmp_path: Path) -> None:
    chosen, steps = random.Random(3), 60
    held = [chosen.random() < (0.9 if step % 20 < 12 else 0.3) for step in range(steps)]
    rules, cases = [], []
    for pending, keep in product((0, 30, 60), (0, 15, 45, 120)):
        name = f"For{pending}Keep{keep}"
        rules.append({"alert": name, "expr": "held == 1", "for": f"{pending}s", "keep_firing_for": f"{keep}s"})
        fires = episodes(every(held), held, pending, keep)
        for at in every(held):
            firing = any(start <= at < end for start, end in fires)
            expected: list[dict[str, object]] = [{"exp_labels": {}}] if firing else []
            cases.append({"eval_time": f"{at:g}s", "alertname": name, "exp_alerts": expected})
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "g", "interval": "15s", "rules": rules}]}))
    series = [{"series": "held", "values": " ".join(str(int(one)) for one in held)}]
    test = {"interval": "15s", "input_series": series, "alert_rule_test": cases}
    (tmp_path / "test.json").write_text(
        json.dumps({"rule_files": ["rules.json"], "evaluation_interval": "15s", "tests": [test]})
    )
    done = subprocess.run(
        ["promtool", "test", "rules", "test.json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]


def test_an_incident_is_found_by_the_first_alert_that_began_in_it() -> None:
    def one(alert: str, severity: str, from_s: float, to_s: float = 1100.0) -> Fired:
        return Fired(alert, severity, (("slice", "rare"),), from_s, to_s)

    fired = [
        one("TailgateBadWindow", "ticket", 650.0),  # it was on before
        one("TailgateCanaryWorse", "page", 710.0),  # it is about something else
        one("TailgateBadWindow", "page", 790.5),
        one("TailgateBadWindow", "ticket", 730.5),
    ]
    found = find(TRUTH, OUTAGE, fired)
    assert (found.alert, found.page, found.by) == (30.0, 90.0, "TailgateBadWindow")
    never = find(TRUTH, OUTAGE, fired[:2])
    assert (never.alert, never.page) == (np.inf, np.inf)


def test_noise_is_what_fires_while_nothing_is_wrong() -> None:
    fired = [
        Fired("A", "page", (), 30.0, 90.0),
        Fired("A", "page", (), 690.0, 1000.0),
        Fired("A", "page", (), 800.0, 900.0),
    ]
    found = noise(PLAN, "A", fired)
    assert (found.by_day + found.by_night, found.minutes_by_day + found.minutes_by_night) == (
        2,
        1.0 + math.ceil(10.0 / SCRAPE_S) * SCRAPE_S / 60.0,
    )


def test_a_canary_is_blamed_wrongly_unless_it_is_bad_then_and_in_that_slice() -> None:
    def worse(slice_: str, from_s: float) -> Fired:
        return Fired("TailgateCanaryWorse", "page", (("slice", slice_),), from_s, from_s + 60.0)

    rightly, elsewhere, before = worse("rare", 950.0), worse("common", 950.0), worse("rare", 800.0)
    other = Fired("TailgateBadWindow", "page", (), 950.0, 960.0)
    assert blamed(PLAN, [rightly, elsewhere, before, other]) == [elsewhere, before]


def rule(name: str, expr: str, interval_s: float = SCRAPE_S) -> Rule:
    return Rule(name, expr, "group", interval_s, {})


def test_rules_are_evaluated_after_what_they_use_and_only_where_needed() -> None:
    rules = {
        one.name: one
        for one in (rule("a:b", "x"), rule("c:d", "a:b + y[28d:1h]"), rule("e:f", "a:b / c:d"), rule("g:h", "a:b"))
    }
    assert levels(rules, ["e:f"]) == [["a:b"], ["c:d"], ["e:f"]]
    with pytest.raises(ValueError, match="circle: a:b, c:d"):
        levels({"a:b": rule("a:b", "c:d"), "c:d": rule("c:d", "a:b")}, ["a:b"])


def test_a_sample_is_seen_until_the_next_one_is_due() -> None:
    rules = {"a:b": rule("a:b", "x"), "c:d": rule("c:d", "x", 60.0)}
    alerts = [rule("Raw", "x > 1"), rule("Fast", "a:b > 1"), rule("Slow", "a:b > c:d")]
    assert {seen: [one.name for one in some] for seen, some in by_lookback(alerts, rules).items()} == {
        SCRAPE_S - 1e-3: ["Raw", "Fast"],
        59.999: ["Slow"],
    }


@given(from_s=st.integers(0, 10**6), length_s=st.integers(61, 10**4), interval_s=st.sampled_from((5.0, 15.0, 60.0)))
def test_a_group_is_evaluated_evenly_and_always_at_its_own_phase(from_s: int, length_s: int, interval_s: float) -> None:
    found = rule("a:b", "x", interval_s).instants(from_s, from_s + length_s)
    assert from_s <= found[0] < from_s + interval_s
    assert found[-1] < from_s + length_s
    assert (np.diff(found) == interval_s).all()
    assert found[0] % interval_s == rule("c:d", "y", interval_s).instants(0.0, 100.0)[0]
