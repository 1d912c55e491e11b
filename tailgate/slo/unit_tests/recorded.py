"""Tests of the recorded series: they give what the formulas say."""

from __future__ import annotations

from collections.abc import Iterator

from tailgate.slo.bounds import wilson_lower, wilson_upper
from tailgate.slo.promql import TICKET_Z
from tailgate.slo.unit_tests.bench import FLOOR, OBJECTIVE, Bench
from tailgate.slo.unit_tests.shapes import Scenario, TestFile, Value
from tailgate.slo.unit_tests.traffic import Phase, objectives, traffic


def recorded(bench: Bench) -> TestFile:
    """What the recording rules give."""
    return TestFile(
        "recording",
        "The recorded series give what the formulas say.",
        (_accuracy(bench), _workbook(bench), _worst(bench), _restart(bench)),
        every_window=True,
    )


def _accuracy(bench: Bench) -> Scenario:
    by_model = {
        "all": Phase(70, in_time=0.9, accuracy=0.8),
        "few": Phase(70, in_time=0.9, accuracy=0.8, labelled=0.1),
        "none": Phase(70, in_time=0.9, labelled=0.0),
        "outage": Phase(70, in_time=0.0),
    }
    series = objectives(bench.clock, 70, OBJECTIVE, FLOOR, *by_model)
    for model, phase in by_model.items():
        series |= traffic(bench.clock, [phase], model=model)
    spent = (1 - by_model["all"].tca) / (1 - OBJECTIVE)
    return Scenario(
        "time-critical accuracy and its bounds, with all labels, a tenth of them, none, and in an outage",
        series,
        values=(
            *(value for model, phase in by_model.items() for value in _values(bench, model, phase)),
            Value('model:tailgate_budget_left:ratio{model="all"}', 65, (({"model": "all"}, 1 - spent),)),
            Value('model:tailgate_fast_burn:ratio{model="all"}', 65, (({"model": "all"}, 0.75 * OBJECTIVE),)),
            Value('model:tailgate_slow_burn:ratio{model="all"}', 65, (({"model": "all"}, 0.95 * OBJECTIVE),)),
        ),
    )


def _values(bench: Bench, model: str, phase: Phase) -> Iterator[Value]:
    spans, labels, at = bench.spans, {"model": model}, 65
    known = phase.labelled > 0
    n = bench.n(phase.rate, 1)
    for span in (spans.window, spans.five, spans.hour, spans.day):
        yield Value(
            f'model:tailgate_tca:ratio_rate{span.name}{{model="{model}"}}', at, ((labels, phase.tca),) if known else ()
        )
    bounds = [wilson_upper(phase.in_time, n, TICKET_Z)]
    if known:
        bounds.append(wilson_upper(phase.tca, n * phase.labelled, TICKET_Z))
    upper, lower = (
        f'model:tailgate_tca_{b}:ratio_rate{spans.window.name}{{model="{model}"}}' for b in ("upper", "lower")
    )
    yield Value(upper, at, ((labels, min(bounds)),))
    yield Value(lower, at, ((labels, wilson_lower(phase.tca, n * phase.labelled, TICKET_Z)),) if known else ())


def _workbook(bench: Bench) -> Scenario:
    return Scenario(
        "an objective of 0.999 burns by the SRE workbook's factors, 14.4 and 6",
        objectives(bench.clock, 5, 0.999, 0.9, "strict"),
        values=(
            Value("model:tailgate_fast_burn:ratio", 4, (({"model": "strict"}, 0.9856),)),
            Value("model:tailgate_slow_burn:ratio", 4, (({"model": "strict"}, 0.994),)),
        ),
    )


def _worst(bench: Bench) -> Scenario:
    window, hour, day = bench.spans.window.name, bench.spans.hour.name, bench.spans.day.name
    good, bad = Phase(30), Phase(2, in_time=0.2)
    dip = (good, bad, Phase(20))
    digits = {"model": "digits"}
    # Looked at once a window: both bad ones, and the next, which begins a scrape early, if that is enough to be sure.
    early = bench.clock.step_s / (bench.clock.window_s + bench.clock.step_s)
    next_ = Phase(1, in_time=(1 - early) * good.in_time + early * bad.in_time)
    count = 2 + (bench.upper(next_, 1, TICKET_Z) < FLOOR)
    return Scenario(
        "the worst window and the first percentile lie inside the incident, and the share of bad windows is its length",
        {**objectives(bench.clock, 52, OBJECTIVE, FLOOR, "digits"), **traffic(bench.clock, dip)},
        values=(
            Value(f"model:tailgate_tca:worst{window}_{hour}", 50, ((digits, 0.2 * 0.99),)),
            Value(f"model:tailgate_tca:p01_{window}_{hour} < bool {FLOOR}", 50, ((digits, 1.0),)),
            Value(f"abs(model:tailgate_bad_window:ratio_{day} - {count} / 50) < bool 0.01", 50, ((digits, 1.0),)),
        ),
    )


def _restart(bench: Bench) -> Scenario:
    steady = traffic(bench.clock, [Phase(80, rate=60.0, in_time=0.5, accuracy=1.0)])
    half = traffic(bench.clock, [Phase(40, in_time=0.9, accuracy=1.0)], instance="b")
    twice = {name: f"{counts} {counts}" for name, counts in half.items()}
    hour = bench.spans.hour.name
    return Scenario(
        "a replica that restarts loses at most what it counted since it was last scraped; one that does not, nothing",
        {**steady, **twice},
        values=(
            Value(f"abs(model:tailgate_tca:ratio_rate{hour} - 0.6) < bool 0.001", 75, (({"model": "digits"}, 1.0),)),
            Value(f"abs(model:tailgate_requests:rate{hour} - 80) < bool 0.2", 75, (({"model": "digits"}, 1.0),)),
        ),
    )
