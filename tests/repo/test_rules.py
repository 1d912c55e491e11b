"""The checked-in rules are fresh, valid, tested, explained, and about metrics that exist."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tailgate.config import read_config
from tailgate.metrics import DEFINITIONS
from tailgate.slo.alerts import alerts
from tailgate.slo.command import COMMAND
from tailgate.slo.config import SloConfig
from tailgate.slo.generate import generate
from tailgate.slo.recording import recording
from tailgate.slo.rules import Alert, Recording
from tailgate.slo.spans import promql
from tailgate.units import parse_duration

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))

CONFIG = read_config(SloConfig, PROMETHEUS / "slo.toml", {})
ALERTS = [rule for group in alerts(CONFIG) for rule in group.rules if isinstance(rule, Alert)]
RECORDED = [rule for group in recording(CONFIG) for rule in group.rules if isinstance(rule, Recording)]
NAMES = sorted({alert.name for alert in ALERTS})
_RULE = re.compile(r"^      - (?:record|alert): (\S+)\n(?:        .*\n)+", re.MULTILINE)
_NAME = re.compile(r"[a-zA-Z_:][\w:]*")
_METRIC = re.compile(r"(?<![\w:])tailgate_\w+")
_SERIES = re.compile(r"\bmodel\w*:tailgate_\w+:\w+")

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: apt-get install prometheus)"
)


def promtool(*arguments: str, cwd: Path = PROMETHEUS) -> None:
    done = subprocess.run(
        ["promtool", *arguments], cwd=cwd, capture_output=True, text=True, timeout=1800, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def that_matter(test: str) -> set[str]:
    """The names of the rules on which it can depend how a test ends: those it names, and those that these name."""
    named: dict[str, set[str]] = {}
    for path in RULES:
        for rule in _RULE.finditer(path.read_text()):
            named.setdefault(rule[1], set()).update(_NAME.findall(rule[0]))
    found: set[str] = set()
    more = set(_NAME.findall(test)) & named.keys()
    while more:
        found |= more
        more = {name for rule in more for name in named[rule] & named.keys()} - found
    return found


def write_rules(folder: Path, names: set[str] | None = None) -> None:
    """Our rules below a folder, where unit tests look for them: all, or those of these names alone."""
    (folder / "rules").mkdir()
    (folder / "tests").mkdir()
    for path in RULES:
        text = path.read_text()
        chosen = _RULE.sub(lambda rule: rule[0] if names is None or rule[1] in names else "", text)
        (folder / "rules" / path.name).write_text(chosen)


def test_every_rule_is_seen_by_these_tests() -> None:
    assert sum(len(_RULE.findall(path.read_text())) for path in RULES) == len(ALERTS) + len(RECORDED)


@needs_promtool
@pytest.mark.parametrize("file", TESTS, ids=[file.stem for file in TESTS])
def test_the_rules_pass_their_unit_tests(file: Path, tmp_path: Path) -> None:
    # Without those that cannot matter to it, which would take most of the time.
    write_rules(tmp_path, that_matter(file.read_text()))
    (tmp_path / "tests" / file.name).write_text(file.read_text())
    promtool("test", "rules", f"tests/{file.name}", cwd=tmp_path)


@needs_promtool
@pytest.mark.parametrize("file", TESTS, ids=[file.stem for file in TESTS])
def test_every_rule_can_be_evaluated_on_what_any_unit_test_feeds_it(file: Path, tmp_path: Path) -> None:
    write_rules(tmp_path)
    head, *scenarios = file.read_text().split("\n  - name: ")
    interval = re.search(r"(?<=evaluation_interval: )\S+", head)
    assert interval is not None
    parts = [
        head.replace(interval[0], f"{8 * parse_duration(interval[0]):g}s")
    ]  # a rule that fails does so all the time
    for scenario in scenarios:
        series = re.split(r"\n    (?:alert_rule|promql_expr)_test:", scenario)[0]
        last = max(re.findall(r"eval_time: (\S+)", scenario), key=parse_duration)
        nothing = f"{{expr: vector(1), eval_time: {last}, exp_samples: [{{labels: '{{}}', value: 1}}]}}"
        parts.append(f"{series}\n    promql_expr_test: [{nothing}]\n")
    (tmp_path / "tests" / file.name).write_text("\n  - name: ".join(parts))
    promtool("test", "rules", f"tests/{file.name}", cwd=tmp_path)


@needs_promtool
def test_promtool_has_no_complaint_about_rules_or_configuration() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", *(f"rules/{file.name}" for file in RULES))
    promtool("check", "config", "prometheus.yml")


@pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed (Debian: prometheus-alertmanager)")
def test_amtool_has_no_complaint_about_the_alertmanagers_configuration() -> None:
    subprocess.run(
        ["amtool", "check-config", "alertmanager.yml"], cwd=PROMETHEUS, check=True, capture_output=True, timeout=300
    )


def test_the_generated_files_are_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    options = argparse.Namespace(action="check", slo=PROMETHEUS / "slo.toml", out=PROMETHEUS)
    assert COMMAND.run(options) == 0, capsys.readouterr().out


def test_whatever_says_how_often_prometheus_scrapes_says_what_slo_toml_says() -> None:
    said = {
        f"{path.relative_to(ROOT)}: {line.strip()}": line.split(":")[1].partition("#")[0].strip()
        for path in (
            PROMETHEUS / "prometheus.yml",
            ROOT / "deploy" / "prometheus.yml",
            ROOT / "grafana" / "provisioning" / "datasources" / "prometheus.yml",
        )
        for line in path.read_text().splitlines()
        if re.match(r"\s*(scrape_interval|evaluation_interval|timeInterval):", line)
    }
    assert len(said) == 5
    assert {where: text for where, text in said.items() if text != promql(CONFIG.scrape_interval)} == {}


def exported() -> set[str]:
    """Every name under which a sample of ours can appear."""
    names = set()
    for definition in DEFINITIONS:
        family = definition.family()
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "info": ["_info"]}
        names |= {definition.name + suffix for suffix in suffixes.get(family.type, [""])}
    return names


def test_every_metric_that_a_rule_or_a_runbook_names_is_exported() -> None:
    texts = {rule.record: rule.expr for rule in RECORDED} | {f"{a.name} {a.severity}": a.expr for a in ALERTS}
    texts |= {path.name: path.read_text() for path in RUNBOOKS.glob("*.md")}
    unknown = {f"{where}: {name}" for where, text in texts.items() for name in set(_METRIC.findall(text)) - exported()}
    assert not unknown


def test_every_recorded_series_that_is_named_anywhere_is_recorded() -> None:
    recorded = {rule.record for rule in RECORDED}
    texts = {rule.record: rule.expr for rule in RECORDED} | {f"{a.name} {a.severity}": a.expr for a in ALERTS}
    texts |= {path.name: path.read_text() for path in RUNBOOKS.glob("*.md")}
    unknown = {f"{where}: {name}" for where, text in texts.items() for name in set(_SERIES.findall(text)) - recorded}
    assert not unknown


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_says_what_it_means_what_is_felt_how_to_look_what_to_do_and_what_it_is_not(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text()
    headings = ("What it means.", "What a user feels.", "How to look", "What to do.", "What it is not.")
    places = [text.find(f"**{heading.rstrip('.')}") for heading in headings]
    assert places == sorted(places)
    assert places[0] > 0
    assert "```promql" in text


@needs_promtool
def test_every_query_of_a_runbook_is_promql(tmp_path: Path) -> None:
    queries = [
        line.partition("   #")[0].strip()
        for path in sorted(RUNBOOKS.glob("*.md"))
        for block in re.findall(r"```promql\n(.*?)```", path.read_text(), re.S)
        for line in block.splitlines()
    ]
    assert len(queries) >= 3 * len(NAMES) // 2
    rules = "".join(f"      - record: q{i}\n        expr: |\n          {query}\n" for i, query in enumerate(queries))
    (tmp_path / "queries.yml").write_text(f"groups:\n  - name: runbooks\n    rules:\n{rules}")
    promtool("check", "rules", "queries.yml", cwd=tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_has_a_test_in_which_it_fires_in_each_form_and_tests_in_which_it_is_silent(name: str) -> None:
    checks = re.findall(
        rf"- alertname: {name}\n\s+eval_time: \S+\n(.*?)(?=\n      - alertname|\n    \S|\n  - name|\Z)",
        (PROMETHEUS / "tests" / f"{name}.yml").read_text(),
        re.S,
    )
    assert any("exp_alerts: []" in check for check in checks)
    for alert in (alert for alert in ALERTS if alert.name == name):
        wanted = {"severity": alert.severity, **alert.labels}
        assert any(
            all(f'{label}: "{value}"' in labels for label, value in wanted.items())
            for check in checks
            for labels in re.findall(r"exp_labels:\n(.*?)exp_annotations", check, re.S)
        )
    for calm in ("healthy_day", "low_traffic"):
        assert f"- alertname: {name}\n" in (PROMETHEUS / "tests" / f"{calm}.yml").read_text()
        assert "exp_labels" not in (PROMETHEUS / "tests" / f"{calm}.yml").read_text()


def test_no_rule_holds_an_objective() -> None:
    changed = CONFIG.objective[0].model_copy(update={"objective": 0.5, "floor": 0.25})
    other = CONFIG.model_copy(update={"objective": [changed]})
    before, after = generate(CONFIG), generate(other)
    rules = [path for path in before if path.parts[0] == "rules"]
    assert len(rules) == 2
    assert all(before[path] == after[path] for path in rules)
