"""Objectives become rules: mistakes are sentences, spans and series are exact, files stay fresh."""

from __future__ import annotations

import argparse
import math
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from tailgate.config import read_config
from tailgate.errors import ConfigError, UsageError
from tailgate.slo.bounds import stratified_z, wilson_lower, wilson_upper
from tailgate.slo.command import COMMAND
from tailgate.slo.config import SloConfig, openslo_name
from tailgate.slo.generate import generate
from tailgate.slo.spans import Span, Spans, promql
from tailgate.slo.unit_tests.traffic import Clock, notation

ONE = '[[objective]]\nmodel = "m"\ndeadline = "50ms"\nobjective = 0.9\nfloor = 0.8\n'


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "slo.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "objective is missing"),
        (ONE.replace("0.8", "0.95"), "objective.#1.floor is 0.95: expected at most the objective, 0.9"),
        (ONE.replace("0.9", "1.0"), "objective.#1.objective is 1.0: input should be less than 1"),
        (ONE.replace('"50ms"', "50"), "objective.#1.deadline is 50: expected a duration with its unit"),
        (ONE + ONE, "the model 'm' stands there twice"),
        ('window = "15s"\n' + ONE, "window is '15s': expected at least 4 times the scrape_interval, 5 s"),
        ('scrape_interval = "30s"\n' + ONE, "window is '1m': expected at least 4 times the scrape_interval, 30 s"),
        ('window = "10m"\n' + ONE, "window is '10m': expected at most 5m"),
        ('labels_due = "1.5us"\n' + ONE, "labels_due is '1.5us': expected whole milliseconds"),
        ('job = "two words"\n' + ONE, "job is 'two words': expected letters, digits, _ and -"),
        ("widow = 1\n" + ONE, "widow is not known; did you mean 'window'?"),
    ],
)
def test_every_mistake_in_slo_toml_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(SloConfig, written(tmp_path, text), {})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.integers(1, 10**9))
def test_a_duration_in_promql_means_as_many_milliseconds(milliseconds: int) -> None:
    match = re.fullmatch(r"(\d+)(ms|s|m|h|d)", promql(milliseconds / 1e3))
    assert match is not None
    unit_ms = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}[match[2]]
    assert int(match[1]) * unit_ms == milliseconds


def test_a_range_is_one_scrape_longer_than_what_it_is_to_span() -> None:
    assert (Span(60.0, 15.0).name, Span(60.0, 15.0).range) == ("1m", "75s")
    spans = Spans(4.0, 1.0)
    assert [s.name for s in (spans.window, spans.five, spans.hour, spans.day)] == ["4s", "20s", "4m", "96m"]


@given(st.integers(4, 300), st.integers(1, 75))
def test_a_stretch_holds_four_scrapes_and_a_third_of_its_window_and_is_never_longer(window: int, scrape: int) -> None:
    assume(window >= 4 * scrape)
    stretch = Spans(window, scrape).stretch.seconds
    assert stretch == window or stretch % scrape == 0
    assert max(4 * scrape, window / 3) <= stretch <= window
    assert stretch == window or stretch - scrape < max(4 * scrape, window / 3)


def test_a_minute_scraped_every_five_seconds_is_confirmed_by_twenty_and_every_fifteen_by_another_minute() -> None:
    assert [Spans(60.0, scrape).stretch.name for scrape in (2.0, 5.0, 15.0)] == ["20s", "20s", "1m"]


@given(st.integers(1, 10_000), st.floats(0, 1), st.sampled_from([1.96, 3.29, 3.9]))
def test_wilsons_bounds_are_scipys(n: int, share: float, z: float) -> None:
    k = round(share * n)
    expected = stats.binomtest(k, n).proportion_ci(float(2 * stats.norm.cdf(z) - 1), method="wilson")
    # SciPy puts the ends at exactly 0 and 1 where nothing or everything was counted.
    assert math.isclose(wilson_upper(k / n, n, z), expected.high, abs_tol=1e-9) or k == n
    assert math.isclose(wilson_lower(k / n, n, z), expected.low, abs_tol=1e-9) or k == 0


counts = st.integers(1, 500)


@given(counts, counts, counts, counts)
def test_the_z_of_one_stratum_is_the_root_of_pearsons_chi_square(a: int, b: int, c: int, d: int) -> None:
    z = stratified_z([(a / (a + b), a + b, c / (c + d), c + d)])
    expected = float(np.asarray(stats.chi2_contingency(np.array([[a, b], [c, d]]), correction=False)[0]))
    n = a + b + c + d  # Pearson divides by n where the exact variance has n - 1
    assert math.isclose(z * z, expected * (n - 1) / n, rel_tol=1e-6, abs_tol=1e-9)


@given(st.lists(st.tuples(counts, counts, counts, counts), min_size=1, max_size=9))
def test_the_z_of_strata_is_what_shuffling_within_each_would_scatter_by(tables: list[tuple[int, ...]]) -> None:
    shuffled = [stats.hypergeom(sum(table), table[0] + table[2], table[0] + table[1]) for table in tables]
    excess = sum(table[0] - one.mean() for table, one in zip(tables, shuffled, strict=True))
    expected = excess / math.sqrt(sum(one.var() for one in shuffled))
    z = stratified_z((a / (a + b), a + b, c / (c + d), c + d) for a, b, c, d in tables)
    assert math.isclose(z, expected, rel_tol=1e-6, abs_tol=1e-6)


