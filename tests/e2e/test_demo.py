"""The demo, from beginning to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def test_the_demo_runs_to_its_end_with_balanced_books_and_a_report(tailgate: Any, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    done = tailgate("demo", "--seconds", "12", "--rate", "150", "--out", str(out), "--cache", str(tmp_path / "cache"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The books balance" in done.stdout
    assert "during contention" in done.stdout
    report = (out / "report" / "report.html").read_text()
    assert "<svg" in report
    assert "CPU contention" in report
    summary = json.loads((out / "summary.json").read_text())
    assert summary["arrivals"] == 898 * 3
    # Whatever the processor was fought over, the answers that came were as right as ever: >= 97 % is the network's.
    assert summary["accuracy_of_answers"] >= 0.96
    (event,) = json.loads((out / "events.json").read_text())
    assert event["end_unix_s"] > event["start_unix_s"]


def test_a_folder_that_holds_something_is_left_alone(tailgate: Any, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    done = tailgate("demo", "--out", str(tmp_path))
    assert done.returncode == 2
    assert "is not empty; name a new folder" in done.stderr
    assert (tmp_path / "precious").read_text() == "data"
