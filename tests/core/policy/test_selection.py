"""Who is used, and who gets the next call."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.policy.selection import Standing, choose, select

WELL = Standing(ready=True, ejected=False, connected=True)
DOWN = Standing(ready=False, ejected=False, connected=False)
EJECTED = Standing(ready=True, ejected=True, connected=True)

standings = st.lists(st.builds(Standing, st.booleans(), st.booleans(), st.booleans()), max_size=9)


@given(standings)
def test_somebody_is_always_used_where_there_is_anybody(all_of_them: list[Standing]) -> None:
    selection = select(all_of_them)
    assert bool(selection.members) == bool(all_of_them)
    assert len(set(selection.members)) == len(selection.members)


@given(standings)
def test_opinions_never_leave_out_more_than_half(all_of_them: list[Standing]) -> None:
    selection = select(all_of_them)
    left_out = [s for n, s in enumerate(all_of_them) if n not in selection.members and s.connected]
    assert 2 * len(left_out) <= len(all_of_them)
    trusted = sum(s.ready and not s.ejected for s in all_of_them)
    assert selection.panic == (2 * trusted < len(all_of_them))


@given(standings)
def test_nobody_without_a_connection_is_asked_while_another_in_use_has_one(all_of_them: list[Standing]) -> None:
    used = [all_of_them[number] for number in select(all_of_them).members]
    assert len({standing.connected for standing in used}) <= 1


@pytest.mark.parametrize(
    ("all_of_them", "used", "panic"),
    [
        ([WELL, WELL, WELL], (0, 1, 2), False),
        ([WELL, DOWN], (0,), False),
        ([WELL, EJECTED], (0,), False),
        ([EJECTED, EJECTED], (0, 1), True),
        ([EJECTED, EJECTED, WELL], (0, 1, 2), True),
        ([WELL, DOWN, DOWN], (0,), True),
        ([DOWN], (0,), True),
        ([DOWN, DOWN], (0, 1), True),
    ],
)
def test_by_example(all_of_them: list[Standing], used: tuple[int, ...], panic: bool) -> None:
    selection = select(all_of_them)
    assert (selection.members, selection.panic) == (used, panic)


@given(st.lists(st.integers(0, 50), min_size=2, max_size=9), st.integers(0, 2**32))
def test_of_two_drawn_the_one_with_fewer_calls_is_chosen(outstanding: list[int], seed: int) -> None:
    draws = random.Random(seed)
    given_out: list[float] = []

    def draw() -> float:
        given_out.append(draws.random())
        return given_out[-1]

    chosen = choose(outstanding, draw)
    first = int(given_out[0] * len(outstanding))
    others = [number for number in range(len(outstanding)) if number != first]
    other = others[int(given_out[1] * len(others))]
    assert chosen in (first, other)
    assert outstanding[chosen] == min(outstanding[first], outstanding[other])


def test_nobody_is_overlooked_and_the_fullest_gets_nothing() -> None:
    draw = random.Random(7).random
    assert {choose([1, 1, 1, 1], draw) for _ in range(200)} == {0, 1, 2, 3}
    assert 3 not in {choose([1, 1, 1, 2], draw) for _ in range(500)}


def test_two_choices_keep_queues_nearly_even_where_one_choice_does_not() -> None:
    """A thousand calls to a hundred servers that never finish: the longest queue is log log n off, not log n."""
    draw = random.Random(1).random
    queues, alone = [0] * 100, [0] * 100
    for _ in range(1000):
        queues[choose(queues, draw)] += 1
        alone[int(draw() * 100)] += 1
    assert max(queues) <= 13 < max(alone)
