"""Labels on the wire: what is read, and what is said about what cannot be."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tailgate.errors import InvalidRequest, TooLarge
from tailgate.labels import RIGHT, WRONG, Label
from tailgate.pb.tailgate import feedback_pb2 as pb
from tailgate_proxy.feedback.wire import MAX_ID_LENGTH, MAX_LABELS, MAX_LINE_BYTES, read_batch, read_line


def batch(**fields: Any) -> Any:
    ((_, read),) = read_batch(pb.LabelBatch(labels=[pb.Label(**fields)]).SerializeToString())
    return read


def line(document: object) -> Any:
    return read_line(json.dumps(document))[1]


@pytest.mark.parametrize("read", [batch, lambda **fields: line(fields)])
@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"request_id": "a", "class_index": 7}, Label("a", 7)),
        ({"request_id": "a", "class_index": 0, "weight": 2.5}, Label("a", 0, 2.5)),
        ({"request_id": "a", "score": 1.0}, Label("a", RIGHT)),
        ({"request_id": "é", "score": 0.0, "source": "a person"}, Label("é", WRONG)),
    ],
)
def test_a_label_says_the_same_in_either_form(read: Any, fields: dict[str, Any], label: Label) -> None:
    assert read(**fields) == label


def test_the_time_of_the_truth_is_taken_in_either_form() -> None:
    assert batch(request_id="a", score=1.0, labelled_at=Timestamp(seconds=1_700_000_000)).at_unix_s == 1.7e9
    for given in (1.7e9, "2023-11-14T22:13:20Z", "2023-11-14T23:13:20+01:00"):
        assert line({"request_id": "a", "score": 1, "labelled_at": given}).at_unix_s == 1.7e9


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"class_index": 1}, "request_id"),
        ({"request_id": "x" * (MAX_ID_LENGTH + 1), "class_index": 1}, "request_id"),
        ({"request_id": "a"}, "either class_index"),
        ({"request_id": "a", "class_index": -1}, "class_index is -1"),
        ({"request_id": "a", "class_index": 2**40}, "class_index is"),
        ({"request_id": "a", "class_name": "cat"}, "class_name"),
        ({"request_id": "a", "score": 0.5}, "score is 0.5"),
        ({"request_id": "a", "score": math.nan}, "score is nan"),
        ({"request_id": "a", "class_index": 1, "weight": -1.0}, "weight is -1"),
        ({"request_id": "a", "class_index": 1, "weight": math.inf}, "weight is inf"),
        ({"request_id": "a", "class_index": 1, "weight": 1e200}, "weight is 1e+200"),
    ],
)
def test_what_is_wrong_with_a_label_is_said_in_either_form(fields: dict[str, Any], words: str) -> None:
    for read in (batch(**fields), line(fields)):
        assert isinstance(read, InvalidRequest)
        assert words in str(read)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no JSON"),
        ("[1]", "no JSON object"),
        ('{"request_id": 7, "class_index": 1}', "request_id"),
        ('{"request_id": "a", "class_index": "1"}', "class_index is '1'"),
        ('{"request_id": "a", "class_index": true}', "class_index is True"),
        ('{"request_id": "a", "class_index": 1.0}', "class_index is 1.0"),
        ('{"request_id": "a", "score": "1"}', "score is '1'"),
        ('{"request_id": "a", "class_index": 1, "weight": "2"}', "weight is '2'"),
        ('{"request_id": "a", "class_index": 1, "klass": 2}', "'klass' is no field"),
        ('{"request_id": "a", "class_index": 1, "score": 1}', "either class_index"),
        ('{"request_id": "a", "class_index": 1, "labelled_at": "yesterday"}', "labelled_at is 'yesterday'"),
        ('{"request_id": "a", "class_index": 1, "labelled_at": "0001-01-01T00:00:00"}', "labelled_at is '0001"),
        ('{"request_id": "a", "class_index": 1, "labelled_at": 1%s}' % ("0" * 400), "labelled_at is 10"),
        ('{"request_id": "a", "class_index": 1, "weight": 1%s}' % ("0" * 400), "weight is inf"),
        ('{"request_id": "a", "score": -1%s}' % ("0" * 400), "score is -inf"),
        ('{"request_id": "a", "class_index": 1, "source": "%s"}' % ("x" * MAX_LINE_BYTES), "at most 131072"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(text: str, words: str) -> None:
    _, read = read_line(text)
    assert isinstance(read, InvalidRequest)
    assert words in str(read)


def test_a_batch_has_no_more_labels_than_are_read_at_once() -> None:
    label = pb.Label(request_id="a", class_index=1)
    assert len(list(read_batch(pb.LabelBatch(labels=[label] * MAX_LABELS).SerializeToString()))) == MAX_LABELS
    with pytest.raises(TooLarge, match=f"{MAX_LABELS + 1} labels; at most {MAX_LABELS}"):
        read_batch(pb.LabelBatch(labels=[label] * (MAX_LABELS + 1)).SerializeToString())


def test_bytes_that_are_no_batch_are_refused_as_a_whole() -> None:
    with pytest.raises(InvalidRequest, match="LabelBatch"):
        list(read_batch(b"\xff\xff"))
