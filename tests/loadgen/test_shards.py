"""Shards joined to a run: every field of every request, and nothing that does not belong together.

That real processes sent together what one would have sent is shown in tests/e2e/test_load_processes.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailgate.errors import TraceError
from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate.trace.files import TraceWriter, read_trace
from tailgate.trace.format import Records
from tailgate_loadgen.merge import join_folders


def columns(records: Records) -> list[tuple[Any, ...]]:
    """Everything a trace says of its requests but in which order it was written."""
    names = [name for name in records.dtype.names or () if name not in {"sequence", "crc32", "model", "version"}]
    return sorted(records[names].tolist())


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


def test_what_the_shards_machines_can_send_may_differ_and_the_hardest_pressed_speaks_for_all(
    shards: Callable[..., list[Path]], tmp_path: Path
) -> None:
    for number, (values, expected) in enumerate([((0.1, 0.3, 0.2), 0.3), ((0.1, None, 0.2), None)]):
        place = tmp_path / str(number)

        def press(headers: list[dict[str, Any]], values: tuple[float | None, ...] = values) -> None:
            for header, share in zip(headers, values, strict=True):
                header["generator"] = {"share": share}

        folders = [folder.rename(place.with_name(f"{number}-{folder.name}")) for folder in shards(press)]
        join_folders(folders, place, None)
        assert read_trace(place / "client.trace").header["generator"] == {"share": expected}


def test_passes_that_were_not_needed_are_counted_and_a_last_pass_that_is_not_whole_voids_the_run(
    shards: Callable[..., list[Path]], tmp_path: Path
) -> None:
    folders = shards()
    for number, (not_needed, missing, reasons) in enumerate(
        [
            ((1, 1, 1), slice(3), []),  # the second pass was not begun
            ((1, 1, 0), slice(4), ["its last pass is not whole"]),  # one of three heard too late
            ((1, 1, 0), slice(3), ["1 of 4 requests are not in the trace"]),
        ]
    ):
        parts = []
        for index, folder in enumerate(folders):
            contents = read_trace(folder / "client.trace")
            header = {name: value for name, value in contents.header.items() if not name.startswith("record")}
            kept = [row for row in contents.records if row["pass_index"] * 3 + row["sample"] in range(6)[missing]]
            parts.append(tmp_path / f"{number}-{index}")
            writer = TraceWriter(parts[-1] / "client.trace", header)
            writer.append(
                [
                    Observation(
                        row["request_id"].decode(), "m", "1", float(row["arrival_unix_s"]), 1.0, 0.2, Outcome.OK,
                        pass_index=int(row["pass_index"]), sample=int(row["sample"]),
                    )
                    for row in kept
                ]
            )  # fmt: skip
            writer.close()
            (parts[-1] / "summary.json").write_text(json.dumps({"not_needed": not_needed[index]}))
        summary = join_folders(parts, tmp_path / f"whole-{number}", None)
        assert summary["not_needed"] == sum(not_needed)
        assert len(summary["invalid_because"]) == len(reasons)
        assert all(reason in said for reason, said in zip(reasons, summary["invalid_because"], strict=True))
        assert (summary["arrivals"] + summary["not_needed"] == 6) == (
            reasons != ["1 of 4 requests are not in the trace"]
        )


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