def played(text: str) -> list[float]:
    """The samples that promtool makes of its notation, by adding up as it does."""
    values = []
    for part in text.split():
        first, step, times = re.fullmatch(r"([\d.e-]+)\+([\d.e-]+)x(\d+)", part).groups()  # type: ignore[union-attr]  # ours
        value = float(first)
        for _ in range(int(times) + 1):
            values.append(value)
            value += float(step)
    return values


@given(st.lists(st.tuples(st.integers(1, 30), st.floats(0, 200)), min_size=1, max_size=5))
def test_a_made_up_counter_never_falls_and_counts_what_it_should(phases: list[tuple[int, float]]) -> None:
    clock = Clock(60.0, 15.0)
    values = played(notation(clock, phases))
    assert len(values) == 1 + sum(windows * 4 for windows, _ in phases)
    assert all(before <= after for before, after in pairwise(values))
    total = sum(windows * 60.0 * rate for windows, rate in phases)
    assert math.isclose(values[-1], total, abs_tol=1e-3)


@given(st.text(min_size=1, max_size=100))
def test_an_openslo_name_is_one_that_rfc_1123_allows_with_room_for_what_is_added(model: str) -> None:
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", openslo_name(model))
    assert len(openslo_name(model) + "-tca") <= 63


def test_an_openslo_document_says_what_the_file_promises(tmp_path: Path) -> None:
    config = read_config(SloConfig, written(tmp_path, "good_windows = 0.99\nperiod_days = 7\n" + ONE), {})
    (text,) = (text for path, text in generate(config).items() if path.parts[0] == "openslo")
    for line in (
        "apiVersion: openslo/v1", "kind: SLO", "budgetingMethod: Timeslices", "target: 0.99", "timeSliceTarget: 0.8",
        "timeSliceWindow: 1m", "- duration: 7d", r'query: "model:tailgate_tca_upper:ratio_rate1m{model=\"m\"}"',
    ):  # fmt: skip
        assert f"{line}\n" in text


def test_two_models_that_openslo_would_name_alike_are_a_mistake(tmp_path: Path) -> None:
    file = written(tmp_path, ONE + ONE.replace('"m"', '"M"'))
    with pytest.raises(ConfigError, match=r"'m' and 'M' would both be written to openslo/m\.yml"):
        read_config(SloConfig, file, {})


def options(action: str, slo: Path, out: Path) -> argparse.Namespace:
    return argparse.Namespace(action=action, slo=slo, out=out)


def test_what_is_generated_is_fresh_until_something_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slo, out = written(tmp_path, ONE), tmp_path / "out"
    assert COMMAND.run(options("check", slo, out)) == 1
    assert "tailgate-alerts.yml is missing" in capsys.readouterr().out
    assert COMMAND.run(options("generate", slo, out)) == 0
    assert COMMAND.run(options("check", slo, out)) == 0
    before = {path: path.read_bytes() for path in out.rglob("*.yml")}
    assert COMMAND.run(options("generate", slo, out)) == 0
    assert {path: path.read_bytes() for path in out.rglob("*.yml")} == before

    alerts = out / "rules" / "tailgate-alerts.yml"
    alerts.write_text(alerts.read_text() + "# by hand\n")
    capsys.readouterr()
    assert COMMAND.run(options("check", slo, out)) == 1
    assert capsys.readouterr().out.splitlines()[0] == f"{alerts} is stale"


def test_the_interval_in_the_folders_prometheus_yml_follows_slo_toml(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slo, out = written(tmp_path, 'scrape_interval = "3s"\n' + ONE), tmp_path / "out"
    out.mkdir()
    scraping = out / "prometheus.yml"
    text = "# mine\nglobal:\n  scrape_interval: {0}  # how often\n\n  evaluation_interval: {0}\nscrape_configs:\n"
    text += "  - job_name: other\n    scrape_interval: 30s\n"
    scraping.write_text(text.format("15s"))
    COMMAND.run(options("generate", slo, out))
    assert scraping.read_text() == text.format("3s")
    assert COMMAND.run(options("check", slo, out)) == 0
    scraping.write_text(text.format("15s"))
    capsys.readouterr()
    assert COMMAND.run(options("check", slo, out)) == 1
    assert capsys.readouterr().out.splitlines()[0] == f"{scraping} is stale"


def test_files_of_a_model_that_is_gone_are_removed_and_others_are_left(tmp_path: Path) -> None:
    slo, out = written(tmp_path, ONE + ONE.replace('"m"', '"n"')), tmp_path / "out"
    COMMAND.run(options("generate", slo, out))
    own = out / "rules" / "mine.yml"
    own.write_text("groups: []\n")
    slo.write_text(ONE)
    assert COMMAND.run(options("check", slo, out)) == 1
    assert COMMAND.run(options("generate", slo, out)) == 0
    assert sorted(path.name for path in (out / "openslo").iterdir()) == ["m.yml"]
    assert own.exists()


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("a file")
    with pytest.raises(UsageError, match=r"--out: .* cannot be used"):
        COMMAND.run(options("generate", written(tmp_path, ONE), out))
