"""Comparison: changes add up, p-values are those of all permutations, crossovers are where they were put."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.cli import main
from tailgate.comparison.crossovers import crossovers_of
from tailgate.comparison.effects import pairs_of
from tailgate.comparison.measures import default_thresholds_s, measure, sample_quality
from tailgate.comparison.permutation import holm, paired_permutation
from tailgate.comparison.report import as_json, compare
from tailgate.errors import UsageError
from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate.runs import Run
from tailgate.trace.views import Passes

Make = Callable[..., Observation]
Replay = Callable[..., list[Observation]]
Write = Callable[..., Path]

THETA_S = 0.05


def made_of(name: str, response_s: Any, score: Any, **changes: Any) -> Run:
    response, condition, model = np.atleast_2d(np.asarray(response_s, float)), *name.split("/")
    fields: dict[str, Any] = {
        "name": name, "model": model, "condition": condition, "device": "", "dataset": "d", "deadline_s": THETA_S,
        "cut_at_s": None, "doubts": (),
        "passes": Passes(
            np.arange(response.shape[0]), np.arange(response.shape[1]), response,
            np.broadcast_to(np.asarray(score, float), response.shape), 0,
        ),
    }  # fmt: skip
    return Run(**fields | changes)


@st.composite
def runs(draw: st.DrawFn, name: str = "quiet/m", samples: int | None = None) -> Run:
    shape = draw(st.integers(1, 6)), samples or draw(st.integers(1, 8))
    cells = shape[0] * shape[1]
    times = draw(st.lists(st.sampled_from([0.01, THETA_S, 0.051, np.inf]), min_size=cells, max_size=cells))
    right = draw(st.lists(st.booleans(), min_size=cells, max_size=cells))
    return made_of(name, np.reshape(times, shape), np.reshape(right, shape))


# ---- One run


@given(runs())
def test_a_runs_numbers_are_those_of_a_plain_loop(run: Run) -> None:
    (found,) = measure(run, [THETA_S])
    passes, per_pass = run.passes, list[float]()
    late = wrong = 0
    for times, scores in zip(passes.response_s.tolist(), passes.score.tolist(), strict=True):
        per_pass.append(sum(s for t, s in zip(times, scores, strict=True) if t <= THETA_S) / len(times))
        late += sum(t > THETA_S for t in times)
        wrong += sum(t <= THETA_S and not s for t, s in zip(times, scores, strict=True))
    cells = passes.response_s.size
    assert found.mean == pytest.approx(sum(per_pass) / len(per_pass), abs=1e-12)
    assert (found.worst, found.p5, found.p1) == (min(per_pass), None, None)
    assert found.late == pytest.approx(late / cells, abs=1e-12)
    assert found.wrong == pytest.approx(wrong / cells, abs=1e-12)
    assert found.mean + found.late + found.wrong == pytest.approx(1)
    assert sample_quality(run, THETA_S).mean() == pytest.approx(found.mean, abs=1e-12)


def test_low_percentiles_of_passes_are_given_only_where_they_are_not_the_worst_under_another_name() -> None:
    late = [[0.01] * 50] * 101
    for index in range(3):
        late[index] = [0.2] * (50 - index) + [0.01] * index
    for passes, expected in ((20, (None, None)), (21, (0.02, None)), (101, (1.0, 0.02))):
        (found,) = measure(made_of("quiet/m", late[:passes], 1), [THETA_S])
        assert (found.p5, found.p1) == expected


def test_default_thresholds_are_deadlines_and_percentiles_that_every_run_observed() -> None:
    quick, slow = made_of("a/m", [[0.01, 0.02]], 1), made_of("b/m", [[0.3, np.inf]], 1, deadline_s=0.4)
    assert default_thresholds_s([quick, slow]) == [0.02, 0.05, 0.4]
    assert default_thresholds_s([made_of("a/m", [[0.01, 0.02]], 1, cut_at_s=0.05), slow]) == [0.02, 0.05]


# ---- Two runs


@given(st.data())
def test_what_quality_changes_by_is_what_losses_change_by(data: st.DataObject) -> None:
    ours = data.draw(runs("busy/m", 4))
    theirs = data.draw(runs("quiet/m", 4))
    (effect,) = compare([theirs, ours], [THETA_S], permutations=10, seed=0).effects
    assert effect.mean == pytest.approx(-(effect.late + effect.wrong), abs=1e-12)
    before, after = measure(theirs, [THETA_S])[0], measure(ours, [THETA_S])[0]
    assert (effect.mean, effect.worst) == (after.mean - before.mean, after.worst - before.worst)


def exact_p(one: list[float], other: list[float]) -> float:
    """Over every assignment of signs."""
    difference = np.subtract(one, other)
    signs = np.array(list(itertools.product((1, -1), repeat=len(difference))))
    return float((np.abs(signs @ difference) >= abs(difference.sum()) - 1e-9).mean())


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=10), st.integers(0, 99))
def test_p_values_are_those_of_all_permutations_but_for_the_draws(pairs: list[tuple[int, int]], seed: int) -> None:
    one, other = [a / 5 for a, _ in pairs], [b / 5 for _, b in pairs]
    draws = 4000
    expected, found = exact_p(one, other), paired_permutation(one, other, draws, seed)
    assert abs(found - expected) <= 6 * np.sqrt(expected * (1 - expected) / draws) + 2 / draws
    assert paired_permutation(one, other, draws, seed) == found
    assert found >= 1 / (1 + draws)


def test_p_values_reject_no_more_than_they_may_where_nothing_differs() -> None:
    generator = np.random.default_rng(3)
    found = [
        paired_permutation(generator.integers(0, 6, 200) / 5, generator.integers(0, 6, 200) / 5, 999, seed)
        for seed in range(400)
    ]
    assert np.mean(np.array(found) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    assert np.mean(np.array(found) <= 0.5) >= 0.5 - 3 * np.sqrt(0.25 / 400)  # and are not useless


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holms_adjustment_is_its_definition(p_values: list[float]) -> None:
    ordered = sorted(p_values)
    steps = [min(1.0, (len(ordered) - rank) * p) for rank, p in enumerate(ordered)]
    for p, adjusted in zip(p_values, holm(p_values), strict=True):
        last = len(ordered) - 1 - ordered[::-1].index(p)
        allowed = {max(steps[: rank + 1]) for rank in range(last + 1) if ordered[rank] == p}
        assert adjusted in allowed


def test_runs_over_other_samples_are_compared_without_a_p_value() -> None:
    one, other = made_of("a/m", [[0.01] * 3], 1), made_of("b/m", [[0.2] * 3], 1, dataset="another")
    (effect,) = compare([one, other], [THETA_S], permutations=99, seed=0).effects
    assert (effect.mean, effect.p_value, effect.p_adjusted) == (-1.0, None, None)


def test_runs_are_compared_where_one_factor_differs_and_none_is_left_out() -> None:
    named = ["quiet/a", "quiet/b", "busy/a", "busy/b", "other/c"]
    found = [(factor, one.name, two.name) for factor, one, two in pairs_of([made_of(n, [[0.1]], 1) for n in named])]
    assert found == [
        ("model", "quiet/a", "quiet/b"),
        ("model", "busy/a", "busy/b"),
        ("condition", "quiet/a", "busy/a"),
        ("condition", "quiet/b", "busy/b"),
        ("run", "quiet/a", "other/c"),
    ]
    devices = [replace(made_of("quiet/a", [[0.1]], 1), name=device, device=device) for device in ("cpu", "gpu")]
    assert [(factor, one.name, two.name) for factor, one, two in pairs_of(devices)] == [("device", "cpu", "gpu")]


# ---- Crossovers


def planted() -> list[Run]:
    """Big is the better one in quiet, where both are in time; under contention it is late in half of its answers."""
    small_right, big_right = [1.0] * 80 + [0.0] * 20, [1.0] * 95 + [0.0] * 5
    half_late = [0.01] * 50 + [0.2] * 50
    return [
        made_of("quiet/small", [[0.01] * 100] * 3, small_right),
        made_of("quiet/big", [[0.04] * 100] * 3, big_right),
        made_of("busy/small", [[0.02] * 100] * 3, small_right),
        made_of("busy/big", [half_late] * 3, big_right),
    ]


def crossovers(found: list[Run], thresholds_s: list[float]) -> list[Any]:
    measured = {run.name: measure(run, thresholds_s) for run in found}
    return crossovers_of(found, measured, permutations=999, seed=0)


def test_a_crossover_that_was_put_there_is_found_by_every_measure_that_it_is_in() -> None:
    found = {crossover.measure: crossover for crossover in crossovers(planted(), [THETA_S, 0.3])}
    # Latency flips at the median only: 10 to 40 ms, then 20 to 10 ms. At 300 ms nothing is late.
    assert set(found) == {"p50 of latency", "Q(50 ms)", "worst Q(50 ms)"}
    by_quality = found["Q(50 ms)"]
    assert (by_quality.first, by_quality.second, by_quality.sure) == ("small", "big", True)
    assert (by_quality.here.condition, by_quality.here.first, by_quality.here.second) == ("quiet", 0.8, 0.95)
    assert (by_quality.there.condition, by_quality.there.first, by_quality.there.second) == ("busy", 0.8, 0.5)
    assert (found["p50 of latency"].sure, found["worst Q(50 ms)"].sure) == (None, None)


def test_a_crossover_within_chance_is_said_not_to_be_sure() -> None:
    found = [
        made_of("quiet/a", [[0.01] * 10], [1.0] * 9 + [0.0]),
        made_of("quiet/b", [[0.01] * 10], [1.0] * 10),
        made_of("busy/a", [[0.01] * 10], [1.0] * 10),
        made_of("busy/b", [[0.01] * 10], [0.0] + [1.0] * 9),
    ]
    assert [(c.measure, c.sure) for c in crossovers(found, [THETA_S])] == [
        ("Q(50 ms)", False),
        ("worst Q(50 ms)", None),
    ]


@given(st.data())
def test_models_that_are_equal_somewhere_or_run_in_one_place_only_do_not_cross(data: st.DataObject) -> None:
    equal = data.draw(runs("quiet/a", 3))
    same = made_of("quiet/b", equal.passes.response_s, equal.passes.score)
    others = [data.draw(runs(f"busy/{model}", 3)) for model in "ab"]
    assert crossovers([equal, same, *others], [THETA_S]) == []
    assert crossovers([data.draw(runs("quiet/a", 3)), data.draw(runs("busy/b", 3))], [THETA_S]) == []


def test_json_has_null_for_answers_that_never_came() -> None:
    never = [made_of("quiet/a", [[0.01]], 1), made_of("quiet/b", [[np.inf]], 1)]
    flipped = [made_of("busy/a", [[np.inf]], 1), made_of("busy/b", [[0.01]], 1)]
    told = json.loads(json.dumps(as_json(compare(never + flipped, [], permutations=9, seed=0)), allow_nan=False))
    assert told["runs"][1]["latency_s"]["p50"] is None
    assert any(c["here"]["second"] is None for c in told["crossovers"] if c["measure"] == "p50 of latency")


# ---- The command


@pytest.fixture
def study(replay: Replay, write_trace: Write, tmp_path: Path) -> Callable[..., Path]:
    """One run's folder: `late` seconds are added to every answer; `wrong` of 40 samples are wrong besides."""

    def make(folder: str, late_s: float = 0.0, wrong: int = 0, **header: Any) -> Path:
        rows = [
            row._replace(
                latency_s=row.latency_s + late_s,
                outcome=Outcome.OK_LATE if row.latency_s + late_s > THETA_S else Outcome.OK,
                predicted=4 if row.sample < wrong else row.predicted,
            )
            for row in replay()
        ]
        run_id = str(header.setdefault("run_id", folder))
        path = write_trace(tmp_path / folder, rows, **header)
        (path / "summary.json").write_text(
            json.dumps({"run": {"run_id": run_id}, "valid": True, "invalid_because": []})
        )
        return path

    return make


