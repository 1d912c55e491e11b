"""The numbers under the report's figures equal their definitions, written out as plain loops."""

from __future__ import annotations

import csv
import io
import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.outcome import ANSWER_SEEN, Outcome
from tailgate.prediction.dependent import Dependent
from tailgate.prediction.history import history_of
from tailgate.report.missing import Missing
from tailgate.report.numbers import boxes, by_batch, causes, foretold, stability, times
from tailgate.report.table import Column, Table, spread
from tailgate.stopping import Stability

INF = math.inf


def times_of_passes(passes: int, samples: int, seed: int = 1, lost: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    found = 0.01 + generator.gamma(4, 0.002, (passes, samples))
    found[generator.random(found.shape) < lost] = INF
    return found


@given(
    st.integers(2, 5),
    st.integers(1, 23),
    st.integers(1, 7),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.2, 0.9]),
)
def test_time_by_place_is_mean_and_deviation_over_all_answers_at_these_places(
    passes: int, places: int, most: int, seed: int, lost: float
) -> None:
    response = times_of_passes(passes, places, seed, lost)
    found = by_batch.by_batch(response, most)
    if not np.isfinite(response).any():
        assert found == Missing("No answer was seen, so there are no times to show.")
        return
    assert isinstance(found, by_batch.ByBatch)
    assert len(found.first) <= most
    assert found.first[0] == 0
    assert found.last[-1] == places - 1
    assert (found.first[1:] == found.last[:-1] + 1).all()
    for point, (first, last) in enumerate(zip(found.first.tolist(), found.last.tolist(), strict=True)):
        values = [row[place] for row in response.tolist() for place in range(first, last + 1) if row[place] != INF]
        assert found.answers[point] == len(values)
        if values:
            assert found.mean_s[point] == pytest.approx(statistics.fmean(values))
            assert found.std_s[point] == pytest.approx(statistics.pstdev(values), abs=1e-12)
        else:
            assert math.isnan(found.mean_s[point])


def test_time_by_place_of_one_pass_is_not_shown() -> None:
    assert isinstance(by_batch.by_batch(times_of_passes(1, 9)), Missing)


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3]))
def test_a_bin_holds_its_left_edge_and_the_last_one_its_right_edge_too(
    arrivals: int, bins: int, seed: int, lost: float
) -> None:
    # Whole milliseconds, so that many lie on edges.
    response = np.round(times_of_passes(1, arrivals, seed, lost)[0] * 1000)
    found = times.times_of(response, bins, (0.5, 0.1))
    answered = [value for value in response.tolist() if value != INF]
    if len(set(answered)) < 2:
        assert isinstance(found, Missing)
        return
    assert isinstance(found, times.Times)
    assert found.unanswered == arrivals - len(answered)
    edges = found.edges_s.tolist()
    assert np.allclose(np.diff(edges), (max(answered) - min(answered)) / bins)
    so_far = 0
    for number in range(bins):
        last = number == bins - 1
        held = 0
        for value in answered:
            held += edges[number] <= value < edges[number + 1] or (last and value == edges[number + 1])
        assert found.answers[number] == held
        so_far += held
        assert found.cumulative[number] == so_far / arrivals
    for density, at in zip(found.densities, found.marks_s.tolist(), strict=True):
        assert sum(value > at for value in response.tolist()) <= density * arrivals + 1e-9


@given(st.integers(2, 30), st.integers(0, 2**32 - 1))
def test_boxes_are_quartiles_whiskers_within_one_and_a_half_of_their_distance_and_the_rest_outliers(
    passes: int, seed: int
) -> None:
    response = times_of_passes(passes, 40, seed)
    response[0, :20] += 1.0  # a stall, so that there may be an outlier
    score = (np.random.default_rng(seed).random(response.shape) < 0.8).astype(float)
    found = boxes.boxes_of(response, score, (0.2, 0.05))
    assert not isinstance(found, Missing)
    for box in found:
        exceeding = sum(value > box.threshold_s for value in response.ravel().tolist())
        assert exceeding <= box.density * response.size + 1e-9
        quality = []
        for row, right in zip(response.tolist(), score.tolist(), strict=True):
            counted = [hit for value, hit in zip(row, right, strict=True) if value <= box.threshold_s]
            quality.append(sum(counted) / len(row))
        quality.sort()

        def quantile(share: float, of: list[float] = quality) -> float:
            at = share * (len(of) - 1)
            low = math.floor(at)
            return of[low] + (at - low) * (of[min(low + 1, len(of) - 1)] - of[low])

        assert (box.passes, box.worst) == (passes, quality[0])
        q1, q3 = quantile(0.25), quantile(0.75)
        assert [box.q1, box.median, box.q3] == pytest.approx([q1, quantile(0.5), q3])
        assert box.mean == pytest.approx(statistics.fmean(quality))
        reach = 1.5 * (box.q3 - box.q1)
        within = [value for value in quality if box.q1 - reach <= value <= box.q3 + reach]
        assert box.whisker_low == min(within[0], box.q1)
        assert box.whisker_high == max(within[-1], box.q3)
        assert list(box.outliers) == [value for value in quality if value not in within]


