"""What the dashboards show is there to be shown: held against the metrics, the rules, the runbooks and Grafana's types.

Whether the queries return the right numbers is asked of a real Prometheus, by `grafana/verify`.
"""

from __future__ import annotations

import importlib
import json
import math
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import promql_parser as promql
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, InfoMetricFamily

from tailgate.metrics import DEFINITIONS
from tailgate.outcome import PROXY_OUTCOMES
from tailgate.tail import null_of_worst

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = {
    path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
}
RULES = "\n".join(path.read_text() for path in sorted((ROOT / "prometheus" / "rules").glob("*.yml")))
RECORDED = set(re.findall(r"record: ['\"]?([\w:]+)", RULES))
KINDS = {"timeseries", "stat", "table", "bargauge", "gauge", "barchart", "row"}
VARIABLES = ["datasource", "job", "instance", "model", "version", "slice", "runbooks"]
TARGET = {"job", "instance"}
OF_PROMETHEUS = {"up": TARGET, "ALERTS": {"alertname", "alertstate", "severity", "model", "version", "slice"}}
SUFFIXES: dict[type, tuple[str, ...]] = {
    CounterMetricFamily: ("_total",),
    HistogramMetricFamily: ("_bucket", "_sum", "_count"),
    InfoMetricFamily: ("_info",),
}
EXPORTED = {
    f"{one.name}{suffix}": {*one.labels, *TARGET} | ({"le"} if suffix == "_bucket" else set())
    for one in DEFINITIONS
    for suffix in SUFFIXES.get(one.kind, ("",))
}
EXPORTED["tailgate_build_info"] = {"version", *TARGET}
COUNTERS = tuple(name for name in EXPORTED if name.endswith(("_total", "_bucket", "_sum", "_count")))


class Asked(NamedTuple):
    """One query of one panel, as it stands and as Prometheus will see it."""

    where: str
    panel: dict[str, Any]
    raw: str
    legend: str
    parsed: Any


def panels(page: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in page["panels"] if panel["type"] != "row"]


def interpolated(expr: str) -> str:
    for name, value in (
        ("$__rate_interval", "5m"),
        ("$__range_s", "21600"),
        ("$__range", "6h"),
        ("$__interval", "1m"),
    ):
        expr = expr.replace(name, value)
    return re.sub(r"\$\w+", ".+", expr)


def asked() -> Iterator[Asked]:
    for name, page in DASHBOARDS.items():
        for panel in panels(page):
            for target in panel["targets"]:
                parsed = promql.parse(interpolated(target["expr"]))
                where = f"{name}/{panel['title']}/{target['refId']}"
                yield Asked(where, panel, target["expr"], target.get("legendFormat", ""), parsed)
        for annotation in page["annotations"]["list"]:
            expr = annotation["target"]["expr"]
            legend = annotation["titleFormat"] + annotation["textFormat"]
            yield Asked(f"{name}/{annotation['name']}", {}, expr, legend, promql.parse(interpolated(expr)))


ASKED = list(asked())
PAGES = pytest.mark.parametrize("page", DASHBOARDS.values(), ids=DASHBOARDS)
QUERIES = pytest.mark.parametrize("query", ASKED, ids=[one.where for one in ASKED])


def children(node: Any) -> list[Any]:
    if isinstance(node, promql.BinaryExpr):
        return [node.lhs, node.rhs]
    if isinstance(node, promql.Call):
        return list(node.args)
    if isinstance(node, promql.MatrixSelector):
        return [node.vector_selector]
    inner = getattr(node, "expr", None)
    return [] if inner is None else [inner]


