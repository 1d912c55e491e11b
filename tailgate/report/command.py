"""The command `tailgate report`: folders of traces in, a page, two figures and a JSON file out."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

from tailgate.cli import EXIT_OK, Command
from tailgate.errors import UsageError
from tailgate.report.analysis import Analysis, analyse
from tailgate.report.source import read_source
from tailgate.report.summary import summarise
from tailgate.report.warnings import warnings_of
from tailgate.units import parse_duration


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


def run(options: argparse.Namespace) -> int:
    """Write the report."""
    from rich.console import Console
    from rich.markup import escape

    from tailgate.report import figures, render

    deadline_s = None if options.deadline is None else parse_duration(options.deadline, "--deadline")
    progress, analyses = Console(stderr=True), list[Analysis]()
    systems = named_folders(options.folders)
    if any(folder.resolve() == options.out.resolve() for _, folder in systems):
        raise UsageError(f"--out: {options.out} is a folder of traces, whose own files would be lost; name another")
    for name, folder in systems:
        with progress.status(f"reading {escape(str(folder))}"):
            analyses.append(analyse(read_source(name, folder), deadline_s))
    with progress.status("drawing"):
        quality_svg, passes_svg = figures.quality_by_threshold(analyses), figures.passes(analyses)
        html = render.page(analyses, quality_svg, passes_svg)
    summary = json.dumps(summarise(analyses), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        write_whole(options.out / "summary.json", summary)
        write_whole(options.out / "quality_by_threshold.svg", quality_svg)
        write_whole(options.out / "passes.svg", passes_svg)
        write_whole(options.out / "report.html", html)
    except OSError as error:
        raise UsageError(f"--out: {options.out} cannot be written: {error.strerror}") from error
    _print_table(Console(), analyses)
    for analysis in analyses:
        for warning in warnings_of(analysis):
            print(f"{analysis.source.name}: {warning}")
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


def write_whole(path: Path, text: str | None) -> None:
    """Write a file so that nobody ever finds half of it; None removes what an earlier report left."""
    if text is None:
        path.unlink(missing_ok=True)
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
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
