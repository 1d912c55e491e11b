"""Traces into Parquet files: one for each finished pass, one for all else of a run. Files are opened here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tailgate.errors import TraceError, UsageError
from tailgate.trace.files import read_trace, trace_paths
from tailgate.trace.format import Contents
from tailgate.trace.info import planned_samples
from tailgate.trace.parquet import read_metadata, table_of, write_table
from tailgate.trace.views import passes_of
from tailgate.whole_file import write_whole_file

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Written:
    """One Parquet file; `pass_index` is None where it holds what is of no finished pass."""

    path: Path
    pass_index: int | None
    rows: int


def convert(folder: Path, out: Path) -> list[Written]:
    """Write the traces of a folder as Parquet.

    Traces of one run (the shards of a load run) become one set of files, named after the first of them:
    ``NAME.pass-00000.parquet`` and so on, in the order of samples, and ``NAME.rest.parquet`` for warm-up, passes not
    finished, and all of a proxy's trace. What an earlier conversion of the same traces left is replaced.

    Args:
        folder: Of the traces.
        out: Where the files go; made if it is missing.

    Raises:
        TraceError: There is no trace, or one cannot be read.
        UsageError: `out` holds Parquet files of something else, or cannot be written.
    """
    runs: dict[tuple[str, str], list[tuple[Path, Contents]]] = {}
    for path in trace_paths(folder):
        contents = read_trace(path)
        run = (str(contents.header.get("role", "")), str(contents.header.get("run_id", "")))
        runs.setdefault(run, []).append((path, contents))
    left_over = _earlier(out, {run_id for _, run_id in runs})
    written: list[Written] = []
    for traces in runs.values():
        written += _convert_run(traces[0][0].stem, [contents for _, contents in traces], out)
    for path in left_over - {file.path for file in written}:
        path.unlink()  # the rest of a run that has been finished since
    return written


def _convert_run(name: str, traces: Sequence[Contents], out: Path) -> list[Written]:
    header = traces[0].header
    records = traces[0].records if len(traces) == 1 else np.concatenate([trace.records for trace in traces])
    finished = passes_of(records, planned_samples(header)).indexes
    written: list[Written] = []

    def write(selected: Sequence[Rows], path: Path, pass_index: int | None) -> None:
        # A table of one pass at a time: one of a whole run would take several times the trace's own memory.
        parts = [
            table_of(replace(trace, records=trace.records[rows])) for trace, rows in zip(traces, selected, strict=True)
        ]
        table = parts[0] if len(parts) == 1 else pa.concat_tables(parts).unify_dictionaries().combine_chunks()
        if len(parts) > 1 and pass_index is not None:
            table = table.sort_by("sample")
        write_whole_file(path, lambda partial: write_table(table, partial, header=header, pass_index=pass_index))
        written.append(Written(path, pass_index, table.num_rows))

    by_pass = [_rows_of(trace, finished) for trace in traces]
    for place, index in enumerate(finished.tolist()):
        write([rows[place] for rows in by_pass], out / f"{name}.pass-{index:05d}.parquet", index)
    rest = [np.flatnonzero(~np.isin(trace.records["pass_index"], finished)) for trace in traces]
    if any(map(len, rest)):
        write(rest, out / f"{name}.rest.parquet", None)
    return written


def _rows_of(trace: Contents, finished: npt.NDArray[np.int64]) -> list[Rows]:
    """Where each of these passes lies in a trace, in the order of samples."""
    order = np.lexsort((trace.records["sample"], trace.records["pass_index"]))
    of_pass = trace.records["pass_index"][order]
    starts, ends = np.searchsorted(of_pass, finished, "left"), np.searchsorted(of_pass, finished, "right")
    return [order[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def _earlier(out: Path, run_ids: set[str]) -> set[Path]:
    """Parquet files that lie there from an earlier conversion of these runs."""
    found = set(out.glob("*.parquet"))
    for path in sorted(found):
        try:
            ours = str(read_metadata(path)["header"].get("run_id", "")) in run_ids
        except TraceError:
            ours = False
        if not ours:
            raise UsageError(f"--out: {out} holds {path.name}, which is not of these traces; name another folder")
    return found
