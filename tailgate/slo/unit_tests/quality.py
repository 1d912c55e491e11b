"""Tests of the alerts on what clients get."""

from __future__ import annotations

import math

from tailgate.slo.bounds import wilson_upper
from tailgate.slo.promql import PAGE_Z, TICKET_Z
from tailgate.slo.unit_tests.bench import FLOOR, OBJECTIVE, Bench
from tailgate.slo.unit_tests.shapes import Check, Firing, Scenario, TestFile, Value
from tailgate.slo.unit_tests.traffic import Phase, objectives, traffic


def bad_window(bench: Bench) -> TestFile:
    """`TailgateBadWindow`."""
    bad = Phase(5, in_time=0.5)
    unlabelled = Phase(5, in_time=0.5, labelled=0.0)
    name, digits = "TailgateBadWindow", {"model": "digits"}

    def firing(severity: str, phase: Phase, z: float) -> Firing:
        n = bench.n(phase.rate, 1)
        value = wilson_upper(phase.in_time, n, z) if not phase.labelled else bench.upper(phase, 1, z)
        return Firing(bench.find(name, severity), digits, value)

    def both(phase: Phase) -> tuple[Firing, ...]:
        return firing("page", phase, PAGE_Z), firing("ticket", phase, TICKET_Z)

    def series(*phases: Phase) -> dict[str, str]:
        windows = sum(phase.windows for phase in phases)
        return objectives(bench.clock, windows, OBJECTIVE, FLOOR, "digits") | traffic(bench.clock, phases)

    slight = Phase(4, in_time=0.88, rate=2.0)
    soon = _soon(bench) if bench.spans.stretch != bench.spans.window else ()
    return TestFile(
        name,
        "A window surely under its floor.",
        (
            Scenario(
                "half of the answers late is a ticket and soon a page, and over some windows after the end",
                series(Phase(4), bad, Phase(12)),
                (
                    Check(name, 3.5),
                    Check(name, 7, both(bad)),
                    Check(name, 20),
                ),
            ),
            Scenario(
                "half of the answers wrong does the same",
                series(Phase(4), Phase(5, accuracy=0.5)),
                (Check(name, 7, both(Phase(5, accuracy=0.5))),),
            ),
            Scenario(
                "without a single label, lateness is enough",
                series(Phase(4, labelled=0.0), unlabelled),
                (Check(name, 3.5), Check(name, 7, both(unlabelled))),
            ),
            Scenario(
                "nothing arrives in time at all",
                series(Phase(4), Phase(5, in_time=0.0)),
                (Check(name, 7, both(Phase(5, in_time=0.0))),),
            ),
            Scenario(
                "a share under the floor that few requests explain is silent",
                series(Phase(4, rate=2.0), Phase(4, rate=2.0, in_time=0.8), slight),
                tuple(Check(name, at) for at in (5, 6, 7, 8, 9, 11)),
            ),
            *soon,
        ),
    )


def _soon(bench: Bench) -> tuple[Scenario, ...]:
    """A page that does not wait for a second window, where scrapes are close enough together to tell."""
    name, clock = "TailgateBadWindow", bench.clock

    def after(least_s: float) -> float:
        return math.ceil(least_s / clock.step_s - 1e-9) * clock.step_s / clock.window_s

    def firing(severity: str, at: float, *, count: int) -> Value:
        alert = f'ALERTS{{alertname="{name}",severity="{severity}",alertstate="firing"}}'
        return Value(f"count({alert})", at, (({}, count),) if count else ())

    ticket = 4 + after(clock.window_s / 3 + 2 * clock.step_s)  # a third of it bad, a window is surely under its floor
    page = ticket + after(bench.spans.stretch.seconds + clock.step_s)
    return (
        Scenario(
            "half of the answers late is a ticket first, and a page once what came after that ticket is as bad",
            {**objectives(clock, 9, OBJECTIVE, FLOOR, "digits"), **traffic(clock, [Phase(4), Phase(5, in_time=0.5)])},
            values=(
                firing("ticket", ticket, count=1),
                firing("page", ticket, count=0),
                firing("page", page, count=1),
            ),
        ),
        Scenario(
            "a sixth of a window in which nothing is in time wakes nobody, whatever comes after it",
            {
                **objectives(clock, 9, OBJECTIVE, FLOOR, "digits"),
                **traffic(clock, [Phase(4), Phase(1 / 6, in_time=0.0), Phase(5)]),
            },
            # A page that had come at any time would still fire: it goes on for six windows.
            values=(firing("page", 9, count=0),),
        ),
    )


