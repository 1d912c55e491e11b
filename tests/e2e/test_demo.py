"""The demo, from beginning to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tailgate.outcome import Outcome
from tailgate.trace.files import read_trace


def test_the_demo_runs_to_its_end_with_balanced_books_and_a_report(tailgate: Any, cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    done = tailgate("demo", "--seconds", "12", "--rate", "150", "--busy", "4", "--out", str(out), "--cache", str(cache))
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
    client = read_trace(out / "client.trace").records
    client = client[client["pass_index"] >= 0]
    before = client["arrival_unix_s"] < event["start_unix_s"]
    during = ~before & (client["arrival_unix_s"] < event["end_unix_s"])
    right_in_time = (client["outcome"] == Outcome.OK) & (client["predicted"] == client["label"])
    assert min(before.sum(), during.sum()) >= 300
    assert right_in_time[during].mean() < right_in_time[before].mean()


def test_a_run_that_is_not_valid_ends_with_its_table_and_the_reason(tailgate: Any, cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    done = tailgate(
        "demo", "--seconds", "4", "--deadline-ms", "1", "--no-contention",
        "--out", str(out), "--cache", str(cache),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((out / "summary.json").read_text())
    assert not summary["valid"]
    assert "whole run" in done.stdout
    assert f"The run is not valid: {'; '.join(summary['invalid_because'])}." in " ".join(done.stdout.split())
    assert (out / "report" / "report.html").exists()


def test_a_load_run_that_cannot_begin_fails_the_demo_with_what_it_said(
    tailgate: Any, cache: Path, tmp_path: Path
) -> None:
    # As many requests as a run may have, but whole passes make a few more of them.
    done = tailgate("demo", "--seconds", "1e8", "--rate", "1", "--out", str(tmp_path / "demo"), "--cache", str(cache))
    assert done.returncode == 2
    assert "`tailgate load` ended with status 2; it said: tailgate load: " in done.stderr
    assert "Traceback" not in done.stderr


def children(parent: int) -> set[int]:
    """Processes that are children of this one, as Linux shows them."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(after_name[1]) == parent and after_name[0] != "Z":
            found.add(int(stat.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds children by Linux's /proc")
@pytest.mark.parametrize(("number", "exit_status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_demo_that_is_ended_from_outside_leaves_nothing_running(
    number: signal.Signals, exit_status: int, until: Any, cache: Path, tmp_path: Path
) -> None:
    out, busy = tmp_path / "demo", 2
    command = [
        sys.executable, "-m", "tailgate", "demo", "--seconds", "15", "--busy", str(busy),
        "--out", str(out), "--cache", str(cache),
    ]  # fmt: skip
    with (tmp_path / "demo.log").open("wb") as log:
        demo = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    started: set[int] = set()
    try:
        until(lambda: len(children(demo.pid)) == 3 + busy, "server, proxy, load and the busy processes", seconds=600)
        started = children(demo.pid)
        demo.send_signal(number)
        assert demo.wait(180) == exit_status, (tmp_path / "demo.log").read_text()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), "everything to end", seconds=120)
    finally:
        demo.kill()
        demo.wait()
        for pid in started:
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGKILL)


WRONG_OPTIONS = [
    (["--seconds", "inf"], "--seconds is inf; expected seconds, above zero"),
    (["--seconds", "nan"], "--seconds is nan; expected seconds"),
    (["--seconds", "0"], "--seconds is 0.0; expected seconds"),
    (["--seconds", "1e300", "--rate", "1e300"], "makes more than 100,000,000 requests; lower one"),
    (["--rate", "inf"], "--rate is inf; expected requests per second"),
    (["--deadline-ms", "nan"], "--deadline-ms is nan; expected milliseconds"),
    (["--deadline-ms", "4000000"], "--deadline-ms is 4000000.0; a request may have at most 3600000"),
    (["--busy", "-1"], "--busy is -1; expected a number of processes"),
    (["--out", "FILE"], "cannot be made a folder: File exists; name another"),
    (["--out", "FILE/below"], "cannot be made a folder: Not a directory; name another"),
    (["--cache", "FILE"], "cannot be made a folder: File exists; name another"),
]


@pytest.mark.beside_others  # nothing is started
@pytest.mark.parametrize(("options", "sentence"), WRONG_OPTIONS)
def test_a_wrong_option_gets_one_sentence(options: list[str], sentence: str, tailgate: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    places = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    given = [option.replace("FILE", str(tmp_path / "file")) for option in options]
    done = tailgate("demo", *places, *given)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.startswith("tailgate demo: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.beside_others  # nothing is started
def test_a_folder_that_holds_something_is_left_alone(tailgate: Any, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    done = tailgate("demo", "--out", str(tmp_path))
    assert done.returncode == 2
    assert "is not empty; name a new folder" in done.stderr
    assert (tmp_path / "precious").read_text() == "data"