def shown(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Any:
    capsys.readouterr()
    assert main(["compare", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_condition_that_makes_answers_late_is_told_apart_from_a_model_that_is_wrong(
    study: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = study("quiet", model="a")
    found = shown(capsys, quiet, study("busy", late_s=0.03, model="a"), "--threshold", "50ms")
    (effect,) = found["effects"]
    assert (effect["factor"], effect["before"], effect["after"]) == ("condition", "quiet/a", "busy/a")
    assert effect["wrong"] <= 0 < effect["late"]
    assert effect["p_value"] < 0.05
    found = shown(capsys, quiet, f"quiet={study('b', wrong=10, model='b')}", "--threshold", "50ms")
    (effect,) = found["effects"]
    assert (effect["factor"], effect["before"], effect["after"], effect["late"]) == ("model", "quiet/a", "quiet/b", 0)
    assert effect["wrong"] == pytest.approx(0.2, abs=0.03)
    assert (found["permutations"], found["seed"], found["warnings"]) == (10_000, 0, [])


def test_conditions_come_from_the_name_given_then_the_header_then_the_folder(
    study: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    study("study/one", model="a")
    study("study/two", model="b", condition="busy")
    study("study/three", model="c", condition={"name": "starved", "cpu": 2}, device="gpu")
    found = shown(capsys, tmp_path / "study")
    assert [run["name"] for run in found["runs"]] == ["study/a", "starved/c/gpu", "busy/b"]
    named = shown(capsys, f"night={tmp_path / 'study'}")
    assert [run["condition"] for run in named["runs"]] == ["night"] * 3


def test_the_tables_show_every_run_and_change_and_warn_of_runs_not_to_be_relied_on(
    study: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    quiet, busy = study("quiet", model="[m]"), study("busy", late_s=0.03, model="[m]")
    (busy / "summary.json").unlink()
    assert main(["compare", str(quiet), str(busy)]) == 0
    out = capsys.readouterr().out
    assert out.count("quiet/[m]") == 2
    assert "10,000 draws, seed 0" in out
    assert "busy/[m]: its folder has no summary.json of this run" in out
    assert "no crossover" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("quiet",), "there is one run only, quiet/a; a comparison needs two"),
        (("quiet", "quiet=busy"), "busy is a second run of quiet/a; tell its condition apart with NAME=DIR"),
        (("quiet", "busy", "--threshold", "50"), "--threshold is '50'; expected a number above zero with its unit"),
        (("quiet", "cut", "--threshold", "51ms"), "--threshold is 51 ms, but cut/a cut its answers at 50 ms"),
        (("quiet", "busy", "--permutations", "0"), "--permutations is 0; expected a whole number of at least 1"),
        (("quiet", "part"), "part has no finished pass; let the run finish one, or leave it out"),
        (("quiet", "nothing"), "nothing is not a folder; name the one that --trace wrote to"),
    ],
)
def test_a_mistake_gets_one_sentence(
    study: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    study("quiet", model="a")
    study("busy", model="a")
    study("cut", model="a", on_deadline="cancel")
    monkeypatch.chdir(study("part", model="a", samples=41).parent)
    assert main(["compare", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"tailgate compare: {sentence}")


def test_a_threshold_that_no_run_observed_is_asked_for() -> None:
    blind = [made_of(name, [[np.inf]], 1, deadline_s=None) for name in ("a/m", "b/m")]
    with pytest.raises(UsageError, match="name one with --threshold"):
        compare(blind, [], permutations=9, seed=0)
