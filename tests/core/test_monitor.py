"""The monitor: what a page is shown is what was observed, and a regression is found and told once."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.monitor import Monitor
from tailgate.objective import Objective
from tailgate.observation import Observation, Verdict
from tailgate.outcome import PROXY_OUTCOMES, Outcome
from tailgate.tail import null_of_worst, wilson

START = 1.7e9 - 1.7e9 % 3600
BOUNDS_S = (0.025, 0.05, 0.1)
OBJECTIVES = {"a": Objective(0.9, 0.8, 0.05), "b": Objective(0.95, 0.9, 0.1)}
STRETCH = {
    "from_unix_s", "requests", "in_time", "labelled", "right_in_time", "tca", "lower", "upper", "lost_to_lateness",
    "lost_to_model", "in_time_share", "accuracy_in_time", "expected",
}  # fmt: skip
PARTS = {
    "deadline_s", "objective", "floor", "now", "hour", "worst", "p1", "windows", "null", "outcomes", "latency",
    "recent", "detector",
}  # fmt: skip


def monitor(**changes: Any) -> Monitor:
    return Monitor(bounds_s=BOUNDS_S, objectives=OBJECTIVES, **changes)


def request(at_s: float, outcome: Outcome = Outcome.OK, *, right: bool = True, **changes: Any) -> Observation:
    plain = Observation("id", "a", "1", START + at_s, 0.05, 0.01, outcome, predicted=3 if right else 4, label=3)
    return plain._replace(**changes)


def told(of: Monitor, one: Observation, weight: float = 1.0) -> None:
    of.observe(one)
    of.judge(one, weight)


@st.composite
def requests(draw: st.DrawFn) -> Observation:
    outcome = draw(st.sampled_from(PROXY_OUTCOMES) | st.just(Outcome.OK))
    return request(
        draw(st.floats(0, 7000)),
        outcome,
        model=draw(st.sampled_from(["a", "b", "other"])),
        version=draw(st.sampled_from(["1", "2"])),
        slice=draw(st.sampled_from(["", "rare"])),
        predicted=draw(st.integers(-1, 1)) if outcome in (Outcome.OK, Outcome.OK_LATE) else -1,
        label=draw(st.integers(-1, 1)),
        latency_s=draw(st.floats(0, 0.2)),
    )


@given(st.lists(requests(), max_size=20))
def test_a_snapshot_is_json_and_has_every_key_it_promises_whatever_was_observed(seen: list[Observation]) -> None:
    watching = monitor()
    for one in sorted(seen, key=lambda one: one.arrival_unix_s):
        watching.advance(one.arrival_unix_s)
        watching.observe(one)
        if one.label != -1:
            watching.judge(one)
    watching.advance(START + 7100)
    shown = watching.snapshot(START + 7100)
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    keys = sorted({(one.model, one.version, one.slice) for one in seen})
    assert [(series["model"], series["version"], series["slice"]) for series in shown["series"]] == keys
    for part in [*shown["series"], shown["total"]]:
        assert set(part) - {"model", "version", "slice", "past_error"} == PARTS
        assert ("past_error" in part) == ("model" in part)
        assert set(part["now"]) == set(part["hour"]) == STRETCH
        assert set(part["outcomes"]) == {outcome.label for outcome in PROXY_OUTCOMES}
        assert part["hour"]["requests"] == sum(part["outcomes"].values()) == part["latency"]["all"][-1]
        assert part["hour"]["labelled"] == part["latency"]["labelled"]
        assert sum(row[1] for row in part["recent"]) == part["hour"]["requests"]
        assert len(part["latency"]["all"]) == len(part["latency"]["right"]) == len(BOUNDS_S) + 1


@given(st.lists(requests(), max_size=20))
def test_the_total_is_the_sum_of_the_series(seen: list[Observation]) -> None:
    watching = monitor()
    for one in sorted(seen, key=lambda one: one.arrival_unix_s):
        watching.observe(one)
        if one.label != -1:
            watching.judge(one)
        watching.advance(one.arrival_unix_s)
    shown = watching.snapshot(START + 7000)
    for stretch in ("now", "hour"):
        for name in ("requests", "in_time", "labelled", "right_in_time"):
            summed = sum(series[stretch][name] for series in shown["series"])
            assert shown["total"][stretch][name] == summed
    for name in ("all", "right"):
        columns = [series["latency"][name] for series in shown["series"]] or [[0] * 4]
        assert shown["total"]["latency"][name] == [sum(column) for column in zip(*columns, strict=True)]


@given(st.lists(requests(), max_size=30))
def test_where_labels_are_known_at_once_the_hour_is_what_the_requests_themselves_say(seen: list[Observation]) -> None:
    watching = monitor()
    for one in seen:
        watching.observe(one)
        if one.label != -1:
            watching.judge(one)
    watching.advance(START + 7110)  # the last 60 windows that are final begin with the minute at 3480 s
    for series in watching.snapshot(START + 7110)["series"]:
        key = (series["model"], series["version"], series["slice"])
        mine = [one for one in seen if (one.model, one.version, one.slice) == key]
        mine = [one for one in mine if START + 3480 <= one.arrival_unix_s < START + 7080]
        labelled = [one for one in mine if one.label != -1]
        right = [one for one in labelled if one.verdict is Verdict.RIGHT]
        assert series["hour"]["requests"] == len(mine)
        assert series["hour"]["labelled"] == len(labelled)
        assert series["hour"]["right_in_time"] == sum(one.outcome is Outcome.OK for one in right)
        for place, bound in enumerate(BOUNDS_S):
            assert series["latency"]["all"][place] == sum(one.latency_s <= bound for one in mine)
            assert series["latency"]["right"][place] == sum(one.latency_s <= bound for one in right)


def test_before_anything_is_observed_nothing_is_known() -> None:
    shown = monitor().snapshot(START)
    assert shown["series"] == []
    total = shown["total"]
    assert total["now"]["tca"] is total["hour"]["tca"] is total["p1"] is total["worst"]["tca"] is None
    assert total["now"]["lost_to_model"] is total["now"]["lost_to_lateness"] is None
    assert total["null"] == {"worst_median": None, "worst_p05": None}


def test_a_series_can_be_opened_before_its_first_request() -> None:
    watching = monitor()
    watching.open("a", "1", "rare")
    watching.advance(START)
    (series,) = watching.snapshot(START)["series"]
    assert (series["model"], series["version"], series["slice"], series["objective"]) == ("a", "1", "rare", 0.9)
    assert series["now"]["requests"] == 0


def test_now_shows_the_quality_of_the_last_minute_with_its_interval() -> None:
    watching = monitor()
    for place in range(100):
        told(watching, request(place * 0.5, right=place % 10 != 0))
    now = watching.snapshot(START + 50)["series"][0]["now"]
    assert (now["requests"], now["labelled"], now["tca"]) == (100, 100, 0.9)
    assert (now["lower"], now["upper"]) == wilson(0.9, 100)
    assert (now["lost_to_model"], now["lost_to_lateness"]) == (10, 0)
    assert watching.snapshot(START + 130)["series"][0]["now"]["tca"] is None


def test_labels_that_come_a_while_after_their_requests_do_not_make_quality_look_worse() -> None:
    watching = monitor(wait_s=120.0)
    ended = [request(second, right=second % 10 != 0) for second in range(60)]
    for one in ended:
        watching.observe(one)
    assert watching.snapshot(START + 59)["total"]["now"]["tca"] is None
    for one in ended[:20]:
        watching.judge(one)
    now = watching.snapshot(START + 59)["total"]["now"]
    assert (now["requests"], now["labelled"]) == (60, 20)
    assert now["tca"] == pytest.approx(0.9)


def test_what_is_refused_counts_against_quality_also_where_nothing_is_labelled() -> None:
    watching = monitor()
    for second in range(60):
        watching.observe(request(second, Outcome.SHED_QUEUE_FULL, predicted=-1, label=-1))
    now = watching.snapshot(START + 59)["total"]["now"]
    assert (now["tca"], now["in_time_share"], now["accuracy_in_time"]) == (0.0, 0.0, None)
    assert now["upper"] < 0.1


def test_what_lateness_cost_is_unknown_where_deadlines_cut_answers_off_and_known_where_they_are_observed() -> None:
    enforcing, observing = monitor(), monitor()
    told(enforcing, request(0, Outcome.DEADLINE_IN_FLIGHT, predicted=-1))
    told(observing, request(0, Outcome.OK_LATE))
    told(observing, request(1, Outcome.OK_LATE, right=False))
    assert enforcing.snapshot(START)["total"]["now"]["lost_to_lateness"] is None
    assert observing.snapshot(START + 1)["total"]["now"]["lost_to_lateness"] == 1


def test_the_worst_window_is_shown_beside_what_chance_alone_would_make_of_it() -> None:
    watching, generator = monitor(), random.Random(4)
    labelled = []
    for minute in range(30):
        watching.advance(START + minute * 60)
        count = generator.randrange(80, 120)
        labelled.append(count)
        for place in range(count):
            told(
                watching, request(minute * 60 + place * 0.5, right=generator.random() < (0.5 if minute == 7 else 0.95))
            )
    for second in range(3):
        watching.advance(START + 1810 + second)
    shown = watching.snapshot(START + 1813)["series"][0]
    assert shown["windows"] == 30
    assert shown["worst"]["from_unix_s"] == START + 7 * 60
    assert shown["worst"]["labelled"] == labelled[7]
    assert shown["p1"] == shown["worst"]["tca"] < 0.65
    assert shown["worst"]["upper"] == wilson(shown["worst"]["tca"], labelled[7]).upper
    median, p05 = null_of_worst(labelled, shown["hour"]["tca"], [0.5, 0.05])
    assert shown["null"] == {"worst_median": median, "worst_p05": p05}
    assert shown["worst"]["tca"] < p05  # this one was no chance


def test_the_null_of_one_series_is_computed_a_call_so_that_no_call_takes_long() -> None:
    watching = monitor()
    for version in ("1", "2", "3"):
        told(watching, request(0, version=version))
    watching.advance(START + 70)
    known = []
    for second in range(5):
        shown = watching.snapshot(START + 70)
        known.append(sum(part["null"]["worst_median"] is not None for part in [*shown["series"], shown["total"]]))
        watching.advance(START + 71 + second)
    assert known == [0, 1, 2, 3, 4]


def test_only_the_last_sixty_windows_are_shown_and_only_as_many_kept_as_were_asked_for() -> None:
    watching = monitor(keep_windows=100)
    for minute in range(150):
        told(watching, request(minute * 60))
        watching.advance(START + minute * 60)
    watching.advance(START + 150 * 60 + 10)
    series = watching.snapshot(START + 150 * 60)["series"][0]
    assert series["recent"] == [[START + m * 60, 1, 1, 1, 1, 0, 0, None, None, None] for m in range(90, 150)]
    assert series["hour"]["requests"] == series["outcomes"]["ok"] == 60
    assert series["hour"]["from_unix_s"] == START + 90 * 60
    assert [brief.from_unix_s for brief in watching.windows("a", "1")] == [START + m * 60 for m in range(50, 150)]
    assert watching.windows("a", "2") == []


def test_weights_that_come_and_go_leave_no_trace_in_the_hour() -> None:
    watching = monitor()
    for minute in range(200):
        told(watching, request(minute * 60, right=minute % 3 != 0), 1 / 3 + minute)
        watching.advance(START + minute * 60)
    fresh = monitor()
    for minute in range(140, 200):
        told(fresh, request(minute * 60, right=minute % 3 != 0), 1 / 3 + minute)
        fresh.advance(START + minute * 60)
    for one in (watching, fresh):
        one.advance(START + 200 * 60 + 10)
    now = START + 200 * 60
    assert watching.snapshot(now)["total"]["hour"] == fresh.snapshot(now)["total"]["hour"]


def regression(of: Monitor, quality: Callable[[int], float], minutes: int) -> list[Any]:
    """Feed ten labelled responses a second, of which so large a share is right, evenly spread."""
    alarms: list[Any] = []
    for second in range(minutes * 60):
        for place in range(10):
            told(of, request(second + place / 10, right=place < round(10 * quality(second // 60))))
        alarms += of.advance(START + second)
    return alarms


def test_a_regression_is_found_told_once_and_shown() -> None:
    watching = monitor()
    (alarm,) = regression(watching, lambda minute: 0.6 if minute in range(5, 12) else 1.0, 14)
    assert (alarm.model, alarm.version, alarm.slice, alarm.baseline) == ("a", "1", "", 0.9)
    assert START + 5 * 60 < alarm.at_unix_s < START + 13 * 60
    assert 0.55 < alarm.mean < 0.7
    shown = watching.snapshot(START + 840)
    for part in (shown["series"][0], shown["total"]):
        assert part["detector"]["threshold"] == pytest.approx(30 * 86_400 / 30)
        (told_of,) = part["detector"]["alarms"]
        assert {name: told_of[name] for name in ("at_unix_s", "statistic", "mean", "baseline")} == {
            "at_unix_s": alarm.at_unix_s, "statistic": alarm.statistic, "mean": alarm.mean, "baseline": 0.9,
        }  # fmt: skip
        assert alarm.statistic >= part["detector"]["threshold"]
    assert watching.detectors["a", "1", ""].alarms == 1  # type: ignore[index]  # a key is such a tuple


def test_a_regression_that_lasts_is_told_again() -> None:
    watching = monitor()
    alarms = regression(watching, lambda _: 0.4, 15)
    assert len(alarms) > 1
    assert watching.snapshot(START + 900)["series"][0]["detector"]["alarms"] == [alarm._asdict() for alarm in alarms]


def test_quality_at_the_objective_sets_nothing_off_and_neither_does_silence() -> None:
    watching = monitor()
    assert regression(watching, lambda _: 0.9, 10) == []
    assert watching.advance(START + 3600) == []
    (detector,) = watching.detectors.values()
    assert detector.statistic <= 1.0


def test_a_model_without_an_objective_is_shown_and_held_to_nothing() -> None:
    watching = monitor(deadline_s={"other": 0.3}.get)
    for second in range(600):
        told(watching, request(second, right=False, model="other"))
        assert watching.advance(START + second) == []
    (series,) = watching.snapshot(START + 600)["series"]
    assert (series["objective"], series["floor"], series["deadline_s"]) == (None, None, 0.3)
    assert series["detector"]["alarms"] == []
    assert watching.detectors == {}


def test_the_total_is_held_to_an_objective_only_where_all_models_share_it() -> None:
    watching = monitor()
    told(watching, request(0))
    assert watching.snapshot(START)["total"]["objective"] == 0.9
    told(watching, request(0, model="b"))
    assert watching.snapshot(START)["total"]["objective"] is None


def test_what_comes_after_its_window_is_final_is_shown_apart_also_for_a_series_that_is_new() -> None:
    watching = monitor()
    watching.advance(START + 3600)
    told(watching, request(0))
    shown = watching.snapshot(START + 3600)
    assert shown["too_late"] == {"requests": 1, "labels": 1}
    assert shown["total"]["hour"]["requests"] == 0


@pytest.mark.parametrize("objective", [0.0, 1.0, 1.5])
def test_an_objective_that_nothing_can_be_held_to_is_refused_at_the_start(objective: float) -> None:
    with pytest.raises(ValueError, match=f"baseline is {objective}"):
        Monitor(bounds_s=BOUNDS_S, objectives={"a": Objective(objective, 0.5, 0.05)})
