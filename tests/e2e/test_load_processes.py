"""One run sent by several real processes: together they are what one process would have sent.

A run that says itself that it is not valid, as on a machine that others use too, is made again.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailgate.outcome import Outcome
from tailgate.trace.files import read_trace
from tailgate.trace.format import Contents, Records
from tailgate.trace.views import passes_of

V2_SERVER = Path(__file__).parents[1] / "loadgen" / "v2_server.py"
ATTEMPTS = 6
SAMPLES, PASSES = 40, 2
RUN = ("--samples", str(SAMPLES), "--passes", str(PASSES), "--seed", "7", "--warmup", "2", "--rate", "400")


@dataclass
class Load:
    """A run that ended, or failed to begin."""

    done: subprocess.CompletedProcess[str]
    folder: Path

    @property
    def trace(self) -> Contents:
        """What it recorded."""
        return read_trace(self.folder / "client.trace")

    @property
    def rows(self) -> Records:
        """Its records of passes, by pass and sample."""
        records = self.trace.records
        return np.sort(records[records["pass_index"] >= 0], order=["pass_index", "sample"])

    @property
    def summary(self) -> dict[str, Any]:
        """What it came to."""
        content: dict[str, Any] = json.loads((self.folder / "summary.json").read_text())
        return content


@pytest.fixture
def target(start: Any, tmp_path: Path) -> str:
    """A server whose behaviour is the model's name."""
    address: str = start(sys.executable, str(V2_SERVER), str(tmp_path / "received.jsonl"), ready=r"(?m)^(\d+)$").ready[
        0
    ]
    return f"127.0.0.1:{address}"


def arguments(target: str, folder: Path, *options: str, model: str = "right") -> list[str]:
    return [
        "load", "--target", target, "--model", model, "--dataset", "digits", "--deadline", "20s", "--max-lag", "10s",
        "--calibration", "none", "--trace", str(folder), *options,
    ]  # fmt: skip


Run = Callable[..., Load]


@pytest.fixture
def load(tailgate: Any, target: str, tmp_path: Path) -> Run:
    """Runs `tailgate load` to its end; up to `ATTEMPTS` times, until it does not call itself invalid."""

    def run(*options: str, name: str = "run", model: str = "right") -> Load:
        said = []
        for attempt in range(ATTEMPTS):
            folder = tmp_path / f"{name}-{attempt}"
            ran = Load(tailgate(*arguments(target, folder, *options, model=model)), folder)
            if "the run is not valid" not in ran.done.stderr:
                return ran
            said.append(ran.done.stderr)
        raise AssertionError("".join(said))

    return run


