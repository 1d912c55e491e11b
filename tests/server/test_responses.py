"""Answers, held against numpy's order and the core's own reader of answers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tailgate.protocol.answers import predicted_class
from tailgate.protocol.tensors import decode_bytes_elements
from tailgate_server.responses import best_classes, build_response
from tailgate_server.signature import Preprocessing, Signature

SIGNATURE = Signature("m", "m", Preprocessing(1, 1, "box", (0.0,) * 3, (1.0,) * 3), 5, (), 4)
FINITE = st.floats(-1e6, 1e6, width=32)


@given(arrays.arrays(np.float32, (1, 5), elements=FINITE), st.integers(1, 5))
def test_both_forms_of_an_answer_name_the_same_class(logits: np.ndarray, top: int) -> None:
    raw = build_response("a", SIGNATURE, logits, None).SerializeToString()
    best = build_response("a", SIGNATURE, logits, top).SerializeToString()
    assert predicted_class(raw) == predicted_class(best) == int(logits.argmax())


def test_each_row_has_its_own_best_classes_in_falling_order() -> None:
    logits = np.array([[1, 5, 3, 5, 0], [0, 0, 0, 0, 9]], np.float32)
    response = build_response("a", SIGNATURE, logits, 3)
    assert list(response.outputs[0].shape) == [2, 3]
    assert decode_bytes_elements(response.raw_output_contents[0], 6, "logits") == [
        b"5.000000:1",
        b"5.000000:3",
        b"3.000000:2",
        b"9.000000:4",
        b"0.000000:0",
        b"0.000000:1",
    ]


def test_labels_follow_the_index_where_they_are_known() -> None:
    assert best_classes(np.array([0, 1], np.float32), 1, ("cat", "dog")) == [b"1.000000:1:dog"]
