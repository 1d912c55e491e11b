"""`tailgate predict`: what it prints rests on the trace, in order of arrival; mistakes get one sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tailgate.cli import main
from tailgate.observation import Observation
from tailgate.prediction.command import arrivals_of
from tailgate.prediction.predict import Doubt
from tailgate.prediction.words import DOUBTS
from tailgate.trace.format import decode
from tailgate.trace.views import passes_of

Make = Callable[..., Observation]
Replay = Callable[..., list[Observation]]
Write = Callable[..., Path]


def test_the_sentence_on_top_names_threshold_p1_and_worst(
    write_trace: Write, replay: Replay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(write_trace(tmp_path / "run", replay())), "--passes", "500"]) == 0
    printed = capsys.readouterr().out
    assert re.search(
        r"At 50 ms: expect one pass in a hundred at or under \d+\.\d\d %; the worst of 500 passes", printed
    )
    assert "This rests on 5 passes of 40 responses, of which 20 were late or lost, in 1 stall" in printed
    assert DOUBTS[Doubt.FEW_STALLS] in printed


def test_json_holds_every_figure_and_the_threshold_asked_for(
    write_trace: Write, replay: Replay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_trace(tmp_path / "run", replay())
    assert main(["predict", str(folder), "--threshold", "300ms", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["threshold_s"], found["rests_on"], found["samples"], found["of_passes"]) == (0.3, 5, 40, 1000)
    assert (found["observed_mean"], found["observed_worst"], found["late"]) == (0.9, 0.9, 0)
    assert found["doubts"] == ["nothing_lost"]
    assert found["p1"]["upper"] == pytest.approx(0.9)
    assert found["run_doubts"]


def test_validation_shows_both_halves_and_both_models(
    write_trace: Write, replay: Replay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_trace(tmp_path / "run", replay())
    assert main(["predict", str(folder), "--validate", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["validation"]
    assert (first["rests_on"], first["held_out"], first["observed_worst"]) == (2, 3, 0.4)
    assert (second["rests_on"], second["held_out"], second["observed_worst"]) == (3, 2, 0.9)
    assert first["independent"]["within"] == pytest.approx(2 / 3)
    assert main(["predict", str(folder), "--validate"]) == 0
    printed = capsys.readouterr().out
    assert "Each half of the passes, foretold from the other" in printed
    assert "if lateness came singly: foretold" in printed


def test_a_tolerance_that_is_not_kept_is_exit_status_1(
    write_trace: Write, replay: Replay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(write_trace(tmp_path / "run", replay()))
    assert main(["predict", folder, "--tolerance", "0.005"]) == 1
    assert "make more passes" in capsys.readouterr().out
    assert main(["predict", folder, "--tolerance", "1"]) == 0
    assert "these passes are enough" in capsys.readouterr().out


def test_responses_stand_in_the_order_in_which_they_arrived(observation: Make, trace_of: Callable[..., bytes]) -> None:
    cells = [(1, 0, 5.0), (0, 1, 2.0), (0, 0, 1.0), (-1, 0, 0.0), (1, 1, 4.0), (2, 0, 9.0)]
    given = [observation(n, pass_index=p, sample=s, arrival_unix_s=at) for n, (p, s, at) in enumerate(cells)]
    records = decode(trace_of(given), "trace").records
    passes = passes_of(records)
    assert np.array_equal(arrivals_of(records, passes), [[1, 2], [5, 4]])


@pytest.mark.parametrize(
    ("header", "arguments", "named"),
    [
        ({"on_deadline": "cancel"}, ["--threshold", "60ms"], "cut its answers at 50 ms"),
        ({"deadline_s": None}, [], "name a threshold with --threshold"),
        ({"samples": 50}, [], "holds no complete labelled pass"),
        ({"role": "proxy"}, [], "has no passes"),
        ({}, ["--threshold", "50"], "--threshold is '50'"),
        ({}, ["--passes", "0"], "whole number from 1"),
        ({}, ["--tolerance", "x"], "percentage point"),
        ({}, ["--tolerance", "nan"], "percentage point"),
    ],
)
def test_a_mistake_gets_one_sentence_and_exit_status_2(  # noqa: PLR0917 — fixtures and parameters
    write_trace: Write,
    replay: Replay,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    header: dict[str, object],
    arguments: list[str],
    named: str,
) -> None:
    folder = write_trace(tmp_path / "run", replay(), **header)
    try:
        status = main(["predict", str(folder), *arguments])
    except SystemExit as left:
        status = int(str(left.code))
    assert status == 2
    printed = capsys.readouterr().err
    assert named in printed
    assert printed.count("\n") == 1


def test_three_passes_cannot_be_validated(
    write_trace: Write, replay: Replay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_trace(tmp_path / "run", [one for one in replay() if one.pass_index < 3])
    assert main(["predict", str(folder), "--validate"]) == 2
    assert "holds 3 complete passes; to hold half of them out takes 4" in capsys.readouterr().err
