"""Alerts under real scatter: binomial counts of known truth, a quiet night and a busy day, judged by promtool."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tailgate.config import read_config
from tailgate.slo.config import SloConfig
from tailgate.slo.generate import generate

pytestmark = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: apt-get install prometheus)"
)

SEED = 4
FLOOR, OBJECTIVE, TRUTH = 0.85, 0.9, 0.912
NIGHT_S, DAY_S = 3600, 1800
INCIDENT_S = NIGHT_S + DAY_S
"""When half of the answers begin to be wrong, for 90 s."""


def samples(counts: np.ndarray) -> str:
    return " ".join(str(int(count)) for count in np.concatenate([[0], np.cumsum(counts)]))


def series(step_s: int) -> dict[str, str]:
    """A true time-critical accuracy of 0.912: an hour of night, 0.2 requests a second, then half an hour of 20."""
    random = np.random.default_rng(SEED)
    end_s = INCIDENT_S + 600
    start_s = np.arange(0, end_s, step_s)
    requests = random.poisson(np.where(start_s < NIGHT_S, 0.2, 20.0) * step_s)
    in_time = random.binomial(requests, 0.96)
    wrong = (start_s >= INCIDENT_S) & (start_s < INCIDENT_S + 90)
    right = random.binomial(in_time, np.where(wrong, 0.5, TRUTH / 0.96))
    late = requests - in_time
    counters = {
        'tailgate_requests_total{outcome="ok"': in_time,
        'tailgate_requests_total{outcome="deadline_in_flight"': late,
    }
    for name in ("tailgate_labelled_requests_total", "tailgate_labelled_weight_total"):
        counters[f'{name}{{outcome="ok",verdict="right"'] = right
        counters[f'{name}{{outcome="ok",verdict="wrong"'] = in_time - right
        counters[f'{name}{{outcome="deadline_in_flight",verdict="unknown"'] = late
    counters["tailgate_due_requests_total{"] = counters["tailgate_labelled_weight_squares_total{"] = requests
    exported = {
        f'{name},instance="a",model="m",version="1"}}'.replace("{,", "{"): samples(counts)
        for name, counts in counters.items()
    }
    for name, value in (("objective", OBJECTIVE), ("window_floor", FLOOR)):
        exported[f'tailgate_{name}_ratio{{instance="a",model="m"}}'] = f"{value}x{len(start_s)}"
    exported['up{instance="a",job="tailgate"}'] = f"1x{len(start_s)}"
    return exported


@pytest.mark.parametrize(("step_s", "page_s"), [(5, 60), (15, 120)])
def test_a_noisy_night_and_day_page_nobody_and_an_incident_is_found_within_a_minute(
    tmp_path: Path, step_s: int, page_s: int
) -> None:
    toml = f'scrape_interval = "{step_s}s"\n[[objective]]\nmodel = "m"\ndeadline = "50ms"\n'
    toml += f"objective = {OBJECTIVE}\nfloor = {FLOOR}\n"
    (tmp_path / "slo.toml").write_text(toml)
    for path, text in generate(read_config(SloConfig, tmp_path / "slo.toml", {})).items():
        if path.parts[0] == "rules":
            (tmp_path / path.name).write_text(text)

    calm = f"{INCIDENT_S}s"
    span = f"[{INCIDENT_S}s:{step_s}s]"
    firing = 'ALERTS{alertstate="firing"'
    # (expression, when, labels and value of what is expected)
    expectations = [
        (f"count(max_over_time({firing}}}{span}))", calm, None),
        # For contrast: an alert on the bare share would have gone off again and again.
        (f"count_over_time((model:tailgate_tca:ratio_rate1m < {FLOOR}){span}) > bool 20", calm, ('{model="m"}', 1)),
        (f"model:tailgate_tca:worst1m_1h < bool {FLOOR}", f"{NIGHT_S}s", ('{model="m"}', 1)),
        (f'count({firing},severity="ticket"}})', f"{INCIDENT_S + 60}s", ("{}", 1)),
        (f'count({firing},alertname="TailgateBadWindow",severity="page"}})', f"{INCIDENT_S + page_s}s", ("{}", 1)),
        (f'count({firing},alertname="TailgateBadWindow"}})', f"{INCIDENT_S + 600}s", None),
    ]
    lines = ["rule_files: [tailgate-recording.yml, tailgate-alerts.yml]", f"evaluation_interval: {step_s}s", "tests:"]
    lines += [f"  - interval: {step_s}s", "    input_series:"]
    for name, values in series(step_s).items():
        lines += [f"      - series: '{name}'", f"        values: '{values}'"]
    lines += ["    promql_expr_test:"]
    for expression, when, expected in expectations:
        lines += [f"      - expr: '{expression}'", f"        eval_time: {when}", "        exp_samples:"]
        lines[-1] += " []" if expected is None else ""
        lines += (
            [] if expected is None else [f"          - labels: '{expected[0]}'", f"            value: {expected[1]}"]
        )
    (tmp_path / "noise.yml").write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        ["promtool", "test", "rules", "noise.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
