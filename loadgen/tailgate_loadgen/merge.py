"""`tailgate load merge`: joins what the processes of one run recorded into the trace of the whole."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tailgate.trace.files import TraceWriter, read_trace
from tailgate_loadgen.options import MinQuality, check_visible, parse_min_quality
from tailgate_loadgen.outputs import SUMMARY_NAME, TRACE_NAME, write_summary
from tailgate_loadgen.run import exit_status
from tailgate_loadgen.screen import Screen
from tailgate_loadgen.shards import Part, check_disjoint, join_headers, join_observations

AT_ONCE = 10_000
"""Observations in memory as such; as records they take a tenth of that."""


def merge(namespace: argparse.Namespace) -> int:
    """Join as the options say; returns the exit status.

    Raises:
        UsageError: They are not the shards of one run, or the trace of the whole cannot be written.
    """
    asked = None if namespace.min_quality is None else parse_min_quality(namespace.min_quality)
    summary = join_folders([Path(folder) for folder in namespace.folders], Path(namespace.trace), asked)
    with Screen(quiet=namespace.quiet) as screen:
        screen.table(summary)
    return exit_status(summary)


def join_folders(
    folders: Sequence[Path], into: Path, min_quality: MinQuality | None, stopping: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write the trace and the summary of the whole run; returns the summary.

    A request that no shard recorded, because one was killed or interrupted, makes the run invalid, as it does in a run
    of one process.

    Args:
        folders: Of the shards, in any order.
        into: Of the whole.
        min_quality: What the run has to reach, if anything.
        stopping: What the summary says of an end before the last pass, if anything.

    Raises:
        UsageError: They are not the shards of one run, or the trace cannot be written.
    """
    parts = [Part(str(folder / TRACE_NAME), read_trace(folder / TRACE_NAME)) for folder in folders]
    header = join_headers(parts)
    check_disjoint(parts)
    if min_quality is not None:
        check_visible(min_quality, header["deadline_s"], header["on_deadline"])
    writer = TraceWriter(into / TRACE_NAME, header)
    try:
        observations = join_observations(parts)
        while batch := list(itertools.islice(observations, AT_ONCE)):
            writer.append(batch)
    finally:
        writer.close()
    said = [_summary_of(folder) for folder in folders]
    return write_summary(
        into,
        header,
        min_quality,
        interrupted=any(bool(one.get("interrupted")) for one in said),
        not_needed=sum(int(one.get("not_needed", 0)) for one in said),
        stopping=stopping,
    )


def _summary_of(folder: Path) -> dict[str, Any]:
    """What a shard says of itself; one that was killed says nothing, and lacks requests."""
    try:
        summary = json.loads((folder / SUMMARY_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return summary if isinstance(summary, dict) else {}
