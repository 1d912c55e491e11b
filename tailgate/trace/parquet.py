"""Observations as Parquet: the columns, with their types and meanings; tables out of traces; passes out of files.

Lives here: what is in a file. Must not live here: which files there are (`convert`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tailgate.errors import Status, TraceError
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.trace.format import Contents
from tailgate.trace.info import outcome_name
from tailgate.trace.views import Passes, response_times_s, scores

METADATA = b"tailgate"
"""Key of a file's metadata: JSON with its version, the pass that it holds if any, and the header of its trace."""
VERSION = 1

_WORDS = pa.dictionary(pa.int32(), pa.string())  # small sets of words


def _column(name: str, kind: Any, meaning: str, *, nullable: bool = True) -> Any:
    return pa.field(name, kind, nullable=nullable, metadata={"description": meaning})


SCHEMA = pa.schema(
    [
        _column("pass_index", pa.int32(), "pass of the data set, from 0; null outside all passes"),
        _column("sample", pa.int32(), "sample of the data set, from 0; null where none is known"),
        _column("request_id", pa.string(), "the request's id, or a digest of one of over 64 bytes"),
        _column("model", _WORDS, "name of the model; null where it was lost"),
        _column("version", _WORDS, "version that answered or was asked for, may be empty; null where it was lost"),
        _column("slice", _WORDS, "group of requests; null for those in none"),
        _column("arrival_unix_s", pa.float64(), "wall-clock seconds since 1970 UTC, of the arrival", nullable=False),
        _column("budget_s", pa.float64(), "seconds it had at its arrival", nullable=False),
        _column("latency_s", pa.float64(), "seconds from arrival to its end, however it ended", nullable=False),
        _column("response_s", pa.float64(), "latency_s where a complete answer was seen, else null"),
        _column("lag_s", pa.float32(), "client only: seconds it was sent later than scheduled", nullable=False),
        _column("outcome", _WORDS, "how it ended, such as ok or deadline_in_flight", nullable=False),
        _column("status", _WORDS, "the gRPC status its client was given, such as OK", nullable=False),
        _column("predicted", pa.int32(), "class that the answer named; null where none did"),
        _column("label", pa.int32(), "the right class; null where none is known"),
        _column("score", pa.float64(), "1 where the answer names the label, else 0, late or not; null without a label"),
    ]
)  # fmt: skip
"""Every column. ``Q(θ)`` is the mean, over rows with a score, of the score where ``response_s <= θ``, else of 0."""


def table_of(contents: Contents) -> pa.Table:
    """A trace's observations as a table with the columns of `SCHEMA`, in their order."""
    rows = contents.records
    response, labelled = response_times_s(rows), rows["label"] != UNKNOWN_CLASS
    columns: dict[str, Any] = {
        "pass_index": _known(rows["pass_index"], rows["pass_index"] >= 0),
        "sample": _known(rows["sample"], rows["sample"] >= 0),
        "request_id": pa.array(rows["request_id"].tolist(), pa.binary()).cast(pa.string()),
        "model": _words(rows["model"], contents.names),
        "version": _words(rows["version"], contents.names),
        "slice": _words(rows["slice"], {number: name for number, name in contents.slices.items() if name}),
        "response_s": _known(response, np.isfinite(response)),
        "outcome": _words(rows["outcome"], {number: outcome_name(number) for number in range(256)}),
        "status": _words(rows["status"], {number: _status_name(number) for number in range(256)}),
        "predicted": _known(rows["predicted"], rows["predicted"] != UNKNOWN_CLASS),
        "label": _known(rows["label"], labelled),
        "score": _known(scores(rows), labelled),
    }
    plain = {name: pa.array(np.ascontiguousarray(rows[name])) for name in SCHEMA.names if name not in columns}
    return pa.table({**columns, **plain}).select(SCHEMA.names).cast(SCHEMA)


