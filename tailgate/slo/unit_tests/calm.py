"""Tests in which every alert is silent."""

from __future__ import annotations

from dataclasses import replace

from tailgate.slo.unit_tests.bench import Bench
from tailgate.slo.unit_tests.shapes import Scenario, TestFile
from tailgate.slo.unit_tests.traffic import Phase, traffic


def healthy(bench: Bench) -> TestFile:
    """All alerts, on a healthy day."""
    rates = ((20, 0.98), (40, 0.97), (80, 0.965), (60, 0.97), (20, 0.98), (5, 0.99))
    day = [Phase(80, rate=rate, in_time=in_time) for rate, in_time in rates]
    hours = [Phase(15, rate=rate, in_time=in_time) for rate, in_time in rates]
    few = [replace(phase, labelled=0.05) for phase in hours]
    dark = [replace(phase, labelled=0.0) for phase in hours]
    canary = [replace(phase, rate=phase.rate / 20) for phase in hours]
    return TestFile(
        "healthy_day",
        "Where nothing is wrong, nobody is woken and no ticket opened.",
        (
            Scenario(
                "a healthy working day of eight hours, busy at noon and quiet in the evening",
                {**bench.surroundings(480, "digits"), **traffic(bench.clock, day)},
                tuple(check for at in (5, 60, 85, 160, 240, 325, 405, 475) for check in bench.silent(at)),
            ),
            Scenario(
                "healthy hours with a canary, with a twentieth of the labels, or with none",
                {
                    **bench.surroundings(90, "digits", "few", "dark"),
                    **traffic(bench.clock, hours),
                    **traffic(bench.clock, canary, version="2"),
                    **traffic(bench.clock, few, model="few"),
                    **traffic(bench.clock, dark, model="dark"),
                },
                tuple(check for at in (5, 17, 32, 60, 77, 88) for check in bench.silent(at)),
            ),
        ),
        every_window=True,
    )


def low_traffic(bench: Bench) -> TestFile:
    """All alerts, where few requests come."""
    window_s = bench.clock.window_s
    rate = 1.2 / window_s
    unlucky = Phase(10, rate=rate, in_time=0.5, otherwise={"shed_queue_full": 0.2})
    phases = [
        Phase(120, rate=rate), unlucky, Phase(100, rate=rate),
        Phase(bench.config.labels_due / window_s, rate=rate, labelled=0.0),
        Phase(60, rate=rate), Phase(12, rate=0.0), Phase(20, rate=rate),
    ]  # fmt: skip
    canary = [Phase(sum(phase.windows for phase in phases), rate=rate / 30, accuracy=0.5)]
    windows = canary[0].windows
    times = (20, 121, 125, 129, 130, 131, 150, 180, 225, 234, windows - 90, windows - 22, windows - 5)
    return TestFile(
        "low_traffic",
        "A request a minute: what a few of them do is no evidence.",
        (
            Scenario(
                "ten unlucky minutes, a gap in labels, a gap in requests and a seldom canary at night are silent",
                {
                    **bench.surroundings(windows, "digits"),
                    **traffic(bench.clock, phases),
                    **traffic(bench.clock, canary, version="2"),
                },
                tuple(check for at in times for check in bench.silent(at)),
            ),
        ),
        every_window=True,
    )
