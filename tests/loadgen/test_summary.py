"""The summary against a recomputation, request by request, from the definitions."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.errors import Status
from tailgate.observation import Observation, Verdict
from tailgate.outcome import Outcome
from tailgate.trace.format import Encoder, Records, decode, encode_header
from tailgate_loadgen.options import MinQuality
from tailgate_loadgen.screen import summary_table
from tailgate_loadgen.summary import Facts, summarize

DEADLINE_S = 0.05


def records_of(observations: list[Observation]) -> Records:
    return decode(encode_header({}) + Encoder().encode(observations).data, "test").records


def facts(scheduled: int, samples: int, **changed: Any) -> Facts:
    values = {
        "deadline_s": DEADLINE_S,
        "rate": 100.0,
        "samples": samples,
        "scheduled": scheduled,
        "interrupted": False,
        "max_lag_s": 1.0,
        "min_quality": None,
    }
    return Facts(**(values | changed))


@st.composite
def a_request(draw: st.DrawFn, sample: int, pass_index: int) -> Observation:
    """One request that ended in some way; answers around the deadline, and exactly at it, are frequent."""
    kind = draw(st.sampled_from(["answer", "invalid", "timeout", "down", "not sent"]))
    latency_s = draw(st.one_of(st.just(DEADLINE_S), st.floats(0.0, 0.2), st.just(math.nextafter(DEADLINE_S, 1))))
    status, predicted, outcome = Status.OK, -1, Outcome.UPSTREAM_INVALID
    if kind == "answer":
        outcome = Outcome.OK if latency_s <= DEADLINE_S else Outcome.OK_LATE
        predicted = draw(st.integers(-1, 2))
    elif kind == "timeout":
        outcome, status = Outcome.DEADLINE_IN_FLIGHT, Status.DEADLINE_EXCEEDED
    elif kind == "down":
        outcome, status = Outcome.UPSTREAM_UNAVAILABLE, Status.UNAVAILABLE
    elif kind == "not sent":
        outcome, status = Outcome.NOT_SENT, Status.DEADLINE_EXCEEDED
    return Observation(
        request_id=f"r-{pass_index}-{sample}",
        model="m",
        version="",
        arrival_unix_s=1e9 + pass_index * 10 + sample * 0.01,
        budget_s=DEADLINE_S,
        latency_s=latency_s,
        outcome=outcome,
        status=status,
        predicted=predicted,
        label=draw(st.integers(0, 2)),
        lag_s=draw(st.sampled_from([0.0, 1e-4, 2e-3])),
        pass_index=pass_index,
        sample=sample,
    )


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[list[Observation]], int]:
    samples, passes = draw(st.integers(1, 7)), draw(st.integers(1, 4))
    return [[draw(a_request(sample, index)) for sample in range(samples)] for index in range(passes)], samples


@given(run=runs(), threshold_s=st.sampled_from([0.01, DEADLINE_S, 0.1]), wanted=st.sampled_from([0.25, 0.5, 1.0]))
def test_the_summary_is_what_the_definitions_say(
    run: tuple[list[list[Observation]], int], threshold_s: float, wanted: float
) -> None:
    passes, samples = run
    every = [one for a_pass in passes for one in a_pass]
    summary = summarize(records_of(every), facts(len(every), samples, min_quality=MinQuality(wanted, threshold_s)))
    json.dumps(summary, allow_nan=False)
    right_in_time = [one for one in every if one.outcome is Outcome.OK and one.verdict is Verdict.RIGHT]
    answered = [one for one in every if one.outcome.answered]
    right = [one for one in answered if one.verdict is Verdict.RIGHT]
    assert summary["arrivals"] == len(every)
    assert summary["right_in_time"] == len(right_in_time)
    assert summary["answered"] == len(answered)
    assert summary["right"] == len(right)
    assert summary["time_critical_accuracy"] == len(right_in_time) / len(every)
    assert summary["accuracy_of_answers"] == (len(right) / len(answered) if answered else None)
    assert summary["not_sent"] == sum(one.outcome is Outcome.NOT_SENT for one in every)
    assert sum(summary["outcomes"].values()) == len(every)
    assert sum(summary["statuses"].values()) == len(every) - summary["not_sent"]
    tca = []
    for index, (a_pass, told) in enumerate(zip(passes, summary["passes"], strict=True)):
        tca.append(sum(one in right_in_time for one in a_pass) / samples)
        assert told["pass"] == index
        assert told["complete"]
        assert told["tca"] == tca[-1]
        assert told["ok"] == sum(one.outcome is Outcome.OK for one in a_pass)
        assert told["late_or_unanswered"] == samples - told["ok"]
    over = summary["over_passes"]
    assert (over["worst"], over["best"]) == (min(tca), max(tca))
    assert over["mean"] == len(right_in_time) / len(every)
    assert over["std"] == pytest.approx((sum((q - sum(tca) / len(tca)) ** 2 for q in tca) / len(tca)) ** 0.5)
    within = sum(one.verdict is Verdict.RIGHT and one.response_time_s <= threshold_s for one in every)
    assert summary["min_quality"]["reached"] == within / len(every)
    assert summary["min_quality"]["met"] == (within / len(every) >= wanted)
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99.9", 0.999)):
        ordered = sorted(one.response_time_s for one in every)
        value = ordered[math.ceil(share * len(ordered)) - 1]
        assert summary["latency_s"][name] == (value if math.isfinite(value) else None)
    assert set(summary["lag_s"]) == {"p50", "p99", "p99.9", "max"}
    assert summary["lag_s"]["max"] == np.float32(max(one.lag_s for one in every))


def steady(count: int, **changed: Any) -> list[Observation]:
    values: dict[str, Any] = {
        "model": "m",
        "version": "",
        "budget_s": DEADLINE_S,
        "latency_s": 0.01,
        "outcome": Outcome.OK,
        "predicted": 1,
        "label": 1,
        "pass_index": 0,
    }
    return [
        Observation(request_id=str(i), arrival_unix_s=1e9 + i / 100, sample=i, **(values | changed))
        for i in range(count)
    ]


@pytest.mark.parametrize(
    ("observations", "changed", "reason"),
    [
        (steady(1000), {}, None),
        (steady(990) + steady(1000, lag_s=0.05)[990:], {"max_lag_s": 0.01}, None),  # p99 is the 990th of 1,000
        (
            steady(989) + steady(1000, lag_s=0.05)[989:],
            {"max_lag_s": 0.01},
            "p99 of its lag is 50 ms, allowed are 10 ms",
        ),
        (steady(999) + steady(1000, lag_s=0.06)[999:], {}, None),
        (steady(998) + steady(1000, lag_s=0.06)[998:], {}, "2 of 1000 requests were past their deadline"),
        (
            steady(998) + steady(999, lag_s=0.06)[998:] + steady(1000, outcome=Outcome.NOT_SENT)[999:],
            {},
            "2 of 1000 requests were past their deadline before they were sent, allowed are 0.1%",
        ),
        (steady(999) + steady(1000, outcome=Outcome.NOT_SENT)[999:], {}, None),
        (steady(998) + steady(1000, outcome=Outcome.NOT_SENT)[998:], {}, "2 of 1000 requests were past their deadline"),
        (steady(400), {"interrupted": True}, "interrupted after 400 of 1000"),
        (steady(999), {}, "1 of 1000 requests are not in the trace"),
        ([], {"interrupted": True}, "interrupted after 0 of 1000"),
    ],
)
def test_a_run_is_invalid_for_a_reason_given_in_words(
    observations: list[Observation], changed: dict[str, Any], reason: str | None
) -> None:
    summary = summarize(records_of(observations), facts(1000, 1000, **changed))
    assert summary["valid"] == (reason is None)
    assert len(summary["invalid_because"]) == (reason is not None)
    if reason is not None:
        assert reason in summary["invalid_because"][0]


def test_quality_over_passes_leaves_out_a_pass_that_was_cut_short() -> None:
    first = steady(10)
    second = steady(10, pass_index=1, predicted=0)[:4]
    over = summarize(records_of(first + second), facts(20, 10, interrupted=True))
    assert [one["complete"] for one in over["passes"]] == [True, False]
    assert over["over_passes"] == {"passes": 1, "worst": 1.0, "best": 1.0, "mean": 1.0, "std": 0.0}


def test_equal_passes_have_exactly_their_quality_as_mean() -> None:
    passes = [one for i in range(3) for one in steady(19, pass_index=i) + steady(20, pass_index=i, predicted=0)[19:]]
    summary = summarize(records_of(passes), facts(60, 20, min_quality=MinQuality(0.95, DEADLINE_S)))
    assert summary["over_passes"]["mean"] == 0.95
    assert summary["min_quality"]["met"]


def test_the_achieved_rate_is_that_of_what_was_sent() -> None:
    assert summarize(records_of(steady(101)), facts(101, 101))["achieved_rate"] == pytest.approx(100)
    assert summarize(records_of(steady(1)), facts(1, 1))["achieved_rate"] is None
    every_second_sent = steady(101)[::2] + [one._replace(outcome=Outcome.NOT_SENT) for one in steady(101)[1::2]]
    half = summarize(records_of(every_second_sent), facts(101, 101))
    assert half["scheduled_rate"] == pytest.approx(100)
    assert half["achieved_rate"] == pytest.approx(50)


@pytest.mark.parametrize("count", [0, 1, 100])
def test_the_table_shows_every_summary(count: int) -> None:
    summary = summarize(records_of(steady(count)), facts(count, count))
    table = summary_table({"run": {"model": "m", "target": "t"}, **summary})
    assert table.row_count == 9
