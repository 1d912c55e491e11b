"""Sizes of stalls that were not seen: even ones stay even, uneven ones grow, and few say little."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.prediction.sizes import believed, largest_kind, law_of

SIZES = st.lists(st.floats(0.5, 500), min_size=1, max_size=40).map(np.array)
DRAWS = 300


def mean_excess(sizes: npt.NDArray[Any]) -> float:
    """How much larger than the largest a larger one is: the median of the draws' means, relative to the largest."""
    law = law_of(largest_kind(sizes), DRAWS, np.random.default_rng(1))
    return float(np.median((law.sizes * law.above).sum(axis=1))) / float(sizes.max()) - 1


def test_stalls_of_one_size_foretell_none_that_is_much_larger() -> None:
    assert mean_excess(np.full(30, 160.0)) < 0.02
    assert mean_excess(np.random.default_rng(2).normal(160, 6, 30)) < 0.05


def test_the_fewer_of_one_size_were_seen_the_larger_can_the_next_be() -> None:
    excess = [mean_excess(np.full(count, 160.0)) for count in (1, 2, 4, 16)]
    assert excess == sorted(excess, reverse=True)
    assert excess[0] > 10 * excess[2]


def test_sizes_that_vary_as_exponential_ones_do_go_on_to() -> None:
    sizes = np.random.default_rng(3).exponential(100, 400)
    law = law_of(largest_kind(sizes), DRAWS, np.random.default_rng(1))
    assert float(np.median((law.sizes * law.above).sum(axis=1))) - sizes.max() == pytest.approx(100, rel=0.25)


def test_lone_late_responses_are_no_evidence_of_how_large_stalls_are() -> None:
    generator = np.random.default_rng(4)
    stalls, alone = generator.normal(1200, 30, 5), generator.integers(3, 9, 600).astype(float)
    assert largest_kind(np.concatenate((alone, stalls))) == pytest.approx(np.sort(stalls)[::-1])


def test_sizes_of_one_law_are_one_kind() -> None:
    generator = np.random.default_rng(5)
    for sizes in (generator.exponential(100, 60), generator.normal(100, 10, 60)):
        assert len(largest_kind(sizes)) == 60


def test_what_lost_nothing_is_of_no_kind() -> None:
    assert not len(largest_kind(np.array([])))
    assert not len(largest_kind(np.array([0.0, -0.2])))
    assert largest_kind(np.array([-1.0, 5.0])).tolist() == [5]


@given(SIZES, st.integers(0, 2**31))
def test_the_order_of_stalls_makes_no_difference(sizes: npt.NDArray[Any], seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(sizes)
    assert largest_kind(shuffled) == pytest.approx(largest_kind(sizes))


@given(SIZES, st.sampled_from([0.125, 2.0, 64.0]))
def test_sizes_in_another_unit_foretell_the_same_in_that_unit(sizes: npt.NDArray[Any], unit: float) -> None:
    kind, scaled = largest_kind(sizes), largest_kind(sizes * unit)
    assert scaled == pytest.approx(kind * unit)
    law, other = (law_of(each, 20, np.random.default_rng(1)) for each in (kind, scaled))
    assert other.sizes == pytest.approx(law.sizes * unit)
    assert other.above == pytest.approx(law.above, abs=1e-9)
    assert other.within == pytest.approx(law.within, abs=1e-9)


@given(SIZES)
def test_sizes_foretold_lie_on_their_side_of_the_largest_and_their_shares_are_whole(sizes: npt.NDArray[Any]) -> None:
    law = law_of(largest_kind(sizes), 20, np.random.default_rng(1))
    assert (law.sizes[law.above > 0] > sizes.max()).all()
    assert (law.sizes[law.within > 0] <= sizes.max()).all()
    assert (law.sizes > 0).all()
    for shares in (law.above, law.within):
        assert shares.sum(axis=1) == pytest.approx(np.ones(20))


def test_few_sizes_are_smoothed_and_many_are_taken_as_they_were_seen() -> None:
    shares = [believed(count) for count in (1, 4, 30, 1000)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.5
    assert shares[-1] < 0.01
