"""Tests of the alerts on whether we still see what clients get."""

from __future__ import annotations

from tailgate.slo.unit_tests.bench import Bench
from tailgate.slo.unit_tests.shapes import Check, Firing, Scenario, TestFile
from tailgate.slo.unit_tests.traffic import Phase, notation, traffic


def labels_stale(bench: Bench) -> TestFile:
    """`TailgateLabelsStale`."""
    name, clock = "TailgateLabelsStale", bench.clock
    due_s = bench.config.labels_due
    due = due_s / clock.window_s
    before = 2 * due + 60
    late = {
        f'tailgate_label_delay_seconds_bucket{{instance="a",job="tailgate",le="{le}",model="digits"}}': notation(
            clock, [(80, rate)]
        )
        for le, rate in ((f"{due_s / 2:g}", 4.0), (f"{due_s * 4:g}", 20.0), ("+Inf", 20.0))
    }
    silent = traffic(clock, [Phase(before), Phase(due + 3, labelled=0.0)])
    return TestFile(
        name,
        "Labels no longer come, or come late.",
        (
            Scenario(
                "labels that stop while requests go on are a ticket",
                silent,
                (
                    Check(name, before),
                    Check(
                        name,
                        before + due + 2,
                        (Firing(bench.find(name, "ticket", cause="missing"), {"model": "digits"}, 0.0),),
                    ),
                ),
            ),
            Scenario(
                "a model that never had labels is silent, and so is one whose requests stop with its labels",
                {
                    **traffic(clock, [Phase(before + due, labelled=0.0)], model="dark"),
                    **traffic(clock, [Phase(before), Phase(due + 3, rate=0.0)], model="idle"),
                },
                (Check(name, before), Check(name, before + due + 2)),
            ),
            Scenario(
                "labels of which most come late are a ticket",
                {**traffic(clock, [Phase(80)]), **late},
                (
                    Check(
                        name,
                        75,
                        (
                            Firing(
                                bench.find(name, "ticket", cause="late"),
                                {"model": "digits"},
                                due_s / 2 + (due_s * 4 - due_s / 2) * (0.5 - 0.2) / 0.8,
                            ),
                        ),
                    ),
                ),
            ),
        ),
        every_window=True,
    )


def no_traffic(bench: Bench) -> TestFile:
    """`TailgateNoTraffic`."""
    name = "TailgateNoTraffic"
    return TestFile(
        name,
        "Requests no longer come.",
        (
            Scenario(
                "none in ten windows, where many came before, is a ticket",
                traffic(bench.clock, [Phase(60), Phase(15, rate=0.0), Phase(5)]),
                (
                    Check(name, 60),
                    Check(name, 72, (Firing(bench.find(name, "ticket"), {"model": "digits"}, 0.0),)),
                    Check(name, 79),
                ),
            ),
            Scenario(
                "a model that is seldom asked is silent between two requests, and so is one that never was",
                {
                    **traffic(bench.clock, [Phase(60, rate=1 / bench.clock.window_s), Phase(15, rate=0.0)]),
                    **traffic(bench.clock, [Phase(75, rate=0.0)], model="new"),
                },
                (Check(name, 60), Check(name, 72)),
            ),
        ),
        every_window=True,
    )


def target_down(bench: Bench) -> TestFile:
    """`TailgateTargetDown`."""
    name, job = "TailgateTargetDown", bench.config.job
    one, none = bench.find(name, "ticket"), bench.find(name, "page")
    return TestFile(
        name,
        "A proxy, or all of them, cannot be scraped.",
        (
            Scenario(
                "one of two is a ticket, both are a page",
                bench.up("a", (10, 1.0), (10, 0.0), (5, 1.0)) | bench.up("b", (15, 1.0), (5, 0.0), (5, 1.0)),
                (
                    Check(name, 9),
                    Check(name, 13, (Firing(one, {"instance": "a", "job": job}, 0.0),)),
                    Check(
                        name,
                        19,
                        (
                            Firing(none, {"job": job}, 0.0),
                            Firing(one, {"instance": "a", "job": job}, 0.0),
                            Firing(one, {"instance": "b", "job": job}, 0.0),
                        ),
                    ),
                    Check(name, 23),
                ),
            ),
            Scenario(
                "no target at all is a page",
                {},
                (Check(name, 10, (Firing(none, {"job": job}, 1.0),)),),
            ),
            Scenario(
                "a single missed scrape is silent",
                {f'up{{instance="a",job="{job}"}}': "1x10 0 1x20"},
                tuple(Check(name, at) for at in (2, 3, 5)),
            ),
        ),
    )