def test_boxes_need_two_passes_and_a_threshold_that_was_reached() -> None:
    response = times_of_passes(1, 20)
    assert isinstance(boxes.boxes_of(response, np.ones_like(response)), Missing)
    lost = np.full((3, 20), INF)
    assert isinstance(boxes.boxes_of(lost, np.ones_like(lost)), Missing)


def test_rjsd_is_that_of_the_rule_fed_with_the_same_passes() -> None:
    response = times_of_passes(20, 60, lost=0.05)
    found = stability.settling_of(response)
    assert isinstance(found, stability.Settling)
    rule, expected = Stability(), []
    for number, row in enumerate(response, 1):
        value = rule.feed(row)
        if value is not None:
            expected.append((number, value))
    assert list(zip(found.passes, found.rjsd, strict=True)) == expected
    assert [at for at, _ in expected] == [12, 14, 16, 18, 20]
    assert found.every == 1
    assert found.enough == next((at for at, value in expected if value <= 0.05), None)


def test_rjsd_of_a_long_run_takes_every_kth_response_and_of_a_short_one_says_what_it_takes() -> None:
    response = times_of_passes(14, 100)
    found = stability.settling_of(response, most_times=14 * 25)
    assert isinstance(found, stability.Settling)
    assert found.every == 4
    again = stability.settling_of(response[:, ::4])
    assert isinstance(again, stability.Settling)
    assert again.rjsd == found.rjsd
    short = stability.settling_of(response[:11])
    assert isinstance(short, Missing)
    assert "takes 12 complete passes; there are 11" in short.why


def test_foretold_is_the_dependent_model_of_the_same_history_and_observed_is_a_count() -> None:
    response = times_of_passes(8, 200)
    score = np.ones_like(response)
    found = foretold.foretold_of(response, score, 0.025, None)
    assert isinstance(found, foretold.Foretold)
    model = Dependent(history_of(response, score, 0.025))
    assert list(found.quality) == [model.quantile(level) for level in foretold.LEVELS]
    observed = sorted(sum(value <= 0.025 for value in row) / len(row) for row in response.tolist())
    assert list(found.observed) == pytest.approx(observed)
    for level in foretold.LEVELS:
        at = found.observed_at(level)
        if level * 8 < 1:
            assert at is None
        else:
            assert at is not None
            below = [sum(value <= candidate for value in observed) / 8 for candidate in observed]
            assert at == next(value for value, share in zip(observed, below, strict=True) if share >= level - 1e-9)
    assert found.rare.value <= found.quality[3].value  # once in a thousand is no better than once in a hundred


def test_nothing_is_foretold_from_fewer_than_five_passes() -> None:
    response = times_of_passes(4, 50)
    found = foretold.foretold_of(response, np.ones_like(response), 0.02, None)
    assert found == Missing("From 4 complete passes no other can be foretold; it takes 5 at least.")


@given(st.lists(st.tuples(st.sampled_from(list(Outcome)), st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_every_labelled_arrival_has_exactly_one_cause(rows: list[tuple[Outcome, bool, bool]]) -> None:
    outcome = np.array([row[0] for row in rows])
    in_time, right = (np.array([row[place] for row in rows]) for place in (1, 2))
    seen = np.isin(outcome, ANSWER_SEEN)
    found = causes.causes_of(outcome, in_time, seen, right.astype(float))
    assert isinstance(found, causes.Causes)
    expected = dict.fromkeys(causes.CAUSES, 0)
    for ended, early, correct in rows:
        if ended in ANSWER_SEEN:
            expected["late" if not early else "right" if correct else "wrong"] += 1
        elif ended is Outcome.DRAINING or ended.name.startswith(("SHED", "REJECTED")):
            expected["refused"] += 1
        elif ended is Outcome.CLIENT_CANCELLED:
            expected["left"] += 1
        elif ended.name.startswith("UPSTREAM") or ended is Outcome.INTERNAL:
            expected["failed"] += 1
        else:
            expected["deadline"] += 1
    assert found.arrivals == expected
    assert sum(found.arrivals.values()) == found.labelled == len(rows)


@given(
    st.lists(
        st.tuples(
            st.text(),
            st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans(),
        )
    )
)
def test_csv_and_json_of_a_table_are_the_same(rows: list[tuple[str, int | float | bool | None]]) -> None:
    table = Table((Column("system", "System", "text"), Column("value", "Value", "number")), tuple(rows))
    told = list(csv.DictReader(io.StringIO(table.as_csv(), newline="")))
    objects = table.as_json()
    assert len(told) == len(objects)
    for line, row in zip(told, objects, strict=True):
        assert line["system"] == row["system"]
        value = row["value"]
        assert line["value"] == ("" if value is None else str(value))
        if isinstance(value, float):
            assert float(line["value"]) == value


def test_rows_are_picked_evenly_with_the_first_and_the_last() -> None:
    rows: list[tuple[int]] = [(number,) for number in range(100)]
    picked = [row[0] for row in spread(rows, 5)]
    assert picked == [0, 25, 50, 74, 99]
    assert spread(rows[:4], 5) == rows[:4]
