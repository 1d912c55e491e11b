"""The strictness of refusing: whatever the upstream does, the share of false refusals ends at the ceiling or under
it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.policy.false_refusals import LEAST_S, SHARE, STEP, TIMES, UNDER_WAY, FalseRefusals


@given(st.floats(0.02, 0.5), st.lists(st.floats(0, 1), min_size=300, max_size=600))
def test_against_any_adversary_the_share_of_false_refusals_stays_within_the_bound_of_the_theorem(
    ceiling: float, chances: list[float]
) -> None:
    # One who would be refused at strictness s was wrongly so if its chance is below s: more strictness, more mistakes.
    refusals = FalseRefusals(ceiling)
    in_time = 0
    for chance in chances:
        if refusals.strictness <= 0.0:  # nobody is refused, so nobody is tried
            refusals.spared()
            continue
        in_time += chance < refusals.strictness
        refusals.scored(in_time=chance < refusals.strictness)
    # Gibbs and Candès, proposition 4.1, over all steps: those at strictness 0 are no mistakes.
    assert in_time / len(chances) <= ceiling + (1.0 + STEP) / (STEP * len(chances))


def test_false_refusals_alone_end_all_refusing_and_right_ones_bring_it_back() -> None:
    refusals = FalseRefusals()
    for _ in range(12):
        refusals.scored(in_time=True)
    assert refusals.strictness == 0.0
    for _ in range(110):
        refusals.scored(in_time=False)
    assert refusals.strictness == pytest.approx(1.0)
    assert (refusals.tried, refusals.in_time) == (122, 12)


@given(st.integers(0, 1000))
def test_about_the_share_that_is_said_is_tried_where_many_are_refused(seed: int) -> None:
    refusals = FalseRefusals(seed=seed)
    count = 20_000
    tried = sum(refusals.tries(n * 1e-6, 0.01) for n in range(count))
    assert abs(tried - 1 - count * SHARE) < 6 * (count * SHARE) ** 0.5


@pytest.mark.parametrize("upstream_s", [0.001, 0.05, 1.0])
def test_one_is_tried_at_least_every_so_often(upstream_s: float) -> None:
    refusals = FalseRefusals(seed=1)
    last_s = 0.0
    for n in range(1, 5000):
        now_s = n * 0.01
        if refusals.tries(now_s, upstream_s):
            last_s = now_s
        assert now_s - last_s <= max(LEAST_S, TIMES * upstream_s) + 0.01


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=50, max_size=300), st.floats(0.02, 0.5))
def test_though_what_comes_of_them_is_known_only_later_no_more_are_false_than_were_under_way_besides(
    steps: list[tuple[int, bool]], ceiling: float
) -> None:
    refusals = FalseRefusals(ceiling)
    in_time = count = most = 0
    for under_way, false in steps:  # so many are tried before anything is known of the first of them
        count += max(under_way, 1)
        if refusals.strictness <= 0.0:
            for _ in range(max(under_way, 1)):
                refusals.spared()
            continue
        most = max(most, under_way)
        for _ in range(max(under_way, 1)):
            in_time += false
            refusals.scored(in_time=false)
    assert in_time <= ceiling * count + 1.0 / STEP + max(most, 1)


def test_while_some_are_under_way_no_other_is_tried_by_chance_and_one_is_when_it_is_time() -> None:
    refusals = FalseRefusals(seed=1)
    assert refusals.tries(0.0, 0.01, under_way=UNDER_WAY)
    assert not any(refusals.tries(0.05, 0.01, under_way=UNDER_WAY) for _ in range(1000))
    assert any(refusals.tries(0.05, 0.01, under_way=UNDER_WAY - 1) for _ in range(1000))
    assert refusals.tries(LEAST_S * 2, 0.01, under_way=1000)
