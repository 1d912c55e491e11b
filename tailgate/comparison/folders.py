"""Which runs are compared, and under which condition each was made. Folders are looked into here, and traces read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tailgate.errors import TraceError, UsageError
from tailgate.report.source import read_source
from tailgate.runs import Run, run_of
from tailgate.trace.files import trace_paths
from tailgate.trace.format import SUFFIX


def read_runs(arguments: Sequence[str]) -> list[Run]:
    """The runs that these arguments name.

    Each is ``[NAME=]DIR``. DIR is a load run's folder, or one whose own folders are. A run's condition is NAME where it
    is given, else what its trace's header says, else the name of DIR; a run is called by condition, model and device.

    Raises:
        TraceError: There is no run, or one cannot be read or has no finished pass.
        UsageError: There are fewer than two, or two of one model, condition and device.
    """
    runs: dict[tuple[str, str, str], Run] = {}
    for argument in arguments:
        given, folder = _split(argument)
        own = folder.resolve().name or str(folder)
        for name, path in _folders(given or own, folder):
            run = run_of(read_source(name, path))
            if not len(run.passes.indexes):
                raise TraceError(f"{path} has no finished pass; let the run finish one, or leave it out")
            factors = (given or run.condition or own, run.model, run.device)
            called = "/".join(filter(None, factors))
            if factors in runs:
                raise UsageError(f"{path} is a second run of {called}; tell its condition apart with NAME=DIR")
            runs[factors] = replace(run, condition=factors[0], name=called)
    if len(runs) < 2:
        raise UsageError(f"there is one run only, {next(iter(runs.values())).name}; a comparison needs two")
    return list(runs.values())


def _split(argument: str) -> tuple[str, Path]:
    name, equals, folder = argument.partition("=")
    if equals and name and not Path(argument).is_dir():
        return name, Path(folder)
    return "", Path(argument)


def _folders(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    inner = sorted({path.parent for path in folder.glob(f"*/*{SUFFIX}")}) if folder.is_dir() else []
    if inner and not any(folder.glob(f"*{SUFFIX}")):
        yield from ((f"{name}/{path.name}", path) for path in inner)
    else:
        trace_paths(folder)  # says so where there is nothing
        yield name, folder
