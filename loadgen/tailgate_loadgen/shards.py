"""Whether shards belong together, and what they come to together. Pure: headers and records in, header and records out.

Each shard of a run computes the whole schedule from the same seeds and sends its own share of it, so the shards of one
run say the same of themselves but for which of them they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tailgate.errors import Status, TraceError
from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate.trace.format import Contents, Records


@dataclass(frozen=True)
class Part:
    """What one process recorded.

    Attributes:
        source: What to call it in an error.
        contents: Its trace.
    """

    source: str
    contents: Contents


def join_headers(parts: Sequence[Part]) -> dict[str, Any]:
    """What the trace of the whole run says of itself.

    Raises:
        TraceError: One is no shard, they are of different runs, or one is missing or there twice.
    """
    for part in parts:
        if not part.contents.header.get("shard"):
            raise TraceError(f"{part.source} is not the trace of a shard; name what --trace was in each of them")
    first = parts[0]
    common = _without_shard(first.contents.header)
    for part in parts[1:]:
        header = _without_shard(part.contents.header)
        for name in sorted(common.keys() | header.keys()):
            if common.get(name) != header.get(name):
                raise TraceError(
                    f"{part.source} is of another run than {first.source}: its {name} is {header.get(name)!r}, not "
                    f"{common.get(name)!r}; name the shards of one run"
                )
    of = {part.contents.header["shard"]["of"] for part in parts}
    indexes = [part.contents.header["shard"]["index"] for part in parts]
    if len(of) > 1:
        raise TraceError(f"these are shards of {' and of '.join(map(str, sorted(of)))}; name those of one division")
    (count,) = of
    for index in range(count):
        if indexes.count(index) != 1:
            how = "missing" if index not in indexes else "there more than once"
            raise TraceError(f"shard {index}/{count} is {how}; name each of the {count} shards once")
    hardest = max((part.contents.header.get("generator") or {} for part in parts), key=_strain)
    return {**common, "generator": hardest, "shard": None, "shards": count}


def check_disjoint(parts: Sequence[Part]) -> None:
    """Whether no request of the schedule stands in two places.

    Raises:
        TraceError: One does.
    """
    rows = np.concatenate([part.contents.records[["pass_index", "sample"]] for part in parts])
    rows = rows[rows["pass_index"] >= 0]
    twice = len(rows) - len(np.unique(rows["pass_index"].astype(np.int64) << 32 | rows["sample"]))
    if twice:
        raise TraceError(f"{twice} requests stand in more than one place; a run sends each only once")


def join_observations(parts: Sequence[Part]) -> Iterator[Observation]:
    """Those of all parts, in the order in which they ended."""
    counts = [len(part.contents.records) for part in parts]
    ended_s = np.concatenate([_ended_s(part.contents.records) for part in parts])
    starts = np.cumsum([0, *counts])
    for place in np.argsort(ended_s, kind="stable").tolist():
        number = int(np.searchsorted(starts, place, side="right")) - 1
        part = parts[number].contents
        yield _observation(part, part.records[place - int(starts[number])])


def _without_shard(header: Mapping[str, Any]) -> dict[str, Any]:
    """What all shards of a run say alike: not which they are, nor what their machines can send."""
    return {name: value for name, value in header.items() if name not in ("shard", "generator")}


def _strain(generator: Mapping[str, Any]) -> float:
    """How much was asked of a process; most of one of which that is not known."""
    share = generator.get("share")
    return math.inf if share is None else float(share)


def _ended_s(records: Records) -> Any:
    return records["arrival_unix_s"] + records["latency_s"]


def _observation(contents: Contents, row: Any) -> Observation:
    return Observation(
        request_id=row["request_id"].decode(),
        model=contents.names.get(int(row["model"]), ""),
        version=contents.names.get(int(row["version"]), ""),
        arrival_unix_s=float(row["arrival_unix_s"]),
        budget_s=float(row["budget_s"]),
        latency_s=float(row["latency_s"]),
        outcome=Outcome(int(row["outcome"])),
        predicted=int(row["predicted"]),
        label=int(row["label"]),
        status=Status(int(row["status"])),
        lag_s=float(row["lag_s"]),
        pass_index=int(row["pass_index"]),
        sample=int(row["sample"]),
        slice=contents.slices.get(int(row["slice"]), ""),
    )
