"""Invariants of traces: what was written is there."""

from __future__ import annotations

from collections.abc import Iterator

from tailgate.audit.evidence import Evidence
from tailgate.audit.finding import Breach, Finding
from tailgate.trace.format import Contents
from tailgate.trace.recovery import cut_before


def traces(evidence: Evidence) -> Iterator[Finding]:
    """What the traces say of themselves."""
    for whose, contents in (("client", evidence.client), ("proxy", evidence.proxy)):
        rows, lacking = sum(len(one.records) for one in contents), sum(one.missing for one in contents)
        left_open = sum(not one.closed for one in contents)
        yield Finding(
            "I7",
            f"the {whose}'s trace is whole",
            rows + lacking,
            tuple(Breach(count, what) for what, count in _wrong(contents).items() if count),
            note=f"{left_open} of {len(contents)} not closed, so more may be missing at its end" if left_open else "",
        )


def _wrong(contents: tuple[Contents, ...]) -> dict[str, int]:
    before = [cut_before(one.header) for one in contents]
    return {
        "observations are missing": sum(one.missing for one in contents),
        "records are damaged": sum(one.damaged for one in contents) + sum(damaged for damaged, _ in before),
        "bytes are of a record cut short": sum(one.torn_bytes for one in contents) + sum(torn for _, torn in before),
    }
