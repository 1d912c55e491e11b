r"""The layout of a trace: bytes in, arrays out, and back. No file is opened here.

    trace  = magic line, header line, record*
    magic  = "tailgate-trace 1 " crc32-of-header-line-in-hex "\n"
    header = one line of JSON: role, run id, clock, names of the fields, whatever the writer adds
    record = 128 bytes, little-endian, as `RECORD` says; ends in the CRC-32 of what stands before it

A record is, by its ``kind``,

- an OBSERVATION, with a gap-free sequence number from 0, given when it was handed to the writer: a number that is
  missing is an observation that could not be written;
- a NAME: gives the number ``model`` to a model's or version's name, which stands in ``request_id``'s place;
- a SLICE: gives the number ``slice``, from 1, to a slice's name, in the same place; 0 is of requests that are in none;
- a LABEL: what became known of an observation after it ended, of the one with the same ``request_id`` and
  ``arrival_unix_s``; in ``label`` as `tailgate.labels` writes a truth, in ``budget_s`` its weight, in ``latency_s`` how
  long after the arrival it was established;
- the END, which closes the trace: its ``sequence`` is how many numbers were given in all, so that those missing at the
  end are seen too; without one the writer died, is still at work, or found no room for it.

A record cut short by the writer's death lies at the end of the file, and is the only one that can be.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tailgate.errors import TraceError
from tailgate.labels import RIGHT, Judged
from tailgate.observation import Observation
from tailgate.outcome import ANSWER_SEEN
from tailgate.protocol.answers import UNKNOWN_CLASS

VERSION = 1
SUFFIX = ".trace"

OBSERVATION, NAME, END, LABEL, SLICE = 1, 2, 3, 4, 5
NAME_BYTES = 64
UNNAMED = 0xFFFF
"""Stands for every name beyond the first 65,535, so that whoever makes up names cannot stop the trace."""
MOST_SLICES = 0xFF
"""A proxy takes far fewer; those beyond are written as none."""

RECORD = np.dtype(
    [
        ("kind", "u1"),
        ("outcome", "u1"),
        ("status", "u1"),
        ("slice", "u1"),
        ("model", "<u2"),
        ("version", "<u2"),
        ("sequence", "<u8"),
        ("arrival_unix_s", "<f8"),
        ("budget_s", "<f8"),
        ("latency_s", "<f8"),
        ("lag_s", "<f4"),
        ("pass_index", "<i4"),
        ("sample", "<i4"),
        ("predicted", "<i4"),
        ("label", "<i4"),
        ("request_id", f"S{NAME_BYTES}"),
        ("crc32", "<u4"),
    ]
)

_PACKED = struct.Struct(f"<4B2HQ3df4i{NAME_BYTES}s")  # a record but for its checksum; an array is eight times as slow
_CHECKSUM = struct.Struct("<I")

Records = npt.NDArray[np.void]


def request_key(request_id: str) -> bytes:
    """What a record keeps of a request id: the id itself, or for one of over 64 bytes a digest of it.

    The same at every writer, so that traces are joined on it.
    """
    encoded = request_id.encode()
    if len(encoded) <= NAME_BYTES and b"\0" not in encoded:
        return encoded
    return b"~" + hashlib.blake2b(encoded, digest_size=24).hexdigest().encode()


@dataclass(frozen=True)
class Contents:
    """What was found in a trace's bytes.

    Attributes:
        header: As it was written.
        names: Model and version names by their number.
        slices: The slices' names by their number; that of number 0 is empty.
        records: The sound observations, in the order in which they were written, with the labels that came after them.
        damaged: Records whose checksum does not fit, which are left out of `records`.
        torn_bytes: Bytes of a record cut short at the end.
        missing: Sequence numbers that no sound record has, of all that were given, or where the trace was not closed of
            those below the highest found: observations that are not here.
        closed: Whether its writer closed it; if not, observations after the last one here may be missing uncounted.
    """

    header: Mapping[str, Any]
    names: Mapping[int, str]
    slices: Mapping[int, str]
    records: Records
    damaged: int
    torn_bytes: int
    missing: int
    closed: bool


def encode_header(fields: Mapping[str, Any]) -> bytes:
    """The two lines a trace begins with."""
    line = json.dumps({**fields, "record": RECORD.descr, "record_bytes": RECORD.itemsize}, sort_keys=True).encode()
    return b"tailgate-trace %d %08x\n%s\n" % (VERSION, zlib.crc32(line), line)


@dataclass(frozen=True)
class Batch:
    """Some observations and labels as bytes, ready to be written.

    Attributes:
        data: Their records, with those of names that are new in front.
        names: The new names' numbers.
        slices: The new slices' numbers.
        count: How many observations.
        labels: How many labels.
    """

    data: bytes
    names: Mapping[str, int]
    slices: Mapping[str, int]
    count: int
    labels: int


class Encoder:
    """Turns observations into records: keeps the numbering of names and of records."""

    def __init__(self) -> None:
        """Start at sequence number 0 with no names."""
        self._numbers: dict[str, int] = {}
        self._slices: dict[str, int] = {"": 0}
        self._sequence = 0

    def encode(self, items: Sequence[Observation | Judged]) -> Batch:
        """These observations and labels as bytes, in their order. Nothing is numbered for good before `commit`."""
        observations = [item for item in items if isinstance(item, Observation)]
        names = _new((name for o in observations for name in (o.model, o.version)), self._numbers, UNNAMED)
        slices = _new((o.slice for o in observations), self._slices, MOST_SLICES + 1)
        numbers, parts = self._numbers | names, self._slices | slices
        rows = [_record(NAME, model=number, request_id=name.encode()[:NAME_BYTES]) for name, number in names.items()]
        rows += [_record(SLICE, part=number, request_id=name.encode()[:NAME_BYTES]) for name, number in slices.items()]
        sequence = self._sequence
        for item in items:
            if isinstance(item, Judged):
                rows.append(_label_record(item))
            else:
                rows.append(_observation_record(item, numbers, parts, sequence))
                sequence += 1
        return Batch(b"".join(rows), names, slices, len(observations), len(items) - len(observations))

    def commit(self, batch: Batch) -> None:
        """The batch was written."""
        self._numbers.update(batch.names)
        self._slices.update(batch.slices)
        self._sequence += batch.count

    def skip(self, count: int) -> None:
        """So many observations could not be written; the gap in the numbers will say so."""
        self._sequence += count

    def end(self) -> bytes:
        """The record that closes the trace."""
        return _record(END, sequence=self._sequence)


def decode(data: bytes | memoryview, source: str) -> Contents:
    """Read back a trace's bytes, leaving out what is damaged and saying how much that was.

    Args:
        data: The whole trace.
        source: What to call it in an error.

    Raises:
        TraceError: It is no trace, a newer one, or its header is damaged.
    """
    header, rows, sound, torn_bytes = decode_rows(data, source)
    named, parts = (rows[sound & (rows["kind"] == kind)] for kind in (NAME, SLICE))
    observations = rows[sound & (rows["kind"] == OBSERVATION)]
    sequence = np.sort(observations["sequence"])
    # Counted on the sorted numbers: np.unique's hash table takes seconds for millions of consecutive ones.
    present = int(np.count_nonzero(np.diff(sequence))) + 1 if len(sequence) else 0
    ends = rows["sequence"][sound & (rows["kind"] == END)]
    given = max(int(sequence[-1]) + 1 if len(sequence) else 0, *ends.tolist(), 0)
    return Contents(
        header=header,
        names={int(row["model"]): row["request_id"].decode(errors="ignore") for row in named},
        slices={0: ""} | {int(row["slice"]): row["request_id"].decode(errors="ignore") for row in parts},
        records=_with_labels(observations, rows[sound & (rows["kind"] == LABEL)]),
        damaged=int(len(rows) - sound.sum()),
        torn_bytes=torn_bytes,
        missing=given - present,
        closed=len(ends) > 0,
    )


class Rows(NamedTuple):
    """A trace's records of every kind, as they lie in it.

    Attributes:
        header: As it was written.
        rows: All that are whole, damaged ones too.
        sound: bool `[rows]`: whose checksum fits.
        torn_bytes: Bytes of a record cut short at the end.
    """

    header: Mapping[str, Any]
    rows: Records
    sound: npt.NDArray[np.bool_]
    torn_bytes: int


def decode_rows(data: bytes | memoryview, source: str) -> Rows:
    """Split a trace's bytes into its records, and tell the sound ones; arguments and errors as for `decode`."""
    view = memoryview(data)
    header, start = _decode_header(bytes(view[: 1 << 20]), source)
    whole = (len(view) - start) // RECORD.itemsize
    rows = np.frombuffer(view[start : start + whole * RECORD.itemsize], RECORD)
    return Rows(header, rows, rows["crc32"] == _checksums(rows), len(view) - start - whole * RECORD.itemsize)


