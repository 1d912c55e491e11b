"""The command `tailgate trace`: what traces hold, traces as Parquet, sound traces out of damaged ones."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tailgate.cli import EXIT_MISSED, EXIT_OK, Command
from tailgate.errors import TraceError, UsageError

if TYPE_CHECKING:
    from tailgate.trace.info import TraceInfo


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's actions and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, title="actions")
    info = actions.add_parser("info", help="what each trace holds; exit 1 where one is known not to be whole")
    info.add_argument("folder", type=Path, metavar="DIR", help="a folder of traces")
    info.add_argument("--json", action="store_true", help="as JSON, for programs")
    converter = actions.add_parser("convert", help="write each finished pass, and the rest, as a Parquet file")
    converter.add_argument("folder", type=Path, metavar="DIR", help="a folder of traces")
    converter.add_argument("--out", type=Path, metavar="DIR", help="where the files go (without it: DIR/parquet)")
    recoverer = actions.add_parser("recover", help="write sound traces out of damaged ones, and say what was cut")
    recoverer.add_argument("folder", type=Path, metavar="DIR", help="a folder of traces, which stays as it is")
    recoverer.add_argument("--out", type=Path, metavar="DIR", required=True, help="another folder, for the sound ones")


def run(options: argparse.Namespace) -> int:
    """Do what the action says."""
    match options.action:
        case "info":
            return _info(options.folder, as_json=options.json)
        case "convert":
            return _convert(options.folder, options.out or options.folder / "parquet")
        case _:
            return _recover(options.folder, options.out)


def _info(folder: Path, *, as_json: bool) -> int:
    from tailgate.trace.files import read_trace, trace_paths
    from tailgate.trace.info import TraceInfo, describe

    found: list[TraceInfo] = []
    for path in trace_paths(folder):
        try:
            found.append(describe(path.name, path.stat().st_size, read_trace(path)))
        except TraceError as error:
            found.append(TraceInfo(path.name, path.stat().st_size, error=str(error)))
    if as_json:
        print(json.dumps([{**asdict(info), "whole": info.whole} for info in found], indent=1, ensure_ascii=False))
    else:
        _print_table(found)
    return EXIT_OK if all(info.whole for info in found) else EXIT_MISSED


def _convert(folder: Path, out: Path) -> int:
    from tailgate.trace.convert import convert

    written = convert(folder, out)
    passes = sum(file.pass_index is not None for file in written)
    rest = sum(file.rows for file in written if file.pass_index is None)
    print(f"{passes} finished {'pass' if passes == 1 else 'passes'}, {rest} other observations: {out}")
    return EXIT_OK


def _recover(folder: Path, out: Path) -> int:
    from tailgate.report.source import EVENTS_FILE, SUMMARY_FILE
    from tailgate.trace.files import trace_paths

    paths = trace_paths(folder)
    for path in paths:
        if (out / path.name).exists():
            raise UsageError(f"--out: {out / path.name} exists; traces are never overwritten, so name another folder")
    status = EXIT_OK
    for path in paths:
        try:
            print(_recover_one(path, out / path.name))
        except TraceError as error:
            sys.stderr.write(f"tailgate trace: {error}\n")
            status = EXIT_MISSED
    for name in (EVENTS_FILE, SUMMARY_FILE):  # what tells whether the run was valid goes with it
        if (folder / name).is_file() and out.is_dir():
            shutil.copyfile(folder / name, out / name)
    return status


def _recover_one(path: Path, target: Path) -> str:
    from tailgate.trace.recovery import recover
    from tailgate.whole_file import write_whole_file

    try:
        made = recover(path.read_bytes(), str(path))
    except OSError as error:
        raise TraceError(f"{path} cannot be read: {error.strerror}") from error
    write_whole_file(target, lambda partial: partial.write_bytes(made.data))
    what = f"cut {made.damaged} damaged records and {made.torn_bytes} bytes of a torn one" if made.cut else "whole"
    return f"{path.name}: {what}, kept {made.kept} records"


def _print_table(found: Sequence[TraceInfo]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    files, contents = (Table(box=None, pad_edge=False, header_style="bold") for _ in range(2))
    for column in ("file", "role", "run"):
        files.add_column(column, overflow="fold")
    for column in ("records", "labelled", "passes", "lost", "closed"):
        files.add_column(column, justify="right")
    for column in ("file", "", ""):
        contents.add_column(column, overflow="fold")
    contents.add_column("records", justify="right")
    for info in found:
        if info.error is not None:
            files.add_row(escape(info.file), "unreadable")
            continue
        files.add_row(
            *map(escape, (info.file, info.role, info.run_id)),
            f"{info.records:,}",
            f"{info.labelled:,}",
            f"{info.passes}" + (f", {info.unfinished_passes} unfinished" if info.unfinished_passes else ""),
            _lost(info),
            "yes" if info.closed else "no",
        )
        for kind, counts in (("outcome", info.outcomes), ("model", info.models), ("slice", info.slices)):
            for name, count in (counts or {}).items():
                contents.add_row(escape(info.file), kind, escape(name), f"{count:,}")
    console = Console()
    console.print(files)
    console.print()
    console.print(contents)
    for info in found:
        if info.error is not None:
            print(info.error)
        if info.recovered_damaged or info.recovered_torn_bytes:
            print(
                f"{info.file}: recovered from a trace of which {info.recovered_damaged} damaged records and "
                f"{info.recovered_torn_bytes} bytes of torn ones were cut"
            )


def _lost(info: TraceInfo) -> str:
    parts = ((info.damaged, "damaged"), (info.torn_bytes, "B torn"), (info.missing, "missing"))
    return "\n".join(f"{count:,} {what}" for count, what in parts if count) or "nothing"


COMMAND = Command("Say what traces hold, write them as Parquet, recover damaged ones.", configure, run)
