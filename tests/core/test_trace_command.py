"""`tailgate trace info` and `recover`: what is lost is said; what is sound is kept; nothing is overwritten."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.cli import main
from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate.trace.files import TraceWriter, read_trace
from tailgate.trace.format import RECORD, Contents, decode
from tailgate.trace.recovery import cut_before, recover

Make = Callable[..., Observation]
TraceOf = Callable[[Sequence[Observation]], bytes]
NumbersIn = Callable[[Contents], list[int]]
Replay = Callable[..., list[Observation]]
Write = Callable[..., Path]


@pytest.fixture
def info(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[dict[str, Any]]]]:
    def run(folder: Path) -> tuple[int, list[dict[str, Any]]]:
        capsys.readouterr()
        status = main(["trace", "info", str(folder), "--json"])
        return status, json.loads(capsys.readouterr().out)

    return run


# ---- Info


def test_info_counts_what_was_written(
    observation: Make, replay: Replay, write_trace: Write, info: Any, tmp_path: Path
) -> None:
    extra = [
        observation(0, pass_index=-1, outcome=Outcome.NOT_SENT, label=-1),
        observation(0, pass_index=9, slice="mobile", model="other", version="2"),
    ]
    write_trace(tmp_path, [*replay(), *extra], samples=40)
    status, (found,) = info(tmp_path)
    assert (status, found["whole"], found["error"]) == (0, True, None)
    assert (found["file"], found["role"], found["run_id"]) == ("client.trace", "client", "run")
    assert found["size_bytes"] == (tmp_path / "client.trace").stat().st_size
    assert (found["records"], found["labelled"], found["passes"], found["unfinished_passes"]) == (202, 201, 5, 1)
    assert found["outcomes"] == {"ok": 181, "ok_late": 20, "not_sent": 1}
    assert found["models"] == {"digits 1": 201, "other 2": 1}
    assert found["slices"] == {"mobile": 1}
    assert (found["first_unix_s"], found["last_unix_s"]) == (1000.0, 1.7e9)
    assert (found["damaged"], found["torn_bytes"], found["missing"], found["closed"]) == (0, 0, 0, True)


def test_info_says_what_is_lost_and_exits_with_1(replay: Replay, write_trace: Write, info: Any, tmp_path: Path) -> None:
    path = write_trace(tmp_path, replay()) / "client.trace"
    data = bytearray(path.read_bytes())
    data[-RECORD.itemsize * 5] ^= 1
    path.write_bytes(data[:-100])
    (tmp_path / "other.trace").write_bytes(b"no trace at all")
    status, (torn, unreadable) = info(tmp_path)
    assert status == 1
    assert (torn["damaged"], torn["torn_bytes"], torn["missing"], torn["closed"]) == (1, 28, 1, False)
    assert (torn["records"], torn["whole"]) == (199, False)
    assert "is not a trace" in unreadable["error"]
    assert not unreadable["whole"]


def test_a_trace_whose_writer_is_still_at_work_is_whole_though_not_closed(
    observation: Make, info: Any, tmp_path: Path
) -> None:
    writer = TraceWriter(tmp_path / "a.trace", {"role": "proxy", "run_id": "a"})
    writer.append([observation(0)])
    status, (found,) = info(tmp_path)
    writer.close()
    assert (status, found["whole"], found["closed"]) == (0, True, False)


def test_the_table_shows_names_as_they_are_and_errors_in_words(
    observation: Make, write_trace: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_trace(tmp_path, [observation(0, model="[red]m[/red]")], run_id="r1")
    (tmp_path / "z.trace").write_bytes(b"?")
    assert main(["trace", "info", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert "r1" in shown
    assert "[red]" in shown.replace("\n", "")
    assert "z.trace is not a trace" in shown


# ---- Recover


@given(st.data())
def test_a_recovered_trace_holds_every_sound_record_and_tells_what_was_cut(
    observation: Make, trace_of: TraceOf, numbers_in: NumbersIn, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, 6))
    whole = trace_of([observation(number) for number in range(count)])
    start = len(whole) - (count + 2) * RECORD.itemsize  # two names come first
    flipped = data.draw(st.sets(st.integers(0, count + 1)))
    torn = data.draw(st.integers(0, RECORD.itemsize - 1))
    damaged = bytearray(whole + whole[start : start + torn])
    for record in flipped:
        damaged[start + record * RECORD.itemsize + data.draw(st.integers(0, RECORD.itemsize - 1))] ^= 0x40
    made = recover(bytes(damaged), "a.trace")
    assert (made.damaged, made.torn_bytes, made.kept) == (len(flipped), torn, count + 2 - len(flipped))
    before, after = decode(bytes(damaged), "a"), decode(made.data, "a")
    assert after.records.tobytes() == before.records.tobytes()
    assert numbers_in(after) == [number for number in range(count) if number + 2 not in flipped]
    assert (after.damaged, after.torn_bytes) == (0, 0)
    assert (after.missing, after.closed, after.names) == (before.missing, before.closed, before.names)
    assert cut_before(after.header) == (len(flipped), torn)
    assert recover(made.data, "a").data == made.data


def test_what_two_recoveries_cut_is_added_up(observation: Make, trace_of: TraceOf) -> None:
    data = trace_of([observation(number) for number in range(3)])
    once = recover(data[:-8], "a").data
    twice = bytearray(once)
    twice[-1] ^= 1
    assert cut_before(decode(recover(bytes(twice), "a").data, "a").header) == (1, 120)


def test_a_whole_trace_is_recovered_byte_for_byte(replay: Replay, write_trace: Write, tmp_path: Path) -> None:
    data = (write_trace(tmp_path, replay()) / "client.trace").read_bytes()
    made = recover(data, "client.trace")
    assert (made.data, made.cut) == (data, False)


def test_recover_writes_sound_traces_beside_the_damaged_and_says_what_was_cut(
    replay: Replay, write_trace: Write, info: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = write_trace(tmp_path / "run", replay()), tmp_path / "sound"
    path = folder / "client.trace"
    path.write_bytes(path.read_bytes()[:-200])
    before = path.read_bytes()
    (folder / "summary.json").write_text('{"valid": false}')
    assert main(["trace", "recover", str(folder), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert said == "client.trace: cut 0 damaged records and 56 bytes of a torn one, kept 201 records\n"
    assert path.read_bytes() == before
    assert len(read_trace(out / "client.trace").records) == 199
    assert (out / "summary.json").read_text() == '{"valid": false}'  # or an invalid run would lose its mark
    status, (found,) = info(out)
    assert (status, found["whole"], found["torn_bytes"], found["recovered_torn_bytes"]) == (1, False, 0, 56)


def test_recover_overwrites_no_trace(
    replay: Replay, write_trace: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_trace(tmp_path, replay())
    before = (folder / "client.trace").read_bytes()
    assert main(["trace", "recover", str(folder), "--out", str(folder)]) == 2
    assert "traces are never overwritten, so name another folder" in capsys.readouterr().err
    assert (folder / "client.trace").read_bytes() == before


def test_a_trace_beyond_recovery_is_named_and_the_others_are_recovered(
    replay: Replay, write_trace: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_trace(tmp_path / "run", replay())
    (folder / "bad.trace").write_bytes(b"tailgate-trace 1 00000000\n{}\n")
    assert main(["trace", "recover", str(folder), "--out", str(tmp_path / "out")]) == 1
    assert "bad.trace has a damaged header" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["client.trace"]