def _decode_header(head: bytes, source: str) -> tuple[dict[str, Any], int]:
    magic, _, rest = head.partition(b"\n")
    line, newline, _ = rest.partition(b"\n")
    words = magic.split(b" ")
    if words[0] != b"tailgate-trace" or len(words) != 3:
        raise TraceError(f"{source} is not a trace: it does not begin with 'tailgate-trace'")
    if words[1] != b"%d" % VERSION:
        other = words[1].decode(errors="replace")
        raise TraceError(f"{source} is a trace of format {other!r}; this version reads format {VERSION}")
    if not newline or words[2] != b"%08x" % zlib.crc32(line):
        raise TraceError(f"{source} has a damaged header; its records cannot be read without it")
    header: dict[str, Any] = json.loads(line)
    return header, len(magic) + len(line) + 2


def _new(names: Iterable[str], known: Mapping[str, int], most: int) -> dict[str, int]:
    """Numbers for those of the names that have none, while there are numbers left."""
    new: dict[str, int] = {}
    for name in names:
        number = len(known) + len(new)
        if number < most and name not in known and name not in new:
            new[name] = number
    return new


def _observation_record(o: Observation, numbers: Mapping[str, int], slices: Mapping[str, int], sequence: int) -> bytes:
    return _record(
        OBSERVATION,
        o.outcome,
        o.status,
        slices.get(o.slice, 0),
        numbers.get(o.model, UNNAMED),
        numbers.get(o.version, UNNAMED),
        sequence,
        o.arrival_unix_s,
        o.budget_s,
        o.latency_s,
        o.lag_s,
        o.pass_index,
        o.sample,
        o.predicted,
        o.label,
        request_key(o.request_id),
    )


