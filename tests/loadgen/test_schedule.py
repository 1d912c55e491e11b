"""The schedule: arrivals, order, subset, seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.errors import ConfigError
from tailgate_loadgen.arrival_spec import Recording, parse_arrivals
from tailgate_loadgen.schedule import Schedule, kept_answers, make_schedule
from tailgate_loadgen.seeds import SEED_NAMES, derive_seeds
from tailgate_loadgen.sharing import Shard

sizes = st.integers(1, 60)
passes = st.integers(1, 5)
rates = st.floats(0.1, 1e5)
seeds = st.integers(0, 2**64)
arrivals = st.sampled_from(
    ["poisson", "constant", "gamma:0.25", "mmpp:8,100ms,1s", "ramp:0.1,3,2s", "steps:1@1s,4@100ms,0.5"]
)


def drawn(*, arrivals: str, seed: int, **asked: Any) -> Schedule:
    spacing = parse_arrivals(arrivals)
    assert not isinstance(spacing, Recording)
    return make_schedule(arrivals=spacing, seeds=derive_seeds(seed), **asked)


@given(size=sizes, count=passes, rate=rates, spacing=arrivals, seed=seeds)
def test_each_pass_is_a_permutation_and_instants_never_fall(size, count, rate, spacing, seed) -> None:  # type: ignore[no-untyped-def]  # Hypothesis gives them
    schedule = drawn(dataset_size=size, passes=count, rate=rate, arrivals=spacing, seed=seed)
    assert len(schedule) == size * count
    assert schedule.due_s.dtype == np.float64
    assert (np.diff(schedule.due_s) >= 0).all()
    assert schedule.due_s[0] >= 0
    for index in range(count):
        assert sorted(schedule.sample[schedule.pass_index == index].tolist()) == list(range(size))
    assert (np.diff(schedule.pass_index) >= 0).all()


@given(size=sizes, count=passes, seed=seeds, data=st.data())
def test_a_subset_is_the_same_in_every_pass(size, count, seed, data) -> None:  # type: ignore[no-untyped-def]  # Hypothesis gives them
    samples = data.draw(st.integers(1, size))
    schedule = drawn(dataset_size=size, passes=count, rate=10.0, arrivals="constant", seed=seed, samples=samples)
    first = sorted(schedule.sample[:samples].tolist())
    assert len(set(first)) == samples
    for index in range(count):
        assert sorted(schedule.sample[schedule.pass_index == index].tolist()) == first


def test_constant_arrivals_are_evenly_spaced_at_the_rate() -> None:
    schedule = drawn(dataset_size=5, passes=2, rate=4.0, arrivals="constant", seed=1)
    assert schedule.due_s.tolist() == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.25]


def test_poisson_gaps_are_exponential_and_independent() -> None:
    schedule = drawn(dataset_size=1000, passes=50, rate=200.0, arrivals="poisson", seed=3)
    gaps = np.diff(schedule.due_s, prepend=0.0)
    count = len(gaps)
    # An exponential's mean and standard deviation are equal; five standard errors either way.
    assert abs(gaps.mean() * 200 - 1) < 5 / count**0.5
    assert abs(gaps.std() * 200 - 1) < 5 * 2**0.5 / count**0.5
    # Largest distance from the exponential distribution function (Kolmogorov's 0.1 % point is 1.95 / √n).
    empirical = np.arange(1, count + 1) / count
    assert np.abs(empirical - (1 - np.exp(-200 * np.sort(gaps)))).max() < 1.95 / count**0.5
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 5 / count**0.5


def test_the_same_seed_gives_the_same_schedule_and_another_seed_another() -> None:
    first, again, other = (
        drawn(dataset_size=50, passes=2, rate=10.0, arrivals="poisson", seed=seed) for seed in (7, 7, 8)
    )
    assert first.sha256 == again.sha256 != other.sha256
    assert (first.due_s == again.due_s).all()
    assert (first.sample == again.sample).all()


def test_order_does_not_depend_on_rate_or_arrivals() -> None:
    slow = drawn(dataset_size=50, passes=2, rate=1.0, arrivals="constant", seed=7)
    fast = drawn(dataset_size=50, passes=2, rate=900.0, arrivals="poisson", seed=7)
    assert (slow.sample == fast.sample).all()
    assert slow.sha256 != fast.sha256


def test_seeds_derived_from_one_differ_from_each_other() -> None:
    derived = derive_seeds(0)
    assert set(derived) == {"order", "arrivals", "subset", "sampling"}
    assert len(set(derived.values())) == 4
    assert derived == derive_seeds(0) != derive_seeds(1)


def test_a_schedule_drawn_today_is_the_one_drawn_by_every_later_version() -> None:
    schedule = drawn(dataset_size=10, passes=2, rate=100.0, arrivals="poisson", seed=7, samples=5)
    assert schedule.sha256 == "64213ac5ee30034534fac55e99fb4b4cb9baff6a30693432a5e27c6d083afd77"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [({"samples": 11}, "--samples is 11, but the data set has 10"), ({"passes": 10**8}, "at most 100000000")],
)
def test_an_impossible_schedule_is_refused_in_one_sentence(changed: dict[str, int], sentence: str) -> None:
    asked = {"dataset_size": 10, "passes": 1, "rate": 1.0, "arrivals": "poisson", "seed": 0} | changed
    with pytest.raises(ConfigError, match=sentence):
        drawn(**asked)  # type: ignore[arg-type]  # a table of mixed values


@pytest.mark.parametrize("name", SEED_NAMES)
def test_a_seed_that_is_given_changes_what_is_drawn_from_it_and_nothing_else(name: str) -> None:
    asked: dict[str, Any] = {"dataset_size": 60, "passes": 2, "rate": 10.0, "samples": 40}
    spacing = parse_arrivals("poisson")
    assert not isinstance(spacing, Recording)
    before, after = (
        make_schedule(arrivals=spacing, seeds=seeds, **asked) for seeds in (derive_seeds(7), derive_seeds(7, {name: 1}))
    )
    assert ((before.due_s == after.due_s).all()) == (name != "arrivals")
    assert (set(before.sample.tolist()) == set(after.sample.tolist())) == (name != "subset")
    assert ((before.sample == after.sample).all()) == (name in {"arrivals", "sampling"})
    assert (kept_answers(before, 5) == kept_answers(after, 5)) == (name == "arrivals")
    assert (before.sha256 == after.sha256) == (name == "sampling")


@given(size=sizes, count=passes, of=st.integers(1, 9), seed=seeds)
def test_the_shares_of_all_processes_are_the_schedule_and_each_request_is_in_one(size, count, of, seed) -> None:  # type: ignore[no-untyped-def]  # Hypothesis gives them
    whole = drawn(dataset_size=size, passes=count, rate=10.0, arrivals="poisson", seed=seed)
    shares = [whole.share_of(Shard(index, of)) for index in range(of)]
    assert {(share.sha256, share.total) for share in shares} == {(whole.sha256, len(whole))}
    rows = [
        row
        for share in shares
        for row in zip(share.due_s.tolist(), share.sample.tolist(), share.pass_index.tolist(), strict=True)
    ]
    assert sorted(rows) == sorted(
        zip(whole.due_s.tolist(), whole.sample.tolist(), whole.pass_index.tolist(), strict=True)
    )
    assert whole.share_of(None) is whole


def test_answers_are_kept_of_as_many_requests_as_asked_for_and_of_no_more_than_there_are() -> None:
    schedule = drawn(dataset_size=20, passes=2, rate=10.0, arrivals="constant", seed=1)
    requests = set(zip(schedule.pass_index.tolist(), schedule.sample.tolist(), strict=True))
    assert len(kept_answers(schedule, 7)) == 7
    assert kept_answers(schedule, 7) < requests
    assert kept_answers(schedule, 1000) == requests
    assert kept_answers(schedule, 0) == frozenset()
