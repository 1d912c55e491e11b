"""The command `tailgate report`: folders of traces in, a page, two figures and a JSON file out; more if asked for."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tailgate.cli import EXIT_OK, Command
from tailgate.errors import UsageError
from tailgate.units import parse_duration

if TYPE_CHECKING:
    from tailgate.report.analysis import Analysis

SVG_FILES = ("quality_by_threshold", "passes")
"""The figures that every report also leaves as files of their own."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "folders",
        nargs="+",
        metavar="[NAME=]DIR",
        help="a folder of traces; each is one system, named after its folder",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to; made where it is missing")
    parser.add_argument("--deadline", help="threshold, such as 50ms, instead of the one each run was made with")
    parser.add_argument("--png", action="store_true", help="each figure as a picture, too")
    parser.add_argument("--csv", action="store_true", help="the numbers under each figure as CSV files, too")


def run(options: argparse.Namespace) -> int:
    """Write the report."""
    from rich.console import Console
    from rich.markup import escape

    from tailgate.report import figures, render
    from tailgate.report.exhibits import KEYS, TABLES, exhibits_of
    from tailgate.report.figures.style import NARROW, WIDE
    from tailgate.report.headline import headline
    from tailgate.report.source import read_source
    from tailgate.report.summary import summarise
    from tailgate.report.system import System, system_of
    from tailgate.report.warnings import warnings_of

    deadline_s = None if options.deadline is None else parse_duration(options.deadline, "--deadline")
    progress, systems = Console(stderr=True), list[System]()
    folders = named_folders(options.folders)
    if any(folder.resolve() == options.out.resolve() for _, folder in folders):
        raise UsageError(f"--out: {options.out} is a folder of traces, whose own files would be lost; name another")
    for name, folder in folders:
        with progress.status(f"reading {escape(str(folder))}"):
            systems.append(system_of(read_source(name, folder), deadline_s))
    files: dict[str, str | bytes | None] = {f"{key}.png": None for key in KEYS}
    files |= {f"{key}.csv": None for key in TABLES} | {f"{key}.svg": None for key in SVG_FILES}
    with progress.status("drawing"):
        exhibits = exhibits_of(systems, deadline_s)
        pictures: dict[str, dict[str, str]] = {}
        for exhibit in exhibits:
            for layout in (WIDE, NARROW):
                svg = figures.as_svg(exhibit, layout)
                if svg is not None:
                    pictures.setdefault(exhibit.key, {})[layout.name] = svg
            if options.png:
                files[f"{exhibit.key}.png"] = figures.as_png(exhibit)
            if options.csv:
                files |= {f"{name}.csv": table.as_csv() for name, table in exhibit.tables.items()}
        files |= {f"{key}.svg": pictures[key][WIDE.name] for key in SVG_FILES if key in pictures}
        files["report.html"] = render.page(systems, exhibits, pictures)
    summary = summarise(systems, exhibits)
    files["summary.json"] = json.dumps(summary, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        for file_name, content in files.items():
            write_whole(options.out / file_name, content)
    except OSError as error:
        raise UsageError(f"--out: {options.out} cannot be written: {error.strerror}") from error
    _print_table(Console(), [system.analysis for system in systems])
    for system in systems:
        for sentence in (*headline(system)[:1], *warnings_of(system.analysis)):
            print(f"{system.name}: {sentence}")
    print(options.out / "report.html")  # not through rich, which would wrap a long path
    return EXIT_OK


def named_folders(arguments: Sequence[str]) -> list[tuple[str, Path]]:
    """The systems' names and folders.

    Raises:
        UsageError: Two have the same name.
    """
    systems: list[tuple[str, Path]] = []
    for argument in arguments:
        name, equals, folder = argument.partition("=")
        named = bool(equals and name) and not Path(argument).is_dir()
        path = Path(folder if named else argument)
        systems.append((name if named else path.resolve().name or str(path), path))
    names = [name for name, _ in systems]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two systems are named {name!r}; tell them apart with NAME=DIR")
    return systems


def write_whole(path: Path, content: str | bytes | None) -> None:
    """Write a file so that nobody ever finds half of it; None removes what an earlier report left."""
    if content is None:
        path.unlink(missing_ok=True)
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(content if isinstance(content, bytes) else content.encode())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _print_table(console: object, analyses: Sequence[Analysis]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from tailgate.report.render import duration, gap, percent, points

    assert isinstance(console, Console)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("system")
    for column in ("deadline", "quality", "accuracy", "gap", "worst pass", "p99"):
        table.add_column(column, justify="right")
    for analysis in analyses:
        quality, worst = analysis.quality, analysis.quality.worst_pass if analysis.quality else None
        table.add_row(
            escape(analysis.source.name),
            duration(analysis.deadline_s),
            percent(quality.decomposition.on_time_right if quality else None),
            percent(quality.decomposition.accuracy if quality else None),
            points(gap(quality) if quality else None),
            percent(worst.quality if worst else None),
            duration(analysis.latency_s[99.0]),
        )
    console.print(table)


COMMAND = Command("Report quality, its tail and its losses from traces.", configure, run)
