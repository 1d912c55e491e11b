"""A run is read with its factors, and with all that speaks against it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tailgate.errors import TraceError
from tailgate.observation import Observation
from tailgate.report.source import read_source
from tailgate.runs import Run, run_of

Make = Callable[..., Observation]
Replay = Callable[..., list[Observation]]
Write = Callable[..., Path]


def read(folder: Path, *, valid: bool | None = True) -> Run:
    if valid is not None:
        reasons = [] if valid else ["it was slow"]
        summary = {"run": {"run_id": "run"}, "valid": valid, "invalid_because": reasons}
        (folder / "summary.json").write_text(json.dumps(summary))
    return run_of(read_source("r", folder))


def test_a_run_is_what_its_header_says(replay: Replay, write_trace: Write, tmp_path: Path) -> None:
    header: dict[str, Any] = {"model": "m", "condition": "busy", "device": "gpu", "dataset_digest": "d", "samples": 40}
    run = read(write_trace(tmp_path, replay(), **header))
    assert (run.model, run.condition, run.device, run.dataset) == ("m", "busy", "gpu", "d")
    assert (run.deadline_s, run.cut_at_s, run.doubts) == (0.05, None, ())
    assert run.passes.response_s.shape == (5, 40)
    assert run.passes.samples.tolist() == list(range(40))


def test_what_a_header_does_not_say_is_taken_from_the_records_or_left_empty(
    replay: Replay, write_trace: Write, tmp_path: Path
) -> None:
    run = read(write_trace(tmp_path, replay(), deadline_s=None, on_deadline="cancel"))
    assert (run.model, run.condition, run.device, run.dataset) == ("digits 1", "", "", "")
    assert (run.deadline_s, run.cut_at_s) == (None, None)


def test_samples_without_a_label_have_no_column(replay: Replay, write_trace: Write, tmp_path: Path) -> None:
    rows = [row._replace(label=-1) if row.sample in (3, 5) else row for row in replay()]
    warm_up = rows[0]._replace(pass_index=-1, sample=-1, label=-1)
    run = read(write_trace(tmp_path, [warm_up, *rows], samples=40))
    assert run.passes.response_s.shape == (5, 38)
    assert not {3, 5} & set(run.passes.samples.tolist())


def test_everything_that_speaks_against_a_run_is_named(replay: Replay, write_trace: Write, tmp_path: Path) -> None:
    folder = write_trace(tmp_path, replay())
    (of_no_summary,) = read(folder, valid=None).doubts
    assert "has no summary.json of this run" in of_no_summary
    path = folder / "client.trace"
    data = bytearray(path.read_bytes())
    data[-128 * 5] ^= 1
    path.write_bytes(data[:-100])
    assert read(folder, valid=False).doubts == (
        "the run was not valid: it was slow",
        "its trace is not whole: 1 observations are missing, 1 records are damaged, 28 bytes are of one cut short",
        "its trace was not closed",
    )


def test_what_is_no_labelled_run_is_refused_in_words(
    observation: Make, replay: Replay, write_trace: Write, tmp_path: Path
) -> None:
    with pytest.raises(TraceError, match="r holds no client's trace, and a proxy's has no passes"):
        read(write_trace(tmp_path / "live", replay(), "proxy", role="proxy"))
    with pytest.raises(TraceError, match="r has no labels"):
        read(write_trace(tmp_path / "bare", [observation(0, label=-1)]))
