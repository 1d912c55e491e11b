"""Stalls are found as they were made, and joined where the passes contradict them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.prediction.clusters import clusters_of, intracluster_gap, overlaps
from tailgate.prediction.history import History, history_of

PASSES, SAMPLES = 4, 1000


def history_with(stalls: list[tuple[int, int]]) -> History:
    """All are right; these stretches are late."""
    times = np.full(PASSES * SAMPLES, 0.01)
    for start, length in stalls:
        times[start : start + length] = 0.2
    return history_of(times.reshape(PASSES, SAMPLES), np.ones(SAMPLES), 0.05)


@given(st.lists(st.integers(1, 80), min_size=1, max_size=8))
def test_stalls_far_from_each_other_are_found_as_they_were_made(lengths: list[int]) -> None:
    made = [(100 + 450 * number, length) for number, length in enumerate(lengths)]
    found = clusters_of(history_with(made))
    assert list(zip(found.start.tolist(), found.length.tolist(), strict=True)) == made
    assert found.longest == max(lengths)


def test_where_nothing_is_late_there_is_no_stall() -> None:
    found = clusters_of(history_with([]))
    assert (len(found), found.longest, found.telling) == (0, 0, 0)


def test_a_stall_in_which_some_are_in_time_is_one() -> None:
    generator = np.random.default_rng(4)
    late = np.zeros(PASSES * SAMPLES, bool)
    for start in (300, 1500, 2700, 3500):
        late[start : start + 100] = generator.random(100) < 0.6
        late[start] = True
    found = clusters_of(history_of(np.where(late, 0.2, 0.01).reshape(PASSES, SAMPLES), np.ones(SAMPLES), 0.05))
    assert found.start.tolist() == [300, 1500, 2700, 3500]


def test_late_responses_that_pile_up_in_some_passes_are_joined_although_they_come_singly() -> None:
    generator = np.random.default_rng(9)
    late = np.zeros((20, SAMPLES), bool)
    late[4:6] = generator.random((2, SAMPLES)) < 0.2
    late[12:14] = generator.random((2, SAMPLES)) < 0.2
    found = clusters_of(history_of(np.where(late, 0.2, 0.01), np.ones(SAMPLES), 0.05))
    assert len(found) <= 4
    assert found.longest > SAMPLES


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=12).map(np.array),
    st.integers(1, 15),
)
def test_what_a_pass_loses_by_a_stall_is_counted_for_every_beginning_of_the_pass(
    excess: npt.NDArray[Any], samples: int
) -> None:
    values, times = overlaps(excess, samples)
    padded = np.concatenate((np.zeros(samples - 1), excess, np.zeros(samples - 1)))
    expected = [float(padded[start : start + samples].sum()) for start in range(len(padded) - samples + 1)]
    found = np.repeat(values, times.astype(int))
    assert len(found) == len(expected)
    assert np.sort(found) == pytest.approx(np.sort(expected), abs=1e-9)


def test_neighbours_are_always_of_one_stall_and_equal_gaps_are_treated_alike() -> None:
    assert intracluster_gap(np.array([1] * 50)) == 1
    assert intracluster_gap(np.array([500] * 50)) == 25
    assert intracluster_gap(np.array([1] * 100 + [900, 1000, 1100])) == 50
