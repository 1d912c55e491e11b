"""All figures of several systems on one page: drawn, in both colour schemes, with their numbers; and why one is not."""

from __future__ import annotations

import csv
import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tailgate.errors import Status
from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate.report.exhibits import KEYS

Write = Callable[..., Path]
Report = Callable[..., None]
Passes = Callable[..., list[Observation]]


def summary(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return found


def page(out: Path) -> str:
    return (out / "report.html").read_text()


def missing(out: Path) -> dict[str, list[str]]:
    return {key: [item["why"] for item in figure["missing"]] for key, figure in summary(out)["figures"].items()}


def test_every_figure_is_drawn_and_nothing_is_missing_where_runs_support_it(whole_report: Path) -> None:
    assert tuple(summary(whole_report)["figures"]) == KEYS
    assert missing(whole_report) == {key: [] for key in KEYS}
    for key in KEYS:
        assert f'<section id="{key}"' in page(whole_report)
        assert f'id="{key}-wide-' in page(whole_report)
        assert f'id="{key}-narrow-' in page(whole_report)


def test_the_contents_lead_to_every_section_and_only_to_what_is_there(whole_report: Path) -> None:
    navigation = re.search(r"<nav.*?</nav>", page(whole_report), re.DOTALL)
    assert navigation
    targets = re.findall(r'href="#([^"]+)"', navigation[0])
    assert set(targets) == set(re.findall(r'<section id="([^"]+)"', page(whole_report)))
    assert targets[:1] + targets[-1:] == ["passes", "how-to-read"]


def test_csv_files_hold_what_the_json_holds(whole_report: Path) -> None:
    tables = {
        name: rows for figure in summary(whole_report)["figures"].values() for name, rows in figure["numbers"].items()
    }
    assert {path.stem for path in whole_report.glob("*.csv")} == set(tables)
    assert {"times", "times_marks", "boxes", "stability", "foretold", "causes", "orders", "crossovers"} <= set(tables)
    for name, rows in tables.items():
        with (whole_report / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            told = list(csv.DictReader(file))
        assert [dict(line) for line in told] == [
            {key: "" if value is None else str(value) for key, value in row.items()} for row in rows
        ]


def test_every_figure_is_a_picture_if_asked_for_and_none_stays_behind_if_not(
    report_runs: list[Path], whole_report: Path, report: Report, tmp_path: Path
) -> None:
    assert {path.stem for path in whole_report.glob("*.png")} == set(KEYS)
    assert all(path.read_bytes().startswith(b"\x89PNG\r\n") for path in whole_report.glob("*.png"))
    for name in ("boxes.csv", "boxes.png"):
        (tmp_path / name).write_bytes((whole_report / name).read_bytes())
    report(report_runs[0], "--out", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "passes.svg",
        "quality_by_threshold.svg",
        "report.html",
        "summary.json",
    ]


def test_figures_are_sound_xml_without_references_to_anything_outside(whole_report: Path) -> None:
    figures = re.findall(r"<svg .*?</svg>", page(whole_report), re.DOTALL)
    assert len(figures) == 2 * len(KEYS)
    for figure in figures:
        root = ET.fromstring(figure)
        for element in root.iter():
            assert not element.tag.endswith(("script", "image", "foreignObject"))
            for name, value in element.attrib.items():
                if name.endswith("href"):
                    assert value.startswith("#")
                assert "url(" not in value or "url(#" in value
        assert "@import" not in figure


def schemes(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """What each variable is in light and in dark."""
    light, dark = (
        dict(re.findall(r"(--[a-z0-9-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", text, re.DOTALL)[:2]
    )
    return light, light | dark


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_figures_take_every_colour_from_the_page_which_has_it_in_light_and_in_dark(whole_report: Path) -> None:
    text = page(whole_report)
    light, dark = schemes(text)
    rules = dict(re.findall(r"^\.(f[0-9]+)\{(.*)\}$", text, re.MULTILINE))
    for figure in re.findall(r"<svg .*?</svg>", text, re.DOTALL):
        assert "style=" not in figure
        for part in (figure, *(rules[name] for name in re.findall(r'class="([^"]+)"', figure))):
            assert re.findall(r"(?:fill|stroke)[:=]\s*\"?#[0-9a-fA-F]{3,8}", part) == []
            assert set(re.findall(r"var\((--[a-z0-9-]+)\)", part)) <= light.keys() & dark.keys()
    assert sum("var(--figure-" in rule for rule in rules.values()) > 20
    assert len([name for name in light if light[name] != dark[name]]) > 20


def test_text_and_lines_stand_out_in_light_and_in_dark(whole_report: Path) -> None:
    for scheme in schemes(page(whole_report)):
        card = scheme["--figure-card"]
        for name in ("ink", "muted"):
            assert contrast(scheme[f"--figure-{name}"], card) >= 4.5, name
        for name in ("loss", "best", *(f"series-{number}" for number in range(1, 8))):
            assert contrast(scheme[f"--figure-{name}"], card) >= 3, name
        for name in ("ink", "muted", "accent"):
            assert contrast(scheme[f"--{name}"], scheme["--card"]) >= 4.5, name


def test_models_that_change_places_are_found_and_named(whole_report: Path) -> None:
    rows = summary(whole_report)["figures"]["crossovers"]["numbers"]["crossovers"]
    # At 50 ms the large model is the better one, until contention makes it late.
    (mean,) = [row for row in rows if row["measure"] == "Q(50 ms)"]
    assert {mean["first"], mean["second"]} == {"small", "large"}
    assert (mean["here"], mean["there"], mean["sure"]) == ("quiet", "busy", True)
    orders = summary(whole_report)["figures"]["crossovers"]["numbers"]["orders"]
    values = {(row["place"], row["model"]): row["value"] for row in orders if row["measure"] == "Q(50 ms)"}
    assert values["quiet", "large"] > values["quiet", "small"]
    assert values["busy", "large"] < values["busy", "small"]


def test_the_sentence_on_top_holds_the_numbers_of_the_tables(whole_report: Path) -> None:
    told = summary(whole_report)
    rare = {row["system"]: row for row in told["figures"]["foretold"]["numbers"]["foretold"] if row["level"] == 0.001}
    foretold = 0
    for system in told["systems"]:
        first, rests_on = system["headline"][:2]
        mean = system["quality"]["time_critical_accuracy"]
        worst = min(row["time_critical_accuracy"] for row in system["quality"]["passes"])
        made = f"At 50 ms this system answers {100 * mean:.1f} % of requests right and in time; its worst pass"
        at = rare[system["name"]]
        assert first.startswith(f"{made} {100 * worst:.1f} %; ")
        if system["quality"]["decomposition"]["late"]:
            foretold += 1
            assert first.endswith(f"; expect a pass under {100 * at['foretold']:.1f} % once in 1000.")
            assert f"between {100 * at['lower']:.1f} % and {100 * at['upper']:.1f} % with 90 %" in rests_on
        else:
            assert "nothing was late, so how bad a pass is that comes once in 1000 cannot be foretold" in first
        assert "12 passes of 30 responses" in rests_on
        assert first in page(whole_report)
    assert foretold == 3


def test_a_single_pass_gets_a_sentence_in_the_place_of_each_figure_it_cannot_support(
    write_trace: Write, report: Report, tmp_path: Path, model_passes: Passes
) -> None:
    report(write_trace(tmp_path / "run", model_passes("small", "quiet", passes=1)), "--out", tmp_path / "out")
    why = missing(tmp_path / "out")
    assert {key: len(sentences) for key, sentences in why.items()} == {
        **dict.fromkeys(("passes", "times", "causes"), 0),
        **dict.fromkeys(("time_by_batch", "quality_by_threshold", "boxes", "stability", "foretold", "crossovers"), 1),
    }
    text = page(tmp_path / "out")
    assert all(sentence in text for sentences in why.values() for sentence in sentences)
    assert "in the only pass that was made: nothing is known of how passes differ" in text
    assert "once in 1000" not in text


def test_an_unlabelled_run_shows_its_times_and_says_what_it_cannot(
    write_trace: Write, report: Report, tmp_path: Path, model_passes: Passes
) -> None:
    rows = [row._replace(label=-1) for row in model_passes("small", "quiet")]
    report(write_trace(tmp_path / "run", rows), "--out", tmp_path / "out")
    figures = summary(tmp_path / "out")["figures"]
    assert {key for key, figure in figures.items() if figure["numbers"]} == {"time_by_batch", "times", "stability"}
    for key in ("passes", "quality_by_threshold", "boxes", "foretold", "causes"):
        assert missing(tmp_path / "out")[key] == ["Nothing is labelled, so which answers were right is unknown."]
    assert "how many requests this system answers right is unknown" in page(tmp_path / "out")


def test_a_proxys_trace_shows_times_and_losses_and_says_that_it_has_no_passes(
    write_trace: Write, report: Report, tmp_path: Path, model_passes: Passes
) -> None:
    rows = [row._replace(pass_index=-1, sample=-1) for row in model_passes("small", "quiet")]
    report(write_trace(tmp_path / "run", rows, "proxy", role="proxy"), "--out", tmp_path / "out")
    figures = summary(tmp_path / "out")["figures"]
    shown = {key for key, figure in figures.items() if figure["numbers"]}
    assert shown == {"times", "quality_by_threshold", "causes"}
    for key in ("passes", "time_by_batch", "boxes", "stability", "foretold"):
        assert missing(tmp_path / "out")[key] == [
            "This is a proxy's trace, which has no passes; a load run's own trace shows them."
        ]
    assert "within their own deadlines" in summary(tmp_path / "out")["systems"][0]["headline"][0]


def test_a_run_without_a_single_answer_still_has_a_page(
    write_trace: Write, report: Report, tmp_path: Path, model_passes: Passes
) -> None:
    lost: dict[str, Any] = {"outcome": Outcome.UPSTREAM_UNAVAILABLE, "status": Status.UNAVAILABLE, "predicted": -1}
    rows = [row._replace(**lost) for row in model_passes("small", "quiet")]
    report(write_trace(tmp_path / "run", rows), "--out", tmp_path / "out")
    figures = summary(tmp_path / "out")["figures"]
    shown = {key for key, figure in figures.items() if figure["numbers"]}
    assert shown == {"passes", "foretold", "causes"}
    (share,) = [row["share"] for row in figures["causes"]["numbers"]["causes"] if row["cause"] == "failed"]
    assert share == 1.0


def test_a_run_that_was_not_valid_has_no_figure_in_its_sentence(
    write_trace: Write, report: Report, tmp_path: Path, model_passes: Passes
) -> None:
    write_trace(tmp_path / "run", model_passes("small", "quiet"))
    verdict = {"run": {"run_id": "run"}, "valid": False, "invalid_because": ["it was far too late"]}
    (tmp_path / "run" / "summary.json").write_text(json.dumps(verdict))
    report(tmp_path / "run", "--out", tmp_path / "out")
    (sentence,) = summary(tmp_path / "out")["systems"][0]["headline"]
    assert sentence == "This run was not valid, so nothing is said of this system."
    assert sentence in page(tmp_path / "out")
    assert "no figure of it should be quoted: it was far too late" in page(tmp_path / "out")


def test_the_numbers_of_a_long_table_are_picked_evenly_and_the_page_says_so(whole_report: Path) -> None:
    section = page(whole_report).partition('<section id="quality_by_threshold"')[2].partition("</section>")[0]
    assert section.count("<tr>") == 1 + 4 * 25
    assert "100 of 400 rows, evenly picked" in section
    for row in summary(whole_report)["figures"]["quality_by_threshold"]["numbers"]["quality_by_threshold"]:
        assert row["worst"] <= row["mean"] + 1e-9 <= row["best"] + 2e-9
        assert math.isfinite(row["std"])
