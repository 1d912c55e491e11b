"""Windows: every request and label once, in the window of its arrival; what is final stays as it is."""

from __future__ import annotations

import copy
import math
from collections import Counter
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tailgate.counts import Counts
from tailgate.observation import Observation, Verdict
from tailgate.outcome import ANSWER_SEEN, PROXY_OUTCOMES, Outcome
from tailgate.tail import wilson
from tailgate.window import BLOCKS, Window, Windows

START = 1.7e9 - 1.7e9 % 60
BOUNDS_S = (0.01, 0.05, 0.1)
WINDOW_S, WAIT_S = 60.0, 10.0


class Seen(NamedTuple):
    """A request, and the weight of its label if it has one."""

    request: Observation
    weight: float | None


WEIGHTS = st.sampled_from([None, 1.0, 5.0, 50.0])


@st.composite
def requests(draw: st.DrawFn, within_s: float = 200.0, weights: st.SearchStrategy[float | None] = WEIGHTS) -> Seen:
    outcome = draw(st.sampled_from(PROXY_OUTCOMES) | st.just(Outcome.OK))
    edges = st.integers(0, int(within_s / 6)).map(lambda index: 6.0 * index)
    weight = draw(weights)
    request = Observation(
        request_id="id",
        model="digits",
        version="1",
        arrival_unix_s=START + draw(edges | st.floats(0, within_s)),
        budget_s=0.05,
        latency_s=draw(st.floats(0, 0.2) | st.sampled_from(BOUNDS_S)),
        outcome=outcome,
        predicted=draw(st.integers(-1, 1)) if outcome in ANSWER_SEEN else -1,
        label=draw(st.integers(0, 1)) if weight is not None else -1,
    )
    return Seen(request, weight)


def fed(windows: Windows, seen: Seen) -> None:
    windows.observe(seen.request)
    if seen.weight is not None:
        windows.judge(seen.request, seen.weight)


def expected(seen: list[Seen], from_s: float, until_s: float) -> dict[str, Any]:
    """A window's figures by their definitions."""
    mine = [(r, weight) for r, weight in seen if from_s <= r.arrival_unix_s < until_s]
    labelled = [(r, weight) for r, weight in mine if weight is not None]
    right = [(r, weight) for r, weight in labelled if r.verdict is Verdict.RIGHT]
    in_time = [(r, weight) for r, weight in labelled if r.outcome is Outcome.OK]
    cut_off = any(r.outcome in (Outcome.DEADLINE_IN_FLIGHT, Outcome.DEFAULT_ANSWERED) for r, _ in labelled)
    late = [r for r, _ in right if r.outcome is not Outcome.OK]
    unanswered = [r for r, _ in labelled if r.outcome not in ANSWER_SEEN]
    return {
        "requests": len(mine),
        "in_time": sum(r.outcome is Outcome.OK for r, _ in mine),
        "labelled": len(labelled),
        "right_in_time": sum(r.outcome is Outcome.OK for r, _ in right),
        "lost_to_model": sum(r.verdict is not Verdict.RIGHT for r, _ in in_time) if labelled else None,
        "lost_to_lateness": len(late) + len(unanswered) if labelled and not cut_off else None,
        "in_time_weight": pytest.approx(sum(weight for _, weight in in_time)),
        "right_weight": pytest.approx(sum(weight for r, weight in right if r.outcome is Outcome.OK)),
        "outcomes": Counter(r.outcome for r, _ in mine),
        "latency": [sum(low < r.latency_s <= high for r, _ in mine) for low, high in between()],
        "right_latency": [sum(low < r.latency_s <= high for r, _ in right) for low, high in between()],
    }


def between() -> list[tuple[float, float]]:
    return list(zip((-1.0, *BOUNDS_S), (*BOUNDS_S, math.inf), strict=True))


def figures(window: Window) -> dict[str, Any]:
    counts, tally = window.tally.counts, window.tally
    plain = ("requests", "in_time", "labelled", "right_in_time", "in_time_weight", "right_weight")
    return {name: getattr(counts, name) for name in plain} | {
        "lost_to_model": counts.lost_to_model,
        "lost_to_lateness": counts.lost_to_lateness,
        "outcomes": +Counter(tally.outcomes),
        "latency": tally.latency,
        "right_latency": tally.right_latency,
    }