def selectors(node: Any, inside: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Every vector selector, with the nodes around it, the nearest last."""
    if isinstance(node, promql.VectorSelector):
        yield node, inside
    for child in children(node):
        yield from selectors(child, (*inside, node))


def labels_known(name: str) -> set[str]:
    """The labels that series of this name have."""
    if ":" not in name:
        return (EXPORTED | OF_PROMETHEUS)[name]
    return set(name.partition(":")[0].split("_"))


def labels_of(node: Any) -> set[str]:
    """The labels that the result of an expression has."""
    within = [labels_of(child) for child in children(node)]
    found = within[0] if within else set[str]()
    if isinstance(node, promql.VectorSelector):
        found = labels_known(node.name or "")
    elif isinstance(node, promql.AggregateExpr) and str(node.op) not in {"topk", "bottomk"}:
        found = found & set(node.modifier.labels) if node.modifier else set()
    elif isinstance(node, promql.BinaryExpr):
        found = found or within[1]  # a number has none
        found = found | set(node.modifier.group_labels or ()) if node.modifier else found
    elif isinstance(node, promql.Call):
        found = set[str]().union(*within) - ({"le"} if node.func.name == "histogram_quantile" else set())
    return found


def test_there_are_the_four_dashboards() -> None:
    assert sorted(DASHBOARDS) == ["overview", "proxy", "rollout", "tail"]


def test_each_dashboard_is_what_its_builder_gives() -> None:
    done = subprocess.run(
        [sys.executable, "grafana/build.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@PAGES
def test_grafanas_own_types_know_every_field(page: dict[str, Any]) -> None:
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # the classic form is what imports
        from grafana_foundation_sdk.models.dashboard import Dashboard
    plain = json.loads(json.dumps(page))
    for annotation in plain["annotations"]["list"]:  # the types know Grafana's own annotations only
        for field in ("target", "titleFormat", "textFormat"):
            del annotation[field]
    assert json.loads(json.dumps(Dashboard.from_json(plain), cls=JSONEncoder)) == plain


@PAGES
def test_a_dashboard_can_be_read_by_itself(page: dict[str, Any]) -> None:
    assert page["description"].endswith("?")
    assert (page["editable"], page["tags"], page["refresh"]) == (False, ["tailgate"], "1m")
    assert [link["type"] for link in page["links"]] == ["dashboards"]


@PAGES
def test_panels_say_what_they_show_and_in_what_unit(page: dict[str, Any]) -> None:
    shown = panels(page)
    assert {panel["type"] for panel in page["panels"]} <= KINDS
    assert len({panel["id"] for panel in page["panels"]}) == len(page["panels"])
    assert len({panel["title"] for panel in shown}) == len(shown)
    for panel in shown:
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]


@PAGES
def test_panels_fill_their_rows_and_never_overlap(page: dict[str, Any]) -> None:
    cells = [
        (x, y)
        for panel in page["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    bottom = max(y for _, y in cells) + 1
    assert len(cells) == 24 * bottom


@PAGES
def test_the_variables_are_those_that_every_dashboard_has(page: dict[str, Any]) -> None:
    variables = page["templating"]["list"]
    assert [one["name"] for one in variables] == VARIABLES
    source, *chosen = variables[:-1]
    assert (source["type"], source["query"], source["label"]) == ("datasource", "prometheus", "Data source")
    for one in chosen:
        assert (one["type"], one["multi"], one["includeAll"], one["refresh"]) == ("query", True, True, 2)
        assert one["datasource"]["uid"] == "${datasource}"
        assert one["label"] == one["name"].capitalize()
        assert one["allValue"] == (".+" if one["name"] in TARGET else ".*")  # a label that is empty is absent
        selector = re.fullmatch(r"label_values\((.*), (\w+)\)", one["query"]["query"])
        assert selector is not None
        assert selector[2] == one["name"]
        parsed = promql.parse(interpolated(selector[1]))
        assert isinstance(parsed, promql.VectorSelector)
        assert one["name"] in labels_of(parsed)


@PAGES
def test_a_ratio_never_stands_without_its_volume(page: dict[str, Any]) -> None:
    sections: list[list[str]] = []
    for panel in page["panels"]:
        if panel["type"] == "row":
            sections.append([])
            continue
        overrides = [prop for one in panel["fieldConfig"].get("overrides", []) for prop in one["properties"]]
        sections[-1] += [panel["fieldConfig"]["defaults"]["unit"]]
        sections[-1] += [prop["value"] for prop in overrides if prop["id"] == "unit"]
    for row, units in zip((panel for panel in page["panels"] if panel["type"] == "row"), sections, strict=True):
        if "percentunit" in units:
            assert {"reqps", "short", "locale"} & set(units), row["title"]


def test_an_outcome_a_cause_or_a_role_has_one_colour_everywhere() -> None:
    colours: dict[str, set[str]] = {}
    for page in DASHBOARDS.values():
        for panel in panels(page):
            for override in panel["fieldConfig"].get("overrides", []):
                if override["matcher"]["id"] == "byName":
                    for prop in override["properties"]:
                        if prop["id"] == "color" and prop["value"]["mode"] == "fixed":
                            colours.setdefault(override["matcher"]["options"], set()).add(prop["value"]["fixedColor"])
    assert {name: shades for name, shades in colours.items() if len(shades) > 1} == {}
    assert {outcome.label for outcome in PROXY_OUTCOMES} <= set(colours)


@QUERIES
def test_every_metric_and_label_of_a_query_exists(query: Asked) -> None:
    for selector, _ in selectors(query.parsed):
        name = selector.name
        assert name in EXPORTED or name in RECORDED or name in OF_PROMETHEUS, name
        assert {matcher.name for matcher in selector.matchers.matchers} <= labels_known(name)


@QUERIES
def test_counters_are_never_looked_at_but_through_rate_or_increase(query: Asked) -> None:
    for selector, around in selectors(query.parsed):
        if selector.name in COUNTERS:
            matrix, call = around[-1], around[-2]
            assert isinstance(matrix, promql.MatrixSelector)
            assert call.func.name in {"rate", "increase"}
            assert isinstance(around[-3], promql.AggregateExpr | promql.BinaryExpr)  # never a bare ratio of replicas


@QUERIES
def test_a_rate_is_taken_over_the_interval_that_grafana_computes(query: Asked) -> None:
    ranges = re.findall(r"\brate\(\w+(?:\{[^}]*\})?\[([^\]]+)\]", query.raw)
    assert set(ranges) <= {"$__rate_interval"}


@QUERIES
def test_replicas_and_models_can_be_chosen(query: Asked) -> None:
    for selector, _ in selectors(query.parsed):
        matched = {matcher.name for matcher in selector.matchers.matchers if matcher.value in {".+", ".*"}}
        if selector.name in EXPORTED or selector.name == "up":
            assert matched >= TARGET
        if selector.name in EXPORTED and "model" in EXPORTED[selector.name]:
            assert "model" in matched
        if selector.name in RECORDED:  # sums over all replicas
            assert "model" in matched


@QUERIES
def test_a_legend_names_only_labels_that_the_result_has(query: Asked) -> None:
    assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= labels_of(query.parsed)


@QUERIES
def test_only_outcomes_that_exist_are_asked_for(query: Asked) -> None:
    known = {outcome.label for outcome in PROXY_OUTCOMES}
    for selector, _ in selectors(query.parsed):
        for matcher in selector.matchers.matchers:
            if matcher.name == "outcome" and ".+" not in matcher.value:
                assert set(matcher.value.split("|")) <= known


def test_what_is_lost_adds_up() -> None:
    for title in ("Where the rest goes", "Lost in each window, by cause"):
        (panel,) = (panel for page in DASHBOARDS.values() for panel in panels(page) if panel["title"] == title)
        named = [
            outcome
            for target in panel["targets"]
            for found in re.findall(r'outcome[=!]~"([^"]+)"', target["expr"])
            for outcome in found.split("|")
        ]
        assert sorted([*named, "ok"]) == sorted(outcome.label for outcome in PROXY_OUTCOMES)


def test_every_exported_metric_stands_on_a_dashboard() -> None:
    used = {selector.name for query in ASKED for selector, _ in selectors(query.parsed)}
    missing = [
        one.name for one in DEFINITIONS if not used & {one.name + suffix for suffix in SUFFIXES.get(one.kind, ("",))}
    ]
    assert missing == []


@PAGES
def test_links_lead_to_dashboards_and_runbooks_that_are_there(page: dict[str, Any]) -> None:
    uids = {one["uid"] for one in DASHBOARDS.values()}
    for panel in panels(page):
        for link in panel.get("links", []):
            runbook = re.fullmatch(r"\$\{runbooks\}/(\w+)\.md", link["url"])
            if runbook is not None:
                assert (ROOT / "docs" / "runbooks" / f"{runbook[1]}.md").is_file(), link["url"]
            else:
                leads = re.match(r"/d/([\w-]+)\?", link["url"])
                assert leads is not None
                assert leads[1] in uids - {page["uid"]}


@pytest.fixture
def chance(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float, float], float]:
    """The null of the Tail dashboard, evaluated as Prometheus would: of tail probability, typical score and labels."""
    monkeypatch.syspath_prepend(str(ROOT / "grafana"))
    queries = importlib.import_module("tailgate_dashboards.queries")

    def evaluated(of_windows: float, typical: float, labels: float) -> float:
        expr = queries.chance(str(of_windows), str(typical), str(labels)).replace("^", "**").replace(" > 0)", ")")
        known = {"sin": math.sin, "asin": math.asin, "sqrt": math.sqrt, "clamp_min": max}
        return float(eval(expr, known))

    return evaluated


@pytest.mark.parametrize(("labels", "near"), [(60, 0.03), (300, 0.005), (1000, 0.003)])
@pytest.mark.parametrize("typical", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("count", [60, 360, 1440])
def test_the_null_in_promql_is_near_the_exact_one(
    chance: Callable[[float, float, float], float], labels: int, near: float, typical: float, count: int
) -> None:
    exact = float(null_of_worst([labels] * count, typical, [0.5])[0])
    assert chance(1 - 0.5 ** (1 / count), typical, labels) == pytest.approx(exact, abs=near)


@pytest.mark.parametrize("hours", [1, 6, 24])
def test_overlapping_windows_have_the_minimum_of_three_times_as_many_seldom_that_of_four_times(
    chance: Callable[[float, float, float], float], hours: int
) -> None:
    rng = np.random.default_rng(3)
    came = rng.poisson(300 / 12, (200, hours * 720))
    right = rng.binomial(came, 0.95)
    ones = np.ones(12)
    shares = [np.convolve(r, ones, "valid") / np.convolve(n, ones, "valid") for r, n in zip(right, came, strict=True)]
    median, seldom = np.quantile([share.min() for share in shares], (0.5, 0.05)).tolist()
    assert chance(0.693 / (hours * 3600 / 20), 0.95, 300) == pytest.approx(median, abs=0.004)
    assert chance(0.0513 / (hours * 3600 / 15), 0.95, 300) == pytest.approx(seldom, abs=0.004)