def burn_fast(bench: Bench) -> TestFile:
    """`TailgateBudgetBurnFast`."""
    name, hour = "TailgateBudgetBurnFast", bench.spans.hour.name
    bad, unlabelled = Phase(62, in_time=0.6), Phase(62, in_time=0.6, labelled=0.0)
    firing = Firing(bench.find(name, "page", span=hour), {"model": "digits"}, bench.upper(bad, 60, TICKET_Z))
    dark = Firing(
        bench.find(name, "page", span=hour),
        {"model": "dark"},
        wilson_upper(unlabelled.in_time, bench.n(unlabelled.rate, 60), TICKET_Z),
    )
    return TestFile(
        name,
        "The budget will not last.",
        (
            Scenario(
                "an hour far under the objective is a page, with labels or without, until it has stopped",
                {
                    **objectives(bench.clock, 80, OBJECTIVE, FLOOR, "digits", "dark"),
                    **traffic(bench.clock, [bad, Phase(18)]),
                    **traffic(bench.clock, [unlabelled, Phase(18, labelled=0.0)], model="dark"),
                },
                (Check(name, 62, (dark, firing)), Check(name, 78)),
            ),
            Scenario(
                "an objective of 0.9 can burn that fast, too, and five bad minutes do not",
                {
                    **objectives(bench.clock, 70, 0.9, 0.8, "digits"),
                    **traffic(bench.clock, [Phase(60), Phase(5, in_time=0.5), Phase(5)]),
                },
                (Check(name, 65), Check(name, 69)),
            ),
        ),
        every_window=True,
    )


def burn_slow(bench: Bench) -> TestFile:
    """`TailgateBudgetBurnSlow`."""
    name = "TailgateBudgetBurnSlow"
    six, three_days = bench.spans.quarter_day.name, bench.spans.three_days.name
    much, little = Phase(372, in_time=0.88), Phase(372, in_time=0.94)

    def firing(model: str, span: str, value: float) -> Firing:
        return Firing(bench.find(name, "ticket", span=span), {"model": model}, value)

    return TestFile(
        name,
        "The budget is spent faster than it should be.",
        (
            Scenario(
                "six hours somewhat under the objective are a ticket; slightly under it, so are days",
                {
                    **objectives(bench.clock, 372, OBJECTIVE, FLOOR, "much", "little", "well"),
                    **traffic(bench.clock, [much], model="much"),
                    **traffic(bench.clock, [little], model="little"),
                    **traffic(bench.clock, [Phase(372)], model="well"),
                },
                (
                    Check(
                        name,
                        370,
                        (
                            firing("much", six, bench.upper(much, 360, TICKET_Z)),
                            firing("much", three_days, much.tca),
                            firing("little", three_days, little.tca),
                        ),
                    ),
                ),
            ),
            Scenario(
                "twenty minutes somewhat under the objective, after two good hours, are silent",
                {
                    **objectives(bench.clock, 140, OBJECTIVE, FLOOR, "digits"),
                    **traffic(bench.clock, [Phase(120, in_time=0.98), Phase(20, in_time=0.9)]),
                },
                (Check(name, 119), Check(name, 130), Check(name, 139)),
            ),
        ),
        every_window=True,
    )
