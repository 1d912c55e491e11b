"""Items come due in the order of their instants, each once, and what has ended is not kept for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tailgate.deadline_queue import DeadlineQueue

instants = st.lists(st.floats(0, 100), max_size=60)


@given(instants, st.lists(st.floats(0, 100), max_size=10), st.sets(st.integers(0, 59)))
def test_every_living_item_comes_due_once_in_order_and_not_before_its_instant(
    times: list[float], looks: list[float], ended: set[int]
) -> None:
    queue: DeadlineQueue[int] = DeadlineQueue(alive=lambda item: item not in ended)
    for item, at_s in enumerate(times):
        queue.add(at_s, item)
    seen: list[int] = []
    for now_s in [*sorted(looks), 101.0]:
        due = queue.due(now_s)
        assert all(times[item] <= now_s for item in due)
        assert queue.next_s is None or queue.next_s > now_s
        seen += due
    assert seen == sorted((i for i in range(len(times)) if i not in ended), key=lambda i: (times[i], i))
    assert len(queue) == 0


def test_items_that_ended_are_swept_out_long_before_their_instant() -> None:
    alive: set[int] = set()
    queue: DeadlineQueue[int] = DeadlineQueue(alive=alive.__contains__)
    for item in range(100_000):
        alive.add(item)
        queue.add(1e6 + item, item)
        if item >= 10:
            alive.discard(item - 10)
    assert len(queue) < 3000
    assert queue.due(2e6) == sorted(alive)


@given(instants, st.sets(st.integers(0, 59)))
def test_after_dropping_the_ended_ones_the_next_instant_is_the_earliest_of_a_living_item(
    times: list[float], ended: set[int]
) -> None:
    queue: DeadlineQueue[int] = DeadlineQueue(alive=lambda item: item not in ended)
    for item, at_s in enumerate(times):
        queue.add(at_s, item)
    queue.drop_ended()
    living = [at_s for item, at_s in enumerate(times) if item not in ended]
    assert queue.next_s == min(living, default=None)
    assert len(queue.due(101.0)) == len(living)
