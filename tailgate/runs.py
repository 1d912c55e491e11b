"""A load run as decisions rest on it: its passes, what it was made of and under, and why it may not be relied on.

Lives here: what gate and comparison both ask of a run. Must not live here: files, or what is decided.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tailgate.errors import TraceError
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.report.source import Source
from tailgate.trace.info import planned_samples
from tailgate.trace.recovery import cut_before
from tailgate.trace.views import Passes, passes_of


@dataclass(frozen=True)
class Run:
    """One load run.

    Attributes:
        name: What it is called.
        model: The model that was asked.
        condition: Under which it was made, as its trace's header says; empty where it does not.
        device: On which the model ran, likewise.
        dataset: Digest of the labelled set; empty where the header has none.
        deadline_s: Of its requests; None where the header has none.
        cut_at_s: From where on no answer was observed, because the client gave up; None where late ones were awaited.
        passes: Its finished passes over labelled samples.
        doubts: Why its figures are not to be relied on, each a clause; empty where nothing speaks against them.
    """

    name: str
    model: str
    condition: str
    device: str
    dataset: str
    deadline_s: float | None
    cut_at_s: float | None
    passes: Passes
    doubts: tuple[str, ...]


def run_of(source: Source) -> Run:
    """A client's trace as a run.

    Raises:
        TraceError: It is a proxy's trace, which has no passes, or nothing in it is labelled.
    """
    if source.vantage != "client":
        raise TraceError(
            f"{source.name} holds no client's trace, and a proxy's has no passes; name a load run's folder"
        )
    header, records = source.header, source.records
    known = records["label"] != UNKNOWN_CLASS
    if not known.any():
        raise TraceError(f"{source.name} has no labels, so nothing can be said of its quality")
    samples = planned_samples(header)
    if samples is not None and not known.all():
        samples -= len(np.unique(records["sample"][~known & (records["pass_index"] >= 0)]))  # they have no column
    deadline_s = _deadline_s(header)
    return Run(
        name=source.name,
        model=str(header.get("model") or ", ".join(source.models)),
        condition=_named(header.get("condition")),
        device=_named(header.get("device")),
        dataset=str(header.get("dataset_digest", "")),
        deadline_s=deadline_s,
        cut_at_s=deadline_s if header.get("on_deadline") == "cancel" else None,
        passes=passes_of(records if known.all() else records[known], samples),
        doubts=_doubts(source),
    )


def _doubts(source: Source) -> tuple[str, ...]:
    found: list[str] = []
    if source.run is None:
        found.append("its folder has no summary.json of this run, so whether it kept its schedule is unknown")
    elif not source.run.valid:
        found.append(f"the run was not valid: {'; '.join(source.run.invalid_because) or 'it does not say why'}")
    losses, cut = source.losses, cut_before(source.header)
    if losses.damaged or losses.torn_bytes or losses.missing or any(cut):
        found.append(
            f"its trace is not whole: {losses.missing} observations are missing, "
            f"{losses.damaged + cut[0]} records are damaged, {losses.torn_bytes + cut[1]} bytes are of one cut short"
        )
    if losses.unclosed:
        found.append("its trace was not closed")
    return tuple(found)


def _deadline_s(header: Mapping[str, Any]) -> float | None:
    written = header.get("deadline_s")
    return float(written) if isinstance(written, (int, float)) and 0 < written < math.inf else None


def _named(written: object) -> str:
    """A header's field that is a name, or has one.

    >>> _named("quiet"), _named({"name": "busy", "cpu": 2}), _named(None)
    ('quiet', 'busy', '')
    """
    match written:
        case str(name) | {"name": str(name)}:
            return name
        case _:
            return ""