@pytest.fixture
def begin(target: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `tailgate load` in the background."""
    begun: list[subprocess.Popen[str]] = []

    def start_one(folder: Path, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tailgate", *arguments(target, folder, "--quiet", *options)]
        begun.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield start_one
    for process in begun:
        process.kill()
        process.communicate()


def same_schedule(one: Load, other: Load) -> bool:
    """Whether the same requests were due at the same time after the start."""
    first_s, second_s = (ran.rows["arrival_unix_s"] - ran.trace.header["start_unix_s"] for ran in (one, other))
    return (
        len(one.rows) == SAMPLES * PASSES
        and one.rows[["pass_index", "sample"]].tolist() == other.rows[["pass_index", "sample"]].tolist()
        and np.allclose(first_s, second_s, rtol=0, atol=1e-6)
        and one.trace.header["schedule_sha256"] == other.trace.header["schedule_sha256"]
    )


def columns(records: Records) -> list[tuple[Any, ...]]:
    """Everything a trace says of its requests but in which order it was written."""
    names = [name for name in records.dtype.names or () if name not in {"sequence", "crc32", "model", "version"}]
    return sorted(records[names].tolist())


def test_two_shards_joined_are_the_run_of_one_process(
    load: Run, begin: Callable[..., subprocess.Popen[str]], tailgate: Any, tmp_path: Path
) -> None:
    alone = load(*RUN, name="alone")
    assert alone.done.returncode == 0, alone.done.stderr
    for lead_s in (3, 10, 30, 90):  # a machine that is busy needs long to start a process
        shared = (*RUN, "--run-id", "r", "--start-at", str(time.time() + lead_s))
        folders = [tmp_path / f"lead-{lead_s}-shard-{index}" for index in range(2)]
        processes = [begin(folder, *shared, "--shard", f"{index}/2") for index, folder in enumerate(folders)]
        errors = [process.communicate(timeout=900)[1] for process in processes]
        if not any("ago when everything was ready" in error or "not valid" in error for error in errors):
            break
    assert [process.returncode for process in processes] == [0, 0], errors
    options = ("load", "merge", *map(str, folders), "--trace", str(tmp_path / "joined"), "--min-quality", "0.99@20s")
    joined = Load(tailgate(*options), tmp_path / "joined")
    assert joined.done.returncode == 0, joined.done.stderr
    assert same_schedule(joined, alone)
    assert joined.trace.header["shards"] == 2
    parts = [read_trace(folder / "client.trace").records for folder in folders]
    assert columns(joined.trace.records) == columns(np.concatenate(parts))
    assert [len(part) for part in parts] == [42, 42]
    assert (joined.trace.missing, joined.trace.closed) == (0, True)
    summary = joined.summary
    assert (summary["valid"], summary["scheduled"], summary["over_passes"]["passes"]) == (True, 80, 2)
    for folder in folders:
        summary = json.loads((folder / "summary.json").read_text())
        assert (summary["valid"], summary["scheduled"], summary["arrivals"]) == (True, 40, 40)


def test_several_processes_are_one_run(load: Run) -> None:
    alone = load(*RUN, name="alone")
    ran = load(*RUN, "--procs", "2", "--min-quality", "0.99@20s", "--keep-answers", "3")
    assert ran.done.returncode == 0, ran.done.stderr
    assert same_schedule(ran, alone)
    header = ran.trace.header
    assert (header["shards"], header["shard"]) == (2, None)
    assert ran.summary["right_in_time"] == 80
    assert "right within 20 s" in ran.done.stdout
    ids = [row["request_id"].decode() for row in ran.trace.records]
    assert len(set(ids)) == len(ids) == 84
    assert sorted(one for one in ids if "warmup" in one) == [f"{header['run_id']}-warmup-{n}" for n in range(4)]
    shards = [ran.folder / "shards" / str(index) for index in range(2)]
    assert [len(read_trace(shard / "client.trace").records) for shard in shards] == [42, 42]
    assert sum(len(list((shard / "answers").glob("*.pb"))) for shard in shards if (shard / "answers").exists()) == 3


def test_several_processes_end_after_the_same_pass_when_their_passes_are_enough(load: Run) -> None:
    # A sixth of the answers is right, so the interval of p1 is narrower than a half as soon as anybody asks.
    options = ("--samples", "12", "--passes", "3000", "--rate", "400", "--tolerance", "0.5", "--deadline", "300ms")
    ran = load(*options, "--procs", "2", model="mixed")
    assert ran.done.returncode == 0, ran.done.stderr
    summary = ran.summary
    made = summary["over_passes"]["passes"]
    assert summary["stopping"]["met_after_passes"] == 6 <= made < 3000
    assert summary["arrivals"] == made * 12
    assert summary["arrivals"] + summary["not_needed"] == summary["scheduled"] == 36_000
    assert passes_of(ran.rows, 12).score.shape == (made, 12)
    shards = [json.loads((ran.folder / "shards" / str(index) / "summary.json").read_text()) for index in range(2)]
    assert [one["valid"] for one in shards] == [True, True]
    assert sum(one["not_needed"] for one in shards) == summary["not_needed"]


def test_auto_sends_with_as_many_processes_as_the_calibration_asks_for(load: Run, tmp_path: Path) -> None:
    from tailgate_loadgen.calibration import keep_calibration, processors, this_machine
    from tailgate_loadgen.capacity import Calibration

    if processors() < 2:
        pytest.skip("this machine has one processor, and auto takes no more processes than there are")
    path = tmp_path / "calibration.json"
    keep_calibration(path, this_machine(), Calibration({100_000: 300.0}, time.time()))
    options = ("--samples", "160", "--rate", "160", "--arrivals", "constant", "--calibration", str(path))
    ran = load(*options, "--procs", "auto")
    assert ran.done.returncode == 0, ran.done.stderr
    assert ran.trace.header["shards"] == 2
    assert 0.2 < ran.trace.header["generator"]["share"] <= 0.4
    refused = load(*options, name="refused")
    assert (refused.done.returncode, refused.done.stderr.count("\n")) == (2, 1)
    assert "take --procs 2 or auto, or lower --rate" in refused.done.stderr


def test_what_is_wrong_in_one_of_several_processes_is_said_in_one_sentence(load: Run) -> None:
    ran = load("--procs", "2", model="refuses").done
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
    assert "refuses the requests of this run with INVALID_ARGUMENT" in ran.stderr
    late = load("--procs", "2", "--start-at", "1", name="late").done
    assert (late.returncode, late.stderr.count("\n")) == (2, 1)
    assert "s ago when everything was ready" in late.stderr


def test_an_interrupt_ends_every_process_and_joins_what_they_recorded(
    begin: Callable[..., subprocess.Popen[str]], until: Any, tmp_path: Path
) -> None:
    process = begin(tmp_path / "run", "--rate", "100", "--passes", "50", "--procs", "2")
    traces = [tmp_path / "run" / "shards" / str(index) / "client.trace" for index in range(2)]

    def has_recorded(trace: Path) -> bool:
        return trace.exists() and trace.stat().st_size > 8192

    until(lambda: process.poll() is not None or all(map(has_recorded, traces)), "both to record", seconds=600)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=600)
    assert process.returncode == 2, error
    assert "interrupted" in error
    assert "Traceback" not in error
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["interrupted"]
    records = read_trace(tmp_path / "run" / "client.trace").records
    assert (records["outcome"] == Outcome.OK).all()
    assert len(records) == sum(len(read_trace(trace).records) for trace in traces)
