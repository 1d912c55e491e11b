"""What a trace holds, in numbers: `tailgate trace info`. Pure: contents in, a dataclass out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tailgate.outcome import Outcome
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.trace.format import Contents
from tailgate.trace.recovery import cut_before
from tailgate.trace.views import passes_of


@dataclass(frozen=True)
class TraceInfo:
    """One trace file.

    Attributes:
        file: Its name.
        size_bytes: Its length.
        error: Why it cannot be read; None where it can, and all that follows is about what was read.
        role: Who wrote it: ``client`` or ``proxy``.
        run_id: Of the run that it belongs to.
        records: Sound observations.
        labelled: Of these, with a label.
        outcomes: How many ended in which way, by the outcome's label.
        models: How many are of which model and version.
        slices: How many are in which slice; those in none are not listed.
        passes: Finished passes: those that hold every sample exactly once.
        unfinished_passes: Passes begun that do not.
        first_unix_s: Earliest arrival; None without observations.
        last_unix_s: Latest arrival.
        damaged: Records whose checksum does not fit.
        torn_bytes: Bytes of a record cut short at the end.
        missing: Sequence numbers that no sound record has.
        closed: Whether its writer closed it.
        recovered_damaged: Records that `tailgate trace recover` cut out before.
        recovered_torn_bytes: Bytes that it cut off.
    """

    file: str
    size_bytes: int
    error: str | None = None
    role: str = ""
    run_id: str = ""
    records: int = 0
    labelled: int = 0
    outcomes: Mapping[str, int] | None = None
    models: Mapping[str, int] | None = None
    slices: Mapping[str, int] | None = None
    passes: int = 0
    unfinished_passes: int = 0
    first_unix_s: float | None = None
    last_unix_s: float | None = None
    damaged: int = 0
    torn_bytes: int = 0
    missing: int = 0
    closed: bool = False
    recovered_damaged: int = 0
    recovered_torn_bytes: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing is known to be lost of it; that of a trace not closed may be lost without being known."""
        lost = self.damaged or self.torn_bytes or self.missing or self.recovered_damaged or self.recovered_torn_bytes
        return self.error is None and not lost


def describe(file: str, size_bytes: int, contents: Contents) -> TraceInfo:
    """Count what a trace holds."""
    records, header = contents.records, contents.header
    passes = passes_of(records, planned_samples(header))
    pairs = records["model"].astype(np.uint32) << 16 | records["version"]
    recovered_damaged, recovered_torn_bytes = cut_before(header)
    slices = _counts(records["slice"], lambda number: contents.slices.get(number, "?"))
    return TraceInfo(
        file=file,
        size_bytes=size_bytes,
        role=str(header.get("role", "")),
        run_id=str(header.get("run_id", "")),
        records=len(records),
        labelled=int((records["label"] != UNKNOWN_CLASS).sum()),
        outcomes=_counts(records["outcome"], outcome_name),
        models=_counts(
            pairs,
            lambda pair: f"{contents.names.get(pair >> 16, '?')} {contents.names.get(pair & 0xFFFF, '?')}".strip(),
        ),
        slices={name: count for name, count in slices.items() if name},
        passes=len(passes.indexes),
        unfinished_passes=passes.incomplete,
        first_unix_s=float(records["arrival_unix_s"].min()) if len(records) else None,
        last_unix_s=float(records["arrival_unix_s"].max()) if len(records) else None,
        damaged=contents.damaged,
        torn_bytes=contents.torn_bytes,
        missing=contents.missing,
        closed=contents.closed,
        recovered_damaged=recovered_damaged,
        recovered_torn_bytes=recovered_torn_bytes,
    )


def planned_samples(header: Mapping[str, Any]) -> int | None:
    """How many samples a pass has, as a load run's header says; None where it does not."""
    written = header.get("samples")
    return written if header.get("role") == "client" and isinstance(written, int) and written > 0 else None


def outcome_name(number: int) -> str:
    """The label of an outcome's number, or the number itself where a newer version wrote it.

    >>> outcome_name(1), outcome_name(250)
    ('ok', 'outcome 250')
    """
    try:
        return Outcome(number).label
    except ValueError:
        return f"outcome {number}"


def _counts(values: npt.NDArray[Any], name_of: Callable[[int], str]) -> dict[str, int]:
    numbers, counts = np.unique(values, return_counts=True)
    found: dict[str, int] = {}
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        found[name_of(number)] = found.get(name_of(number), 0) + count
    return found