@given(st.lists(requests(), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_each_window_holds_exactly_what_arrived_in_it_in_whatever_order_that_is_told(
    seen: list[Seen], random: Any
) -> None:
    windows = Windows(BOUNDS_S, window_s=WINDOW_S, wait_s=WAIT_S)
    told = [(one, False) for one in seen] + [(one, True) for one in seen if one.weight is not None]
    random.shuffle(told)
    for one, label in told:
        if label:
            assert one.weight is not None
            windows.judge(one.request, one.weight)
        else:
            windows.observe(one.request)
    final = windows.advance(START + 1000).windows
    assert sum(window.tally.counts.requests for window in final) == len(seen)
    for window in final:
        assert figures(window) == expected(seen, window.from_unix_s, window.from_unix_s + WINDOW_S)
    assert (windows.too_late.requests, windows.too_late.labels) == (0, 0)


@given(st.lists(requests(within_s=40.0), min_size=1, max_size=20), st.sampled_from([0.7, 1.0, 7.0, 60.0]))
def test_windows_follow_each_other_without_a_gap_and_begin_at_multiples_of_their_length(
    seen: list[Seen], window_s: float
) -> None:
    windows = Windows(BOUNDS_S, window_s=window_s, wait_s=0.0, keep_windows=10_000)
    final: list[Window] = []
    for one in sorted(seen, key=lambda one: one.request.arrival_unix_s):
        final += windows.advance(one.request.arrival_unix_s).windows
        fed(windows, one)
    final += windows.advance(START + 100).windows
    assert [window.number for window in final] == list(range(final[0].number, final[0].number + len(final)))
    for window in final:
        assert window.from_unix_s == window.number * window_s
        until_s = (window.number + 1) * window_s
        assert window.tally.counts.requests == expected(seen, window.from_unix_s, until_s)["requests"]


@given(st.lists(st.tuples(requests(), st.floats(0, 100), st.floats(0, 200)), max_size=20))
def test_at_every_instant_each_request_and_label_is_in_a_final_window_in_an_open_one_or_too_late(
    told: list[tuple[Seen, float, float]],
) -> None:
    """A request is told of when it ends, its label some time after that."""
    windows = Windows(BOUNDS_S, window_s=WINDOW_S, wait_s=WAIT_S)
    events = []
    for seen, ends_s, labelled_s in told:
        ended_s = seen.request.arrival_unix_s + ends_s
        events.append((ended_s, 0, seen))
        if seen.weight is not None:
            events.append((ended_s + labelled_s, 1, seen))
    final: list[Window] = []
    copies: list[Window] = []
    late_requests = late_labels = 0
    for at_s, kind, seen in sorted(events, key=lambda event: event[:2]):
        fresh = windows.advance(at_s).windows
        final += fresh
        copies += copy.deepcopy(fresh)
        over = seen.request.arrival_unix_s // WINDOW_S * WINDOW_S + WINDOW_S + WAIT_S <= at_s
        if kind == 0:
            windows.observe(seen.request)
            late_requests += over
        else:
            assert seen.weight is not None
            windows.judge(seen.request, seen.weight)
            late_labels += over
        assert (windows.too_late.requests, windows.too_late.labels) == (late_requests, late_labels)
    final += windows.advance(START + 10_000).windows
    assert sum(window.tally.counts.requests for window in final) + late_requests == len(told)
    labels = sum(seen.weight is not None for seen, _, _ in told)
    assert sum(window.tally.counts.labelled for window in final) + late_labels == labels
    # What was final when it was handed out is still the same.
    assert final[: len(copies)] == copies


def test_a_window_is_final_when_its_end_is_as_old_as_it_waits_and_not_before(observation: Any) -> None:
    windows = Windows(BOUNDS_S, window_s=WINDOW_S, wait_s=WAIT_S)
    windows.observe(observation(0, arrival_unix_s=START))
    assert windows.advance(math.nextafter(START + 70, 0)).windows == []
    (window,) = windows.advance(START + 70).windows
    assert (window.from_unix_s, window.tally.counts.requests) == (START, 1)
    assert windows.advance(START + 70).windows == []


def test_what_arrives_as_a_window_ends_belongs_to_the_next(observation: Any) -> None:
    windows = Windows(BOUNDS_S, window_s=WINDOW_S, wait_s=WAIT_S)
    windows.observe(observation(0, arrival_unix_s=math.nextafter(START + 60, 0)))
    windows.observe(observation(1, arrival_unix_s=START + 60))
    assert [w.tally.counts.requests for w in windows.advance(START + 130).windows] == [1, 1]


@given(st.lists(requests(within_s=60.0), min_size=1, max_size=20), st.sampled_from([1, 2, 5, 10]))
def test_a_detector_is_shown_all_blocks_once_so_many_as_one_as_soon_as_their_end_is_old_enough(
    seen: list[Seen], at_once: int
) -> None:
    windows = Windows(BOUNDS_S, window_s=WINDOW_S, wait_s=WAIT_S, blocks_at_once=at_once)
    for one in seen:
        fed(windows, one)
    shown = []
    for second in range(200):
        for ripe in windows.advance(START + second).ripe:
            assert ripe.until_unix_s + WAIT_S == START + second
            shown.append(ripe.counts.requests)
    together = Counter(int((one.request.arrival_unix_s - START) // (6 * at_once)) for one in seen)
    assert shown == [together[group] for group in sorted(together)]


@given(st.lists(requests(within_s=120.0), max_size=20), st.floats(0, 150))
def test_the_running_estimate_covers_between_nine_tenths_of_a_window_and_a_whole_one(
    seen: list[Seen], at_s: float
) -> None:
    windows = Windows(BOUNDS_S, window_s=WINDOW_S, wait_s=WAIT_S)
    now = START + at_s
    for one in seen:
        if one.request.arrival_unix_s <= now:
            fed(windows, one)
    windows.advance(now)
    since_s, counts = windows.running(now)
    assert WINDOW_S - WINDOW_S / BLOCKS <= now - since_s < WINDOW_S
    assert counts.requests == sum(since_s <= one.request.arrival_unix_s <= now for one in seen)


def test_the_running_estimate_still_shows_what_is_final(observation: Any) -> None:
    windows = Windows(BOUNDS_S, window_s=WINDOW_S, wait_s=WAIT_S)
    windows.observe(observation(0, arrival_unix_s=START + 59))
    for second in range(59, 115):
        windows.advance(START + second)
        assert windows.running(START + second)[1].requests == (1 if second < 114 else 0)


def test_memory_is_bounded_however_long_it_runs_and_wherever_clocks_point(observation: Any) -> None:
    windows = Windows(BOUNDS_S, window_s=WINDOW_S, wait_s=WAIT_S)
    for second in range(2000):
        windows.observe(observation(0, arrival_unix_s=START + second))
        windows.advance(START + second)
        assert len(windows._blocks) <= 2 * BLOCKS + 3
    for second in range(0, 100_000, 6):  # a clock that is far ahead
        windows.observe(observation(0, arrival_unix_s=START + 10_000 + second))
    assert len(windows._blocks) <= 5 * BLOCKS
    assert windows.too_late.requests > 16_000


def test_after_a_gap_silent_windows_are_made_up_for_but_not_more_than_are_kept(observation: Any) -> None:
    windows = Windows(BOUNDS_S, window_s=WINDOW_S, wait_s=WAIT_S, keep_windows=100)
    windows.observe(observation(0, arrival_unix_s=START))
    assert len(windows.advance(START + 70).windows) == 1
    assert len(windows.advance(START + 70 + 50 * 60).windows) == 50
    assert len(windows.advance(START + 70 + 10_000_000 * 60).windows) == 100


def test_a_clock_that_is_set_back_begins_anew_and_counts_what_was_open_as_too_late(observation: Any) -> None:
    windows = Windows(BOUNDS_S, window_s=WINDOW_S, wait_s=WAIT_S)
    windows.advance(START + 100_000)
    windows.observe(observation(0, arrival_unix_s=START + 100_000))
    windows.judge(observation(0, arrival_unix_s=START + 100_000))
    windows.advance(START)
    assert (windows.too_late.requests, windows.too_late.labels) == (1, 1)
    windows.observe(observation(0, arrival_unix_s=START))
    assert [w.tally.counts.requests for w in windows.advance(START + 75).windows] == [0, 1]


def test_a_clock_that_is_set_back_by_seconds_changes_nothing_that_is_final(observation: Any) -> None:
    windows = Windows(BOUNDS_S, window_s=WINDOW_S, wait_s=WAIT_S)
    windows.observe(observation(0, arrival_unix_s=START))
    assert len(windows.advance(START + 70).windows) == 1
    assert windows.advance(START + 65).windows == []
    windows.observe(observation(0, arrival_unix_s=START + 59))
    assert windows.too_late.requests == 1
    assert windows.advance(START + 75).windows == []


def counts_of(seen: list[Seen]) -> Counts:
    counts = Counts()
    for request, weight in seen:
        counts.observe(request.outcome)
        if weight is not None:
            counts.judge(request.outcome, right=request.verdict is Verdict.RIGHT, weight=weight)
    return counts


@given(st.lists(requests(), max_size=10), st.lists(requests(), max_size=10))
def test_counts_of_two_stretches_add_up_to_those_of_both(one: list[Seen], other: list[Seen]) -> None:
    total = Counts.sum([counts_of(one), counts_of(other)])
    assert total == counts_of([*one, *other])  # these weights add up without rounding


@given(st.lists(requests(weights=st.just(1.0)), min_size=1, max_size=20))
def test_where_everything_is_labelled_tca_is_right_in_time_divided_by_all(seen: list[Seen]) -> None:
    counts = counts_of(seen)
    assert counts.tca == pytest.approx(counts.right_in_time / counts.requests)
    assert counts.confidence_n == len(seen)
    assert counts.tca is not None
    estimate = counts.estimate()
    assert (estimate.lower, estimate.upper) == wilson(counts.tca, len(seen))


@given(st.lists(requests(), max_size=20))
def test_tca_is_known_where_something_arrived_and_either_nothing_was_in_time_or_some_of_that_is_labelled(
    seen: list[Seen],
) -> None:
    counts = counts_of(seen)
    in_time = [one for one in seen if one.request.outcome is Outcome.OK]
    known = bool(seen) and (not in_time or any(one.weight is not None for one in in_time))
    assert (counts.tca is not None) == known
    estimate = counts.estimate()
    if counts.tca is None:
        assert (estimate.tca, estimate.lower, estimate.upper) == (None, None, None)
    else:
        assert estimate.lower is not None
        assert estimate.upper is not None
        assert 0 <= estimate.lower <= counts.tca <= estimate.upper <= 1


@given(st.lists(requests(), min_size=1, max_size=20))
def test_labels_of_different_weight_never_count_for_more_than_there_are(seen: list[Seen]) -> None:
    counts = counts_of(seen)
    assume(counts.in_time)
    assert 0 <= counts.confidence_n <= counts.labelled
    if counts.labelled:
        assert counts.confidence_n >= 1 - 1e-12


def test_weights_undo_unequal_sampling() -> None:
    """The rare slice is bad and labelled ten times as often: the naive share is off by what the weights bring back."""
    counts = Counts()
    for name, share, weight in (("common", 0.95, 50), ("rare", 0.60, 5)):
        requests_, labelled = {"common": (10_000, 200), "rare": (1_000, 200)}[name]
        for place in range(requests_):
            counts.observe(Outcome.OK)
            if place < labelled:
                counts.judge(Outcome.OK, right=place < share * labelled, weight=weight)
    assert counts.right_in_time / counts.labelled == pytest.approx((0.95 + 0.60) / 2)
    assert counts.tca == pytest.approx((10 * 0.95 + 0.60) / 11)
    assert 200 < counts.confidence_n < 300


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf])
def test_a_weight_that_cannot_be_one_is_refused_and_counts_nothing(weight: float, observation: Any) -> None:
    windows = Windows(BOUNDS_S)
    windows.observe(observation(0, arrival_unix_s=START))
    with pytest.raises(ValueError, match="weight is"):
        windows.judge(observation(0, arrival_unix_s=START), weight)
    assert windows.running(START)[1].labelled == 0


@pytest.mark.parametrize(
    "wrong", [{"window_s": 0.0}, {"window_s": math.nan}, {"wait_s": -1.0}, {"wait_s": math.nan}, {"keep_windows": 0}]
)
def test_lengths_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="window_s is"):
        Windows(BOUNDS_S, **wrong)


@pytest.mark.parametrize("blocks", [0, 3, 20, -1])
def test_blocks_that_do_not_fill_a_window_are_refused(blocks: int) -> None:
    with pytest.raises(ValueError, match="blocks_at_once is"):
        Windows(BOUNDS_S, blocks_at_once=blocks)


def test_a_request_that_hangs_is_late_in_its_window_before_it_ends_and_counted_once(observation: Any) -> None:
    windows = Windows(BOUNDS_S, wait_s=WAIT_S)
    hanging = observation(0, arrival_unix_s=START + 3.0, outcome=Outcome.OK_LATE)
    windows.fall_due(hanging.arrival_unix_s)
    (window,) = windows.advance(START + 70.0).windows
    assert (window.tally.counts.requests, window.tally.counts.tca) == (1, 0.0)
    windows.observe(hanging._replace(overdue=True))  # long after its window is final
    assert windows.too_late.requests == 0
    soon = hanging._replace(arrival_unix_s=START + 75.0)
    windows.fall_due(soon.arrival_unix_s)
    windows.observe(soon._replace(overdue=True))
    (window,) = windows.advance(START + 130.0).windows
    assert window.tally.counts.requests == window.tally.outcomes[Outcome.OK_LATE] == 1
    windows.fall_due(START + 1.0)
    assert windows.too_late.requests == 1
