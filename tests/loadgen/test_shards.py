"""One run sent by several processes: the shards together are what one process would have sent."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tailgate.errors import TraceError
from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate.trace.files import TraceWriter, read_trace
from tailgate.trace.format import Records
from tailgate_loadgen.merge import join_folders

if TYPE_CHECKING:
    from tests.loadgen.conftest import Ran, Server

    Load = Callable[..., Ran]

RUN = {"samples": 40, "passes": 2, "seed": 7, "warmup": 2}


def same_schedule(one: Ran, other: Ran) -> bool:
    """Whether the same requests were due at the same time after the start."""
    rows = [np.sort(ran.rows, order=["pass_index", "sample"]) for ran in (one, other)]
    first_s, second_s = (
        row["arrival_unix_s"] - ran.trace.header["start_unix_s"] for row, ran in zip(rows, (one, other), strict=True)
    )
    return (
        len(rows[0]) == 80
        and rows[0][["pass_index", "sample"]].tolist() == rows[1][["pass_index", "sample"]].tolist()
        and np.allclose(first_s, second_s, rtol=0, atol=1e-6)
        and one.trace.header["schedule_sha256"] == other.trace.header["schedule_sha256"]
    )


def columns(records: Records) -> list[tuple[Any, ...]]:
    """Everything a trace says of its requests but in which order it was written."""
    names = [name for name in records.dtype.names or () if name not in {"sequence", "crc32", "model", "version"}]
    return sorted(records[names].tolist())


def test_two_shards_joined_are_the_run_of_one_process(
    load: Load, start_load: Callable[..., subprocess.Popen[str]], server: Server, tmp_path: Path
) -> None:
    given = RUN | {"target": server.address, "model": "right", "rate": 400, "deadline": "2s"}
    alone = load(folder="alone", **given)
    for lead_s in (3, 10, 30, 90):  # a machine that is busy needs long to start a process
        shared = {"run-id": "r", "start-at": time.time() + lead_s}
        folders = [tmp_path / f"lead-{lead_s}-shard-{index}" for index in range(2)]
        processes = [
            start_load(**given, **shared, shard=f"{index}/2", trace=folder) for index, folder in enumerate(folders)
        ]
        errors = [process.communicate(timeout=180)[1] for process in processes]
        if not any("ago when everything was ready" in error for error in errors):
            break
    assert [process.returncode for process in processes] == [0, 0], errors
    joined = load(*map(str, folders), action="merge", folder="joined", min_quality="0.99@2s")
    assert joined.status == 0, joined.error
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


def test_several_processes_are_one_run(load: Load, server: Server) -> None:
    alone = load(target=server.address, folder="alone", **RUN)
    ran = load(target=server.address, procs=2, min_quality="0.99@2s", keep_answers=3, **RUN)
    assert ran.status == 0, ran.error
    assert same_schedule(ran, alone)
    header = ran.trace.header
    assert (header["shards"], header["shard"]) == (2, None)
    assert ran.summary["right_in_time"] == 80
    assert "right within 2 s" in ran.output
    ids = [row["request_id"].decode() for row in ran.trace.records]
    assert len(set(ids)) == len(ids) == 84
    assert sorted(one for one in ids if "warmup" in one) == [f"{header['run_id']}-warmup-{n}" for n in range(4)]
    shards = [ran.folder / "shards" / str(index) for index in range(2)]
    assert [len(read_trace(shard / "client.trace").records) for shard in shards] == [42, 42]
    assert sum(len(list((shard / "answers").glob("*.pb"))) for shard in shards if (shard / "answers").exists()) == 3


def test_what_is_wrong_in_one_of_several_processes_is_said_in_one_sentence(load: Load, server: Server) -> None:
    ran = load(model="refuses", target=server.address, procs=2)
    assert (ran.status, ran.error.count("\n")) == (2, 1)
    assert "refuses the requests of this run with INVALID_ARGUMENT" in ran.error
    late = load(target=server.address, procs=2, start_at=1.0, folder="late")
    assert (late.status, late.error.count("\n")) == (2, 1)
    assert "s ago when everything was ready" in late.error


def test_an_interrupt_ends_every_process_and_joins_what_they_recorded(
    start_load: Callable[..., subprocess.Popen[str]], server: Server, tmp_path: Path
) -> None:
    process = start_load(target=server.address, model="right", rate=100, deadline="2s", passes=50, procs=2)
    traces = [tmp_path / "run" / "shards" / str(index) / "client.trace" for index in range(2)]
    while not all(trace.exists() and trace.stat().st_size > 8192 for trace in traces):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 2, error
    assert "interrupted" in error
    assert "Traceback" not in error
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["interrupted"]
    records = read_trace(tmp_path / "run" / "client.trace").records
    assert (records["outcome"] == Outcome.OK).all()
    assert len(records) == sum(len(read_trace(trace).records) for trace in traces)


@pytest.fixture
def shards(tmp_path: Path) -> Callable[..., list[Path]]:
    """Writes three shards of a run of two passes over three samples."""
    common = {
        "role": "client",
        "run_id": "r",
        "seeds": {"order": 1},
        "schedule_sha256": "ab",
        "deadline_s": 1.0,
        "on_deadline": "cancel",
        "rate": 10.0,
        "samples": 3,
        "scheduled": 6,
        "max_lag_s": 1.0,
        "start_unix_s": 100.0,
    }

    def write(change: Callable[[list[dict[str, Any]]], None] = lambda _: None) -> list[Path]:
        headers = [common | {"shard": {"index": index, "of": 3}} for index in range(3)]
        change(headers)
        folders = []
        for index, header in enumerate(headers):
            folders.append(tmp_path / f"shard-{index}")
            writer = TraceWriter(folders[-1] / "client.trace", header)
            writer.append(
                [
                    Observation(
                        f"r-{row // 3}-{row % 3}", f"m-{index}", "1", 100.0 + row, 1.0, 0.2 + index / 10, Outcome.OK,
                        predicted=row, label=4, lag_s=0.001, pass_index=row // 3, sample=row % 3,
                    )
                    for row in range(index, 6, 3)
                ]
            )  # fmt: skip
            writer.close()
        return folders

    return write


def test_joining_keeps_every_field_of_every_request(shards: Callable[..., list[Path]], tmp_path: Path) -> None:
    folders = shards()
    summary = join_folders(folders[::-1], tmp_path / "whole", None)
    whole = read_trace(tmp_path / "whole" / "client.trace")
    assert columns(whole.records) == columns(
        np.concatenate([read_trace(folder / "client.trace").records for folder in folders])
    )
    models = {row["sample"]: whole.names[int(row["model"])] for row in whole.records}
    assert models == {0: "m-0", 1: "m-1", 2: "m-2"}
    assert (np.diff(whole.records["arrival_unix_s"] + whole.records["latency_s"]) >= 0).all()
    assert (summary["valid"], summary["arrivals"], summary["right"]) == (True, 6, 1)


def drop_last(headers: list[dict[str, Any]]) -> None:
    headers.pop()


def repeat_first(headers: list[dict[str, Any]]) -> None:
    headers[2]["shard"] = {"index": 0, "of": 3}


def other_division(headers: list[dict[str, Any]]) -> None:
    headers[1]["shard"] = {"index": 1, "of": 2}


def no_shard(headers: list[dict[str, Any]]) -> None:
    headers[1]["shard"] = None


def other(name: str, value: object) -> Callable[[list[dict[str, Any]]], None]:
    def change(headers: list[dict[str, Any]]) -> None:
        headers[1][name] = value

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (drop_last, "shard 2/3 is missing; name each of the 3 shards once"),
        (repeat_first, "shard 0/3 is there more than once"),
        (other_division, "these are shards of 2 and of 3"),
        (no_shard, "shard-1/client.trace is not the trace of a shard"),
        (other("run_id", "s"), "is of another run than .*: its run_id is 's', not 'r'"),
        (other("seeds", {"order": 2}), "its seeds is {'order': 2}, not {'order': 1}"),
        (other("schedule_sha256", "cd"), "its schedule_sha256 is 'cd', not 'ab'"),
        (other("start_unix_s", 101.0), "its start_unix_s is 101.0, not 100.0"),
    ],
)
def test_shards_that_do_not_belong_together_are_refused(
    shards: Callable[..., list[Path]], tmp_path: Path, change: Callable[[list[dict[str, Any]]], None], sentence: str
) -> None:
    with pytest.raises(TraceError, match=sentence):
        join_folders(shards(change), tmp_path / "whole", None)
    assert not (tmp_path / "whole").exists()


def test_a_request_in_two_shards_is_refused_and_one_in_none_makes_the_run_invalid(
    shards: Callable[..., list[Path]], tmp_path: Path
) -> None:
    folders = shards()
    trace = folders[1] / "client.trace"
    header = {name: value for name, value in read_trace(trace).header.items() if not name.startswith("record")}
    rows = read_trace(trace).records
    for kept, sample in ((2, 0), (1, 1)):
        trace.unlink()
        writer = TraceWriter(trace, header)
        writer.append(
            [
                Observation(
                    "r", "m", "1", float(row["arrival_unix_s"]), 1.0, 0.1, Outcome.OK,
                    pass_index=int(row["pass_index"]), sample=sample,
                )
                for row in rows[:kept]
            ]
        )  # fmt: skip
        writer.close()
        if sample == 0:
            with pytest.raises(TraceError, match="2 requests stand in more than one place"):
                join_folders(folders, tmp_path / "whole", None)
        else:
            summary = join_folders(folders, tmp_path / "whole", None)
            assert summary["invalid_because"] == ["1 of 6 requests are not in the trace"]
