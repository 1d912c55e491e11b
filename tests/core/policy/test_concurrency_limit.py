"""The limit (`tailgate.policy.concurrency_limit`): what it makes of upstreams whose times are known exactly."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tailgate.policy.concurrency_limit import ConcurrencyLimit
from tailgate.policy.levels import LEVELS

WORK_S, WAY_S = 0.02, 0.001


def of(time_s: Callable[[int], tuple[float, float, bool]], calls: int = 8000) -> tuple[ConcurrencyLimit, list[int]]:
    """The limit after so many calls, in turns at every number up to it, and its values in the latter half."""
    limit, visited, at_once = ConcurrencyLimit(), [], 0
    for number in range(calls):
        at_once = at_once % limit.limit + 1
        seconds, worked_s, good = time_s(at_once)
        limit.ended(at_once, seconds, good=good, worked_s=worked_s)
        if number >= calls // 2:
            visited.append(limit.limit)
    return limit, visited


def workers(count: int, *, together: bool = False, budget_s: float = 1.0) -> Callable[[int], tuple[float, float, bool]]:
    """An upstream that works on so many at once; `together`: all come at the same instant, and wait a whole round."""

    def time_s(at_once: int) -> tuple[float, float, bool]:
        over = max(at_once - count, 0)
        waits_s = -(-over // count) * WORK_S if together else over * WORK_S / count
        seconds = WORK_S + waits_s + (0.0 if over else WAY_S)
        return seconds, seconds - waits_s, seconds <= budget_s

    return time_s


@pytest.mark.parametrize("count", [count for count in LEVELS if count <= 38])
def test_it_is_found_how_many_an_upstream_works_on_at_once(count: int) -> None:
    limit, _ = of(workers(count))
    assert limit.workers == count


@pytest.mark.parametrize("count", [1, 2, 3, 4])  # beyond, a level stands for several numbers
def test_so_it_is_in_bursts_that_wait_for_whole_rounds(count: int) -> None:
    limit, _ = of(workers(count, together=True))
    assert limit.workers == count


def test_one_that_answers_more_the_more_it_gets_works_on_most_of_what_it_is_given() -> None:
    limit, _ = of(lambda at_once: (0.02 + 0.0001 * at_once, 0.02 + 0.0001 * at_once, True), calls=20_000)
    assert limit.workers >= 0.5 * limit.best >= 20


def test_one_more_bridges_the_way_of_an_answer_though_in_a_burst_it_waits_for_a_whole_round() -> None:
    limit, visited = of(workers(4, together=True))
    assert limit.best == 4
    assert sum(one > 4 for one in visited) >= 0.5 * len(visited)


def test_where_one_more_is_late_it_is_hardly_ever_given() -> None:
    _, visited = of(workers(4, together=True, budget_s=0.03))
    assert sum(one > 4 for one in visited) <= 0.2 * len(visited)


def test_where_one_more_slows_all_others_down_it_is_hardly_ever_given() -> None:
    def thrashes(at_once: int) -> tuple[float, float, bool]:
        seconds = WORK_S if at_once <= 4 else 2.0 * WORK_S * at_once / 4
        return seconds, seconds, True

    _, visited = of(thrashes)
    assert sum(one > 4 for one in visited) <= 0.2 * len(visited)


def test_a_moment_in_which_all_stands_still_says_nothing_of_how_many_are_best() -> None:
    time_s = workers(4)
    limit, _ = of(time_s)
    assert limit.best == 4
    for at_once in (4, 5, 3):  # what was under way meanwhile
        limit.ended(at_once, 0.5, good=False, worked_s=0.5)
    visited = []
    for number in range(400):  # and then less than it can do
        seconds, worked_s, good = time_s(at_once := min((1, 2, 1, 2, 3)[number % 5], limit.limit))
        limit.ended(at_once, seconds, good=good, worked_s=worked_s)
        visited.append(limit.limit)
    assert min(visited) >= 4


def test_one_that_stays_another_is_learned_anew() -> None:
    limit, _ = of(workers(16))
    assert limit.best >= 15
    at_once = 0
    for _ in range(2000):
        at_once = at_once % limit.limit + 1
        limit.ended(at_once, 5.0 * WORK_S * max(at_once / 4, 1.0), good=True, worked_s=5.0 * WORK_S)
    assert limit.best <= 5
