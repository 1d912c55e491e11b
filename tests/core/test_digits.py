"""The two halves of the digits: never a sample in both, the same on every machine."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.digits import CLASSES, SIDE, load_digits, stratified_halves

# Pinned: published numbers and trained weights rest on exactly these halves.
DIGESTS = {
    "training": "c0e7ae06dfc1e39243d73b69adcf14c8792a894ff9408b129c8d9db6437f2a01",
    "validation": "d7a19bce21eb14b4f7bc5c181ca88942298a7f98387a47425fe57612fdf1f88f",
}


@given(st.lists(st.integers(0, 6), max_size=200), st.integers(0, 2**32))
def test_halves_are_disjoint_complete_and_in_rising_order(labels: list[int], seed: int) -> None:
    first, second = stratified_halves(np.array(labels, np.int64), seed)
    assert sorted([*first.tolist(), *second.tolist()]) == list(range(len(labels)))
    assert (np.diff(first) > 0).all()
    assert (np.diff(second) > 0).all()


@given(st.lists(st.integers(0, 6), max_size=200), st.integers(0, 2**32))
def test_halves_share_every_class_and_the_whole_as_evenly_as_can_be(labels: list[int], seed: int) -> None:
    values = np.array(labels, np.int64)
    first, second = stratified_halves(values, seed)
    for label in set(labels):
        assert abs(int((values[first] == label).sum()) - int((values[second] == label).sum())) <= 1
    assert abs(len(first) - len(second)) <= 1


@given(st.lists(st.integers(0, 6), max_size=100), st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_halves(labels: list[int], seed: int) -> None:
    values = np.array(labels, np.int64)
    once, again = stratified_halves(values, seed), stratified_halves(values, seed)
    assert all((a == b).all() for a, b in zip(once, again, strict=True))


@pytest.mark.parametrize("half", ["training", "validation"])
def test_each_half_is_byte_for_byte_the_one_that_was_published(half: str) -> None:
    digits = load_digits("training" if half == "training" else "validation")
    digest = hashlib.sha256(digits.images.tobytes() + digits.labels.astype("<i8").tobytes()).hexdigest()
    assert digest == DIGESTS[half]


def test_the_halves_are_the_same_where_scikit_learn_has_to_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    read = load_digits("validation")
    monkeypatch.setattr("tailgate.digits._FILE", Path("elsewhere"))
    asked = load_digits("validation")
    assert np.array_equal(asked.images, read.images)
    assert np.array_equal(asked.labels, read.labels)


def test_the_halves_hold_899_and_898_images_and_none_in_common() -> None:
    training, validation = load_digits("training"), load_digits("validation")
    assert (len(training.labels), len(validation.labels)) == (899, 898)
    seen = {image.tobytes() for image in training.images}
    assert not seen & {image.tobytes() for image in validation.images}


@pytest.mark.parametrize("half", ["training", "validation"])
def test_images_are_grey_squares_of_the_size_the_model_takes(half: str) -> None:
    digits = load_digits("training" if half == "training" else "validation")
    assert digits.images.shape == (len(digits.labels), 3, SIDE, SIDE)
    assert digits.images.dtype == np.uint8
    assert digits.labels.dtype == np.int64
    assert set(digits.labels.tolist()) == set(range(CLASSES))
    assert (digits.images[:, 0] == digits.images[:, 2]).all()
    assert digits.images.max() == 240
    blocks = digits.images[:, 0].reshape(-1, 8, 4, 8, 4)
    assert (blocks == blocks[:, :, :1, :, :1]).all()
