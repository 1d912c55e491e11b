"""Results of benchmarks that are checked in: what may take their place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import _common

pytestmark = pytest.mark.beside_others  # it is about files


@pytest.mark.parametrize(("there", "run", "written"), [
    (None, "quick", True), (None, "full", True), ("quick", "quick", True), ("quick", "full", True),
    ("full", "full", True), ("full", "quick", False),
])  # fmt: skip
def test_only_a_full_run_takes_the_place_of_a_full_runs_results(
    there: str | None, run: str, written: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_common, "RESULTS", tmp_path)
    results = tmp_path / "speed.json"
    if there is not None:
        results.write_text(json.dumps({"claims": [], "quick": there == "quick", "by": "the run before"}))
    assert _common.finish("speed", [_common.Claim("seconds", 1.0, 2.0)], quick=run == "quick", by="this run") == 0
    found = json.loads(results.read_text())
    assert (found["by"] == "this run") is written
    assert [path.name for path in tmp_path.iterdir()] == ["speed.json"]
