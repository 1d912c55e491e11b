"""When there are enough passes: the rules fed from records, and records put together to passes."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.outcome import Outcome
from tailgate.stopping import STABLE, Stability
from tailgate.trace.format import RECORD, Records
from tailgate_loadgen.options import Until
from tailgate_loadgen.stop_rule import EVERY, LEAST_FORETOLD, PassesInOrder, Standing, StopRule

DEADLINE_S = 0.05


def a_pass(index: int, times_s: np.ndarray, *, right: bool = True, lag_s: float = 0.0) -> Records:
    """A pass whose requests took so long; an infinite time is of one that was never answered."""
    rows = np.zeros(len(times_s), RECORD)
    answered = np.isfinite(times_s)
    in_time = np.where(times_s <= DEADLINE_S, Outcome.OK, Outcome.OK_LATE)
    rows["outcome"] = np.where(answered, in_time, Outcome.DEADLINE_IN_FLIGHT)
    rows["arrival_unix_s"] = 1e9 + index * 1e6 + np.arange(len(times_s))
    rows["latency_s"] = np.where(answered, times_s, 1.0)
    rows["lag_s"], rows["predicted"], rows["label"] = lag_s, int(right), 1
    rows["pass_index"], rows["sample"] = index, np.arange(len(times_s))
    return rows


def passes(count: int, samples: int, seed: int = 5, drift: float = 0.0) -> list[Records]:
    generator = np.random.default_rng(seed)
    return [
        a_pass(index, (0.02 + generator.gamma(4, 0.001, samples)) * (1 + drift * index), lag_s=0.01)
        for index in range(count)
    ]


def test_the_rule_says_after_every_second_pass_what_the_papers_rule_says_of_both_kinds_of_time() -> None:
    rule, total, answering = StopRule(Until(stable=True, tolerance=None), DEADLINE_S), Stability(), Stability()
    said = []
    for number, one in enumerate(passes(16, 300), start=1):
        standing = rule.feed(one)
        total.feed(one["latency_s"])
        answering.feed(one["latency_s"] - one["lag_s"].astype(np.float64))
        assert (standing is None) == bool(number % EVERY)
        if standing is not None:
            assert standing.passes == number
            assert (standing.rjsd_total, standing.rjsd_answering) == (total.rjsd, answering.rjsd)
            assert standing.enough == (total.stable and answering.stable)
            assert standing.p1 is None
            said.append(standing)
    assert [one.rjsd_total is None for one in said] == [True] * 5 + [False] * 3


def test_a_run_whose_times_keep_their_distribution_is_enough_and_one_whose_times_wander_never() -> None:
    for drift, expected in ((0.0, True), (0.2, False)):
        rule = StopRule(Until(stable=True, tolerance=None), 10.0)
        standings = [rule.feed(one) for one in passes(90, 300, drift=drift)]
        assert any(one is not None and one.enough for one in standings) is expected
    assert STABLE == 0.05


def test_a_target_that_answers_no_more_is_not_called_stable() -> None:
    rule = StopRule(Until(stable=True, tolerance=None), 10.0)
    standings = [rule.feed(one) for one in passes(10, 100)]
    standings += [rule.feed(a_pass(10 + index, np.full(100, math.inf))) for index in range(30)]
    last = standings[-1]
    assert last is not None
    assert last.rjsd_total == 0.0  # of times that are the same as before, because there are no new ones
    assert not any(one is not None and one.enough for one in standings)


def test_the_tolerance_is_asked_of_the_interval_of_p1_and_not_before_five_passes() -> None:
    # Half of the answers are wrong, so no quality, and no interval of one, is wider than a half.
    generator = np.random.default_rng(3)
    times_s = [np.where(generator.random(40) < 0.1, math.inf, 0.01) for _ in range(8)]
    rule = StopRule(Until(stable=False, tolerance=0.999), DEADLINE_S)
    standings = [one for one in (rule.feed(a_pass(index, t)) for index, t in enumerate(times_s)) if one is not None]
    assert [one.passes for one in standings] == [2, 4, 6, 8]
    assert [one.enough for one in standings] == [one.passes >= LEAST_FORETOLD for one in standings]
    for one in standings:
        assert one.p1 is not None
        assert one.p1_lower is not None
        assert one.p1_upper is not None
        assert 0 <= one.p1_lower <= one.p1 <= one.p1_upper <= 1
        assert one.rjsd_total is None
    never = StopRule(Until(stable=False, tolerance=1e-9), DEADLINE_S)
    assert not any(one is not None and one.enough for one in (never.feed(a_pass(i, t)) for i, t in enumerate(times_s)))


def test_with_both_rules_both_have_to_be_met() -> None:
    rule = StopRule(Until(stable=True, tolerance=0.999), DEADLINE_S)
    for one in passes(10, 50):
        standing = rule.feed(one)
        assert standing is None or not standing.enough  # there cannot be an rJSD yet


def test_passes_in_which_nothing_was_ever_answered_are_never_enough_for_a_distribution() -> None:
    rule = StopRule(Until(stable=True, tolerance=None), DEADLINE_S)
    for index in range(14):
        standing = rule.feed(a_pass(index, np.full(20, math.inf)))
        assert standing is None or not standing.enough


@given(order=st.randoms(use_true_random=False), samples=st.integers(1, 7), count=st.integers(1, 6), data=st.data())
def test_records_in_any_order_become_whole_passes_in_theirs(
    order: Random, samples: int, count: int, data: st.DataObject
) -> None:
    whole = np.concatenate([a_pass(index, np.full(samples, 0.01)) for index in range(count)])
    warm_up = whole[:1].copy()
    warm_up["pass_index"] = -1
    places = list(range(len(whole)))
    order.shuffle(places)
    mixed = np.concatenate([warm_up, whole[places]])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(mixed)), max_size=5)))
    together, found = PassesInOrder(samples), []
    for start, end in zip([0, *cuts], [*cuts, len(mixed)], strict=True):
        found += list(together.take(mixed[start:end]))
    assert [one["pass_index"].tolist() for one in found] == [[index] * samples for index in range(count)]
    assert all(one["sample"].tolist() == list(range(samples)) for one in found)


def test_a_pass_that_lacks_a_request_holds_back_those_after_it() -> None:
    first, second = a_pass(0, np.full(3, 0.01)), a_pass(1, np.full(3, 0.01))
    together = PassesInOrder(3)
    assert list(together.take(np.concatenate([first[:2], second]))) == []
    assert [int(one["pass_index"][0]) for one in together.take(first[2:])] == [0, 1]


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (Standing(2, None, None, None, None, None, enough=False), "after 2 passes: too few to tell"),
        (Standing(12, 0.0712, 0.083, None, None, None, enough=False), "after 12 passes: rJSD 0.071 and 0.083"),
        (Standing(6, None, None, 0.9, 0.88, 0.91, enough=True), "after 6 passes: p1 90.00% (88.00% … 91.00%)"),
    ],
)
def test_a_standing_is_said_in_few_words(standing: Standing, said: str) -> None:
    assert str(standing) == said
