"""Parquet files: every value is the trace's, others' readers agree, and nobody ever finds half of one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from tailgate.cli import main
from tailgate.errors import Status, TraceError, UsageError
from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate.quality import pass_quality
from tailgate.trace.convert import convert
from tailgate.trace.files import read_trace
from tailgate.trace.format import Contents, decode
from tailgate.trace.parquet import SCHEMA, read_metadata, read_passes, table_of
from tailgate.trace.views import passes_of

Make = Callable[..., Observation]
TraceOf = Callable[[Sequence[Observation]], bytes]
Replay = Callable[..., list[Observation]]
Write = Callable[..., Path]


def test_every_value_of_every_column_is_that_of_its_observation(observation: Make, trace_of: TraceOf) -> None:
    given = [
        observation(7, slice="mobile", lag_s=0.25, predicted=4),
        observation(8, outcome=Outcome.DEADLINE_IN_FLIGHT, status=Status.DEADLINE_EXCEEDED, predicted=-1),
        observation(9, pass_index=-1, sample=-1, label=-1, version="", request_id="é" * 50),
    ]
    table = table_of(decode(trace_of(given), "a"))
    assert table.schema.equals(SCHEMA, check_metadata=True)
    right, cut, unlabelled = table.to_pylist()
    assert right == {
        "pass_index": 0, "sample": 7, "request_id": "id-7", "model": "digits", "version": "1", "slice": "mobile",
        "arrival_unix_s": 1.7e9 + 7, "budget_s": 0.05, "latency_s": 0.01, "response_s": 0.01, "lag_s": 0.25,
        "outcome": "ok", "status": "OK", "predicted": 4, "label": 3, "score": 0.0,
    }  # fmt: skip
    assert (cut["response_s"], cut["predicted"], cut["score"], cut["slice"]) == (None, None, 0.0, None)
    assert (cut["outcome"], cut["status"]) == ("deadline_in_flight", "DEADLINE_EXCEEDED")
    assert [unlabelled[name] for name in ("pass_index", "sample", "label", "score")] == [None] * 4
    assert (unlabelled["version"], unlabelled["request_id"][0]) == ("", "~")


def test_every_column_says_what_it_is_and_in_which_unit() -> None:
    assert all(field.metadata[b"description"] for field in SCHEMA)
    times = [field.name for field in SCHEMA if str(field.type) in ("float", "double") and field.name != "score"]
    assert all(name.endswith("_s") for name in times)


def test_a_name_that_the_trace_lost_is_null(observation: Make, trace_of: TraceOf) -> None:
    data = bytearray(trace_of([observation(0)]))
    data[-3 * 128] ^= 1  # the record of the model's name
    (row,) = table_of(decode(bytes(data), "a")).to_pylist()
    assert (row["model"], row["version"]) == (None, "1")


def test_an_outcome_of_a_newer_version_keeps_its_number(observation: Make, trace_of: TraceOf) -> None:
    contents = decode(trace_of([observation(0)]), "a")
    records = contents.records.copy()
    records["outcome"], records["status"] = 250, 99
    newer = Contents(contents.header, contents.names, contents.slices, records, 0, 0, 0, closed=True)
    (row,) = table_of(newer).to_pylist()
    assert (row["outcome"], row["status"]) == ("outcome 250", "STATUS 99")


# ---- Files


def test_each_finished_pass_becomes_a_file_and_all_else_one_of_its_own(
    observation: Make, replay: Replay, write_trace: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = [observation(900, pass_index=-1), observation(0, pass_index=5)]
    folder = write_trace(tmp_path, [*extra, *reversed(replay())], samples=40)
    assert main(["trace", "convert", str(folder)]) == 0
    assert capsys.readouterr().out == f"5 finished passes, 2 other observations: {folder / 'parquet'}\n"
    names = sorted(path.name for path in (folder / "parquet").iterdir())
    assert names == [*(f"client.pass-{index:05d}.parquet" for index in range(5)), "client.rest.parquet"]
    third = pq.read_table(folder / "parquet" / "client.pass-00003.parquet")
    assert set(third["pass_index"].to_pylist()) == {3}
    assert third["sample"].to_pylist() == list(range(40))
    told = read_metadata(folder / "parquet" / "client.pass-00003.parquet")
    assert (told["pass_index"], told["header"]["run_id"]) == (3, "run")
    rest = pq.read_table(folder / "parquet" / "client.rest.parquet")
    assert sorted(rest["request_id"].to_pylist()) == ["id-0", "id-900"]


@pytest.mark.parametrize("cut", [False, True])
def test_passes_read_back_are_those_of_the_trace(
    replay: Replay, write_trace: Write, tmp_path: Path, *, cut: bool
) -> None:
    folder = write_trace(tmp_path, replay(cut=cut))
    files = [written.path for written in convert(folder, tmp_path / "out")]
    ours, theirs = read_passes(files[::-1]), passes_of(read_trace(folder / "client.trace").records)
    for name in ("indexes", "samples", "response_s", "score"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name


def test_duckdb_computes_the_same_quality_from_the_files(replay: Replay, write_trace: Write, tmp_path: Path) -> None:
    folder = write_trace(tmp_path, replay(cut=True))
    convert(folder, tmp_path / "out")
    passes = passes_of(read_trace(folder / "client.trace").records)
    for threshold_s in (0.011, 0.02, 0.05):
        rows = duckdb.execute(
            "select pass_index, avg(case when response_s <= ? then score else 0 end) "
            "from read_parquet(?) where score is not null group by all order by all",
            [threshold_s, str(tmp_path / "out" / "client.pass-*.parquet")],
        ).fetchall()
        assert [index for index, _ in rows] == passes.indexes.tolist()
        expected = pass_quality(passes.response_s, passes.score, [threshold_s])[0]
        assert [quality for _, quality in rows] == pytest.approx(expected.tolist(), abs=1e-12)


@pytest.mark.parametrize("reader", ["pandas", "polars"])
def test_other_readers_see_the_same_rows(replay: Replay, write_trace: Write, tmp_path: Path, reader: str) -> None:
    library = pytest.importorskip(reader)
    written = convert(write_trace(tmp_path, replay(cut=True)), tmp_path / "out")
    frame = library.read_parquet(written[3].path)
    assert list(frame.columns) == SCHEMA.names
    assert frame["outcome"].to_list() == pq.read_table(written[3].path)["outcome"].to_pylist()
    nulls = frame["response_s"].isna() if reader == "pandas" else frame["response_s"].is_null()
    assert int(nulls.sum()) == 20


def test_shards_of_one_run_become_passes_of_the_whole(replay: Replay, write_trace: Write, tmp_path: Path) -> None:
    whole = replay()
    for shard in (0, 1):
        write_trace(tmp_path, whole[shard::2], f"client-{shard}", samples=40)
    written = convert(tmp_path, tmp_path / "out")
    assert [file.rows for file in written] == [40] * 5
    assert written[0].path.name == "client-0.pass-00000.parquet"
    expected = write_trace(tmp_path / "one", whole) / "client.trace"
    assert np.array_equal(
        read_passes([file.path for file in written]).response_s, passes_of(read_trace(expected).records).response_s
    )


def test_a_proxys_trace_becomes_one_file(observation: Make, write_trace: Write, tmp_path: Path) -> None:
    write_trace(tmp_path, [observation(n, pass_index=-1, sample=-1) for n in range(3)], "proxy", role="proxy")
    (written,) = convert(tmp_path, tmp_path / "out")
    assert (written.path.name, written.pass_index, written.rows) == ("proxy.rest.parquet", None, 3)


def test_converting_again_replaces_what_was_there_and_removes_what_is_no_more(
    replay: Replay, write_trace: Write, tmp_path: Path
) -> None:
    whole = replay()
    write_trace(tmp_path / "early", whole[:60], samples=40)  # a trace that was still being written
    write_trace(tmp_path / "late", whole, samples=40)
    out = tmp_path / "out"
    assert [file.path.name for file in convert(tmp_path / "early", out)] == [
        "client.pass-00000.parquet",
        "client.rest.parquet",
    ]
    convert(tmp_path / "late", out)
    assert sorted(path.name for path in out.iterdir()) == [f"client.pass-{index:05d}.parquet" for index in range(5)]


@pytest.mark.parametrize("foreign", ["another run", "another program"])
def test_files_of_something_else_are_never_touched(
    replay: Replay, write_trace: Write, tmp_path: Path, foreign: str
) -> None:
    out = tmp_path / "out"
    if foreign == "another run":
        convert(write_trace(tmp_path / "other", replay(), run_id="other"), out)
    else:
        out.mkdir()
        (out / "mine.parquet").write_bytes(b"PAR1 mine")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(UsageError, match="which is not of these traces; name another folder"):
        convert(write_trace(tmp_path / "run", replay()), out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_what_is_no_pass_of_one_run_is_refused_in_words(replay: Replay, write_trace: Write, tmp_path: Path) -> None:
    ours = convert(write_trace(tmp_path / "a", replay()), tmp_path / "a" / "out")
    other = convert(write_trace(tmp_path / "b", replay(), run_id="b"), tmp_path / "b" / "out")
    (rest,) = convert(write_trace(tmp_path / "c", replay()[:10], samples=40), tmp_path / "c" / "out")
    with pytest.raises(TraceError, match="is of another run than"):
        read_passes([ours[0].path, other[1].path])
    with pytest.raises(TraceError, match="holds no finished pass"):
        read_passes([rest.path])
    with pytest.raises(TraceError, match="cannot be read as Parquet"):
        read_passes([tmp_path / "a" / "client.trace"])


def test_without_pyarrow_the_command_names_what_brings_it(
    replay: Replay,
    write_trace: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for module in ("tailgate.trace.convert", "tailgate.trace.parquet"):
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as Python itself marks what cannot be imported
    assert main(["trace", "convert", str(write_trace(tmp_path, replay()))]) == 2
    assert capsys.readouterr().err == (
        "tailgate trace: needs the package 'pyarrow', which the extra 'offline' brings: "
        "pip install 'tailgate[offline]'\n"
    )


# ---- Sudden death

CONVERTING = """
import sys
from pathlib import Path
from tailgate.trace.convert import convert
while True:
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
    print("once", flush=True)
"""


def test_a_conversion_killed_at_any_moment_leaves_whole_files_only(
    replay: Replay, write_trace: Write, tmp_path: Path
) -> None:
    folder, random = write_trace(tmp_path / "run", replay()), np.random.default_rng(5)
    for attempt in range(5):
        out = tmp_path / f"out{attempt}"
        command = [sys.executable, "-c", CONVERTING, str(folder), str(out)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(random.uniform(0, 0.05))  # nothing is expected of how far it comes
            process.send_signal(signal.SIGKILL)
        found = sorted(out.glob("*.parquet"))
        assert [pq.read_table(path).num_rows for path in found] == [40] * 5


def test_a_disk_that_is_full_keeps_the_file_that_was_there(replay: Replay, write_trace: Write, tmp_path: Path) -> None:
    folder, out = write_trace(tmp_path / "run", replay()), tmp_path / "out"
    before = {file.path.name: file.path.read_bytes() for file in convert(folder, out)}
    script = """
import resource, signal, sys
from pathlib import Path
from tailgate.errors import UsageError
from tailgate.trace.convert import convert
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
except UsageError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), str(out)], capture_output=True, text=True, check=True, timeout=300
    )
    assert "client.pass-00000.parquet cannot be written" in done.stdout
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