def write_table(table: pa.Table, path: Path, *, header: Mapping[str, Any], pass_index: int | None) -> None:
    """Write one file.

    Args:
        table: With the columns of `SCHEMA`; of a finished pass in the order of its samples.
        path: Where.
        header: Of the trace.
        pass_index: The finished pass that this is; None for what is of none.
    """
    told = json.dumps({"version": VERSION, "pass_index": pass_index, "header": dict(header)}, sort_keys=True)
    # Times are all different, so a dictionary of them would be as long as they are. What every analysis reads is not
    # compressed either: it would save a tenth, and take longer to read.
    layout: dict[str, Any] = {
        "compression": {name: "none" if name == "response_s" else "zstd" for name in SCHEMA.names},
        "use_dictionary": [name for name in SCHEMA.names if name != "request_id" and not name.endswith("_s")],
    }
    pq.write_table(table.replace_schema_metadata({METADATA: told}), path, **layout)


def read_metadata(path: Path) -> dict[str, Any]:
    """What a file says of itself: ``version``, ``pass_index``, ``header``.

    Raises:
        TraceError: It is no Parquet file, or none of ours.
    """
    try:
        found = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid) as error:
        raise TraceError(f"{path} cannot be read as Parquet: {error}") from error
    return _told(found, path)


def read_passes(paths: Sequence[Path]) -> Passes:
    """Finished passes of one run as matrices, the same as `passes_of` makes from its trace.

    Args:
        paths: Files of finished passes; at least one.

    Raises:
        TraceError: A file is no Parquet, not ours, not of a finished pass, or not of the run that the first is of.
    """
    indexes: list[int] = []
    first: tuple[object, npt.NDArray[np.int64]] | None = None
    response, score = np.empty((len(paths), 0)), np.empty((len(paths), 0))
    for place, path in enumerate(paths):
        try:
            with pq.ParquetFile(path) as file:
                metadata, table = file.schema_arrow.metadata, file.read(columns=["sample", "response_s", "score"])
        except (OSError, pa.ArrowInvalid) as error:
            raise TraceError(f"{path} cannot be read as Parquet: {error}") from error
        told = _told(metadata or {}, path)
        if told["pass_index"] is None:
            raise TraceError(f"{path} holds no finished pass; leave it out")
        samples = table["sample"].to_numpy()
        of = (told["header"].get("run_id"), samples)
        if first is None:
            first = of
            response, score = np.empty((len(paths), len(samples))), np.empty((len(paths), len(samples)))
        elif of[0] != first[0] or not np.array_equal(samples, first[1]):
            raise TraceError(f"{path} is of another run than {paths[0]}; read the passes of one run at a time")
        indexes.append(told["pass_index"])
        response[place] = _filled(table["response_s"], np.inf)
        score[place] = _filled(table["score"], 0.0)
    if first is None:
        raise ValueError("paths is empty; name at least one file")
    order = np.argsort(indexes)
    rising = bool((order == np.arange(len(order))).all())
    return Passes(
        indexes=np.array(indexes, np.int64)[order],
        samples=first[1].astype(np.int64),
        response_s=response if rising else response[order],
        score=score if rising else score[order],
        incomplete=0,
    )


def _told(metadata: Mapping[bytes, bytes], path: Path) -> dict[str, Any]:
    if METADATA not in metadata:
        raise TraceError(f"{path} was not written by 'tailgate trace convert'")
    told: dict[str, Any] = json.loads(metadata[METADATA])
    if told["version"] != VERSION:
        raise TraceError(f"{path} is of version {told['version']!r}; this program reads version {VERSION}")
    return told


def _filled(column: Any, missing: float) -> npt.NDArray[np.float64]:
    filled: npt.NDArray[np.float64] = column.fill_null(missing).to_numpy()
    return filled


def _known(values: npt.NDArray[Any], known: npt.NDArray[np.bool_]) -> Any:
    return pa.array(np.ascontiguousarray(values), mask=~known)


def _words(numbers: npt.NDArray[Any], names: Mapping[int, str]) -> Any:
    """Numbers as their names; null where one has none."""
    known = sorted(names)
    place = np.full(1 << 16, -1, np.int32)
    place[known] = np.arange(len(known), dtype=np.int32)
    indices = place[numbers]
    return pa.DictionaryArray.from_arrays(pa.array(indices, mask=indices < 0), [names[number] for number in known])


def _status_name(number: int) -> str:
    try:
        return Status(number).name
    except ValueError:
        return f"STATUS {number}"
