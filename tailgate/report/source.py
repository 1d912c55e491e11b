"""One system's folder: which trace speaks for it, what was lost of it, and what was going on meanwhile.

Lives here: reading, and the choice between vantage points, which are never mixed. Must not live here: mathematics.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tailgate.books import Books, reconcile
from tailgate.errors import TraceError
from tailgate.trace.files import read_folder
from tailgate.trace.format import RECORD, Contents, Records

EVENTS_FILE = "events.json"
SUMMARY_FILE = "summary.json"
"""What a load run leaves beside its trace, with its own verdict on itself."""

Vantage = Literal["client", "proxy"]

_READ = np.dtype(
    [
        (field, RECORD[field])
        for field in (
            *("outcome", "status", "slice", "model", "version", "arrival_unix_s", "budget_s", "latency_s", "lag_s"),
            *("pass_index", "sample", "predicted", "label"),
        )
    ]
)
"""What analyses read of a record: without id, number and checksum, millions of them take less than half the room."""


@dataclass(frozen=True)
class Event:
    """Something that happened while the trace was written, such as another program's burst of work."""

    name: str
    start_unix_s: float
    end_unix_s: float


@dataclass(frozen=True)
class Losses:
    """What is not in `Source.records` and should be.

    Attributes:
        damaged: Records whose checksum does not fit.
        torn_bytes: Bytes of records cut short.
        missing: Sequence numbers without a sound record, whatever the reason.
        unclosed: Traces whose writer did not close them, so that more may be missing at their ends.
    """

    damaged: int
    torn_bytes: int
    missing: int
    unclosed: int

    @property
    def dropped(self) -> int:
        """Observations that were never written, at least: the missing ones that no damaged record accounts for."""
        return max(0, self.missing - self.damaged)


@dataclass(frozen=True)
class RunVerdict:
    """What a load run found of itself: whether its figures may be quoted, and if not, why."""

    valid: bool
    invalid_because: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """The trace that speaks for a system.

    Attributes:
        name: The system's.
        vantage: Where the trace was written. Times from two vantage points are never in one figure of one system.
        header: Of the trace (the first, where a proxy was restarted and wrote several).
        records: Its sound observations, without their ids, numbers and checksums.
        models: Names of the models and versions in it.
        losses: What is missing.
        books: The client's trace joined with the proxy's, where the folder holds both.
        events: From `EVENTS_FILE`, where the folder holds one.
        run: From `SUMMARY_FILE`, where the folder holds that of the client's run.
    """

    name: str
    vantage: Vantage
    header: Mapping[str, Any]
    records: Records
    models: tuple[str, ...]
    losses: Losses
    books: Books | None
    events: tuple[Event, ...]
    run: RunVerdict | None

    def without_records(self) -> Source:
        """The same without what takes the room."""
        return replace(self, records=np.empty(0, _READ))


def read_source(name: str, folder: Path) -> Source:
    """Read a system's folder: the client's trace if there is one, else the proxy's.

    Raises:
        TraceError: There is no folder, no trace in it, no observation in the trace, or more than one load run.
    """
    traces = read_folder(folder)
    of_role: dict[Vantage, list[Contents]] = {
        "client": [trace for trace in traces if trace.header.get("role") == "client"],
        "proxy": [trace for trace in traces if trace.header.get("role") == "proxy"],
    }
    runs = sorted({str(trace.header.get("run_id", "")) for trace in of_role["client"]})
    if len(runs) > 1:
        raise TraceError(f"{folder} holds {len(runs)} load runs ({', '.join(runs)}); keep each in a folder of its own")
    vantage: Vantage = "client" if of_role["client"] else "proxy"
    chosen = of_role[vantage]
    if not chosen:
        raise TraceError(f"{folder} holds traces, but none whose header says role client or proxy")
    records = _joined(chosen)
    if not len(records):
        raise TraceError(f"{folder} holds a trace of the {vantage} without a single sound observation")
    both = all(of_role.values())
    return Source(
        name=name,
        vantage=vantage,
        header=chosen[0].header,
        records=_lean(records),
        models=_models(chosen),
        losses=Losses(
            damaged=sum(trace.damaged for trace in chosen),
            torn_bytes=sum(trace.torn_bytes for trace in chosen),
            missing=sum(trace.missing for trace in chosen),
            unclosed=sum(not trace.closed for trace in chosen),
        ),
        books=reconcile(records, _joined(of_role["proxy"])) if both else None,
        events=_read_events(folder / EVENTS_FILE),
        run=_read_verdict(folder / SUMMARY_FILE, runs[0]) if runs else None,
    )


def _joined(traces: Sequence[Contents]) -> Records:
    return traces[0].records if len(traces) == 1 else np.concatenate([trace.records for trace in traces])


def _lean(records: Records) -> Records:
    lean = np.empty(len(records), _READ)
    for field in _READ.names or ():
        lean[field] = records[field]
    return lean


def _models(traces: Sequence[Contents]) -> tuple[str, ...]:
    found: set[str] = set()
    for trace in traces:
        pairs = np.sort(trace.records["model"].astype(np.uint32) << 16 | trace.records["version"])
        for pair in pairs[np.flatnonzero(np.diff(pairs, prepend=~pairs[:1]))].tolist():
            model, version = (trace.names.get(number, "?") for number in (pair >> 16, pair & 0xFFFF))
            found.add(f"{model} {version}".strip())
    return tuple(sorted(found))


def _read_events(path: Path) -> tuple[Event, ...]:
    if not path.exists():
        return ()
    try:
        events = [
            Event(str(item["name"]), float(item["start_unix_s"]), float(item["end_unix_s"]))
            for item in json.loads(path.read_bytes())
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable_events(path) from error
    if not all(math.isfinite(event.start_unix_s) and event.start_unix_s <= event.end_unix_s for event in events):
        raise _unreadable_events(path)
    return tuple(events)


def _read_verdict(path: Path, run_id: str) -> RunVerdict | None:
    if not path.exists():
        return None
    try:
        match json.loads(path.read_bytes()):
            case {"run": {"run_id": str(of_run)}, "valid": bool(valid), "invalid_because": list(reasons)}:
                return RunVerdict(valid, tuple(map(str, reasons))) if of_run == run_id else None
            case _:
                return None  # of the same name, but of somebody else
    except (OSError, ValueError) as error:
        raise TraceError(f"{path} cannot be read as JSON; restore what the load run wrote, or remove it") from error


def _unreadable_events(path: Path) -> TraceError:
    return TraceError(
        f"{path} is no list of events; each needs a name, a start_unix_s and an end_unix_s that is not before it"
    )