def _label_record(judged: Judged) -> bytes:
    o = judged.observation
    return _record(
        LABEL,
        o.outcome,
        arrival_unix_s=o.arrival_unix_s,
        budget_s=judged.given.weight,
        latency_s=judged.given.at_unix_s - o.arrival_unix_s,
        label=judged.given.truth,
        request_id=request_key(o.request_id),
    )


def _with_labels(observations: Records, labels: Records) -> Records:
    """The observations with the labels that came after them."""
    if not len(labels) or not len(observations):
        return observations
    names, at = np.unique(_keys(labels), return_index=True)
    keys = _keys(observations)
    place = np.minimum(np.searchsorted(names, keys), len(names) - 1)
    rows = (names[place] == keys) & (observations["label"] == UNKNOWN_CLASS)
    truth = labels["label"][at[place]]
    joined = observations.copy()
    joined["label"][rows] = np.where(truth >= 0, truth, 1)[rows]
    judged = rows & (truth < 0) & np.isin(observations["outcome"], ANSWER_SEEN)
    joined["predicted"][judged] = (truth == RIGHT)[judged]
    return joined


def _keys(rows: Records) -> npt.NDArray[np.bytes_]:
    """What tells observations apart also where clients use an id again."""
    keys = np.empty(len(rows), [("request_id", f"S{NAME_BYTES}"), ("arrival_unix_s", "<f8"), ("end", "u1")])
    keys["request_id"], keys["arrival_unix_s"], keys["end"] = rows["request_id"], rows["arrival_unix_s"], 1
    whole: npt.NDArray[np.bytes_] = keys.view(f"S{keys.itemsize}")
    return whole


def _record(  # noqa: PLR0917 — the fields, in the order of the layout
    kind: int,
    outcome: int = 0,
    status: int = 0,
    part: int = 0,
    model: int = 0,
    version: int = 0,
    sequence: int = 0,
    arrival_unix_s: float = 0.0,
    budget_s: float = 0.0,
    latency_s: float = 0.0,
    lag_s: float = 0.0,
    pass_index: int = 0,
    sample: int = 0,
    predicted: int = 0,
    label: int = 0,
    request_id: bytes = b"",
) -> bytes:
    """One record, as `RECORD` lays it out."""
    body = _PACKED.pack(
        kind, outcome, status, part, model, version, sequence, arrival_unix_s, budget_s, latency_s, lag_s,
        pass_index, sample, predicted, label, request_id,
    )  # fmt: skip
    return body + _CHECKSUM.pack(zlib.crc32(body))


def _checksums(rows: Records) -> npt.NDArray[np.uint32]:
    bodies = struct.iter_unpack(f"{RECORD.itemsize - 4}s4x", rows.view(np.uint8).data)
    return np.fromiter((zlib.crc32(body) for (body,) in bodies), np.uint32, len(rows))
