"""`tailgate up`: what it finds, what it writes, what it says. That all of it runs is shown in tests/e2e/test_up.py."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tailgate.cli import main
from tailgate_loadgen.up.monitoring import Programs, find_programs, slo_of, write_files
from tailgate_loadgen.up.play import status_line
from tailgate_loadgen.up.webhook import Webhook, read_alerts

ALERT = {"status": "firing", "labels": {"alertname": "TailgateBadWindow"}, "annotations": {"summary": "it is bad"}}


def test_programs_are_found_by_the_names_that_debian_gives_them() -> None:
    debian = {"prometheus": "/usr/bin/prometheus", "prometheus-alertmanager": "/usr/bin/prometheus-alertmanager"}
    assert find_programs(debian.get) == Programs("/usr/bin/prometheus", "/usr/bin/prometheus-alertmanager")
    assert find_programs({"alertmanager": "/opt/alertmanager"}.get) == Programs(None, "/opt/alertmanager")


def test_what_is_missing_is_said_with_how_to_get_it() -> None:
    assert Programs("p", "a").missing == []
    first, second = Programs(None, None).missing
    assert "prometheus is not installed" in first
    assert "apt-get install prometheus-alertmanager" in second


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed; it comes with prometheus")
@pytest.mark.parametrize("alertmanager", [None, "127.0.0.1:9"])
def test_what_is_written_is_a_configuration_for_prometheus_with_all_its_rules(
    tmp_path: Path, alertmanager: str | None
) -> None:
    write_files(tmp_path, slo_of("digits", 25.0, 0.95, 0.85), alertmanager, "http://127.0.0.1:9/alerts")
    done = subprocess.run(
        ["promtool", "check", "config", "prometheus.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "2 rule files found" in done.stdout
    assert ("alerting" in json.loads((tmp_path / "prometheus.yml").read_text())) is (alertmanager is not None)


def test_alerts_that_are_posted_are_told_once() -> None:
    told: list[tuple[str, str, str]] = []
    webhook = Webhook(lambda *alert: told.append(alert))
    body = json.dumps({"alerts": [ALERT, {**ALERT, "status": "resolved"}]}).encode()
    with urllib.request.urlopen(webhook.url, data=body, timeout=60) as response:
        assert response.status == 200
    webhook.close()
    assert told == [(status, "TailgateBadWindow", "it is bad") for status in ("firing", "resolved")]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"alerts": 7}', b'{"alerts": [{}]}'])
def test_what_is_no_alert_is_none(body: bytes) -> None:
    assert read_alerts(body) == []


def test_a_proxy_that_does_not_answer_is_said_so() -> None:
    assert status_line({}) == "the proxy does not answer"


@pytest.mark.parametrize(
    ("option", "value"),
    [("rate", "0"), ("deadline-ms", "nan"), ("seconds", "-1"), ("objective", "1"), ("floor", "0.99")],
)
def test_a_value_out_of_range_is_named(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", f"--{option}", value]) == 2
    assert f"--{option}" in capsys.readouterr().err
