"""Labels as they come over the wire: messages of `tailgate.feedback`, or lines of JSON. Read into `Label`s."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from google.protobuf.message import DecodeError

from tailgate.errors import InvalidRequest, TooLarge
from tailgate.labels import RIGHT, WRONG, Label
from tailgate.pb.tailgate import feedback_pb2 as pb
from tailgate.protocol.answers import MAX_CLASS

SERVICE: Final = "tailgate.feedback.Feedback"
SUBMIT: Final = f"/{SERVICE}/Submit"
SUBMIT_STREAM: Final = f"/{SERVICE}/SubmitStream"

MAX_ID_LENGTH: Final = 1024
MAX_LABELS: Final = 10_000
"""Of a batch, or of a request over HTTP: nothing else is done while they are read."""
MAX_LINE_BYTES: Final = 128 << 10
"""Of a label as a line of JSON."""
MOST_WEIGHT: Final = 1e9
"""Of a label: one in so many requests is labelled. Sums of weights, and of their squares, stay numbers."""
_FIELDS: Final = frozenset(("request_id", "class_index", "score", "weight", "labelled_at", "source", "idempotency_key"))

Read = Label | InvalidRequest
"""A label, or what is wrong with it."""


def read_batch(message: bytes | memoryview) -> Iterator[tuple[str, Read]]:
    """The labels of a serialized `LabelBatch`, each with the request's id.

    Raises:
        InvalidRequest: The bytes are no such message, or it has too many labels.
    """
    try:
        batch = pb.LabelBatch.FromString(bytes(message))
    except DecodeError as error:
        raise InvalidRequest("the request is no tailgate.feedback.LabelBatch") from error
    if len(batch.labels) > MAX_LABELS:
        raise TooLarge(f"a batch has {len(batch.labels)} labels; at most {MAX_LABELS} are taken at once")
    return ((label.request_id, _read(lambda label=label: _of_message(label))) for label in batch.labels)


def read_line(line: bytes | str) -> tuple[str, Read]:
    """One line of JSON: an object with `request_id`, `class_index` or `score`, and perhaps `weight`, `labelled_at`."""
    if len(line) > MAX_LINE_BYTES:
        return "", InvalidRequest(f"the line has {len(line)} bytes; at most {MAX_LINE_BYTES} are read")
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return "", InvalidRequest(
            'the line is no JSON; expected an object such as {"request_id": "7", "class_index": 3}'
        )
    if not isinstance(document, dict):
        return "", InvalidRequest("the line is no JSON object")
    name = document.get("request_id")
    return (name if isinstance(name, str) else ""), _read(lambda: _of_document(document))


def _read(read: Any) -> Read:
    try:
        label: Label = read()
    except InvalidRequest as error:
        return error
    return label


def _of_message(label: pb.Label) -> Label:
    truth = label.WhichOneof("truth")
    if truth == "class_name":
        raise InvalidRequest(
            "class_name cannot be compared with an answer, which names classes by index; give class_index"
        )
    at_s = label.labelled_at.seconds + label.labelled_at.nanos / 1e9 if label.HasField("labelled_at") else 0.0
    return _label(
        label.request_id,
        label.class_index if truth == "class_index" else None,
        label.score if truth == "score" else None,
        label.weight or 1.0,
        at_s,
    )


def _of_document(document: dict[str, Any]) -> Label:
    strange = sorted(set(document) - _FIELDS)
    if strange:
        raise InvalidRequest(f"{strange[0]!r} is no field of a label; those are {', '.join(sorted(_FIELDS))}")
    name = document.get("request_id")
    if not isinstance(name, str):
        raise InvalidRequest("request_id is missing or no string")
    index, score, weight = (document.get(field) for field in ("class_index", "score", "weight"))
    if index is not None and (not isinstance(index, int) or isinstance(index, bool)):
        raise InvalidRequest(f"class_index is {index!r}; expected a whole number")
    for field, value in (("score", score), ("weight", weight)):
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
            raise InvalidRequest(f"{field} is {value!r}; expected a number")
    score, weight = None if score is None else _float(score), 1.0 if weight is None else _float(weight)
    return _label(name, index, score, weight, _at(document.get("labelled_at")))


def _float(value: float) -> float:
    """JSON's whole numbers may have any number of digits: one that no float can be is larger than all of them."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _at(value: object) -> float:
    if value is None:
        return 0.0
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(seconds := _float(value)):
        return seconds
    try:
        return datetime.fromisoformat(value if isinstance(value, str) else "").timestamp()
    except (ValueError, OverflowError):  # the latter of a year that the system's clock does not have
        raise InvalidRequest(
            f"labelled_at is {value!r}; expected seconds since the epoch or a time such as '2026-11-22T07:00:00Z'"
        ) from None


def _label(name: str, index: int | None, score: float | None, weight: float, at_unix_s: float) -> Label:
    if not name:
        raise InvalidRequest(
            "request_id is empty; it is the request's x-request-id, its V2 id, or the one it was given"
        )
    if len(name) > MAX_ID_LENGTH:
        raise InvalidRequest(f"request_id has {len(name)} characters; at most {MAX_ID_LENGTH} are kept")
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise InvalidRequest("request_id has half of a surrogate pair, which is no text, so no request can have it")
    if not 0 < weight <= MOST_WEIGHT:
        raise InvalidRequest(
            f"weight is {weight:g}; expected a number above 0 and up to {MOST_WEIGHT:g}: one over the probability of "
            "being labelled"
        )
    if (index is None) == (score is None):
        raise InvalidRequest("expected either class_index, the right class, or score, 1 for right and 0 for wrong")
    if index is not None:
        if not 0 <= index <= MAX_CLASS:
            raise InvalidRequest(f"class_index is {index}; expected 0 to {MAX_CLASS}")
        return Label(name, index, weight, at_unix_s)
    if score not in (0, 1):
        raise InvalidRequest(f"score is {score:g}; expected 1 for right or 0 for wrong")
    return Label(name, RIGHT if score == 1 else WRONG, weight, at_unix_s)
