"""Counts over the last seconds, against counting anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tailgate.policy.recent import SLOTS, Recent

steps = st.lists(st.tuples(st.floats(0, 8), st.integers(0, 3), st.integers(0, 3)), max_size=60)


@given(steps, st.sampled_from([5.0, 10.0, 20.0]))
def test_the_sums_are_those_of_the_slots_that_are_not_older_than_the_window(
    added: list[tuple[float, int, int]], window_s: float
) -> None:
    recent = Recent(window_s)
    now_s, seen = 0.0, []
    for pause_s, first, second in added:
        now_s += pause_s
        recent.add(now_s, first, second)
        seen.append((int(now_s // (window_s / SLOTS)), first, second))
        number = seen[-1][0]
        young = [(one, other) for slot, one, other in seen if slot > number - SLOTS]
        assert recent.sums(now_s) == (sum(one for one, _ in young), sum(other for _, other in young))
    assert recent.sums(now_s + 2 * window_s) == (0, 0)
