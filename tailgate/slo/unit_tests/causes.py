"""Tests of the alerts on causes."""

from __future__ import annotations

from tailgate.slo.unit_tests.bench import Bench
from tailgate.slo.unit_tests.shapes import Check, Firing, Scenario, TestFile
from tailgate.slo.unit_tests.traffic import Phase, level, traffic


def upstream_down(bench: Bench) -> TestFile:
    """`TailgateUpstreamDown`."""
    name, job = "TailgateUpstreamDown", bench.config.job

    def upstream(instance: str, address: str, *phases: tuple[float, float]) -> dict[str, str]:
        key = f'tailgate_upstream_up{{instance="{instance}",job="{job}",upstream="{address}"}}'
        return {key: level(bench.clock, phases)}

    one = Firing(bench.find(name, "ticket"), {"job": job, "upstream": "m1:8001"}, 0.0)
    other = Firing(bench.find(name, "ticket"), {"job": job, "upstream": "m2:8001"}, 0.0)
    none = Firing(bench.find(name, "page"), {"job": job}, 0.0)
    return TestFile(
        name,
        "A model server, or all of them, are not ready.",
        (
            Scenario(
                "one of two is a ticket, both are a page, and what one proxy alone does not see is neither",
                {
                    **upstream("a", "m1:8001", (5, 1.0), (15, 0.0)),
                    **upstream("b", "m1:8001", (10, 1.0), (10, 0.0)),
                    **upstream("a", "m2:8001", (15, 1.0), (5, 0.0)),
                },
                (Check(name, 9), Check(name, 13, (one,)), Check(name, 19, (none, one, other))),
            ),
        ),
    )


def reload_failed(bench: Bench) -> TestFile:
    """`TailgateReloadFailed`."""
    name, job = "TailgateReloadFailed", bench.config.job

    def reloaded(instance: str, *phases: tuple[float, float]) -> dict[str, str]:
        key = f'tailgate_config_reload_success{{instance="{instance}",job="{job}"}}'
        return {key: level(bench.clock, phases)}

    one = Firing(bench.find(name, "ticket"), {"job": job, "instance": "a"}, 0.0)
    return TestFile(
        name,
        "A configuration could not be used.",
        (
            Scenario(
                "a bad file is a ticket until a good one has been read; one that is mended at once is none",
                {
                    **reloaded("a", (5, 1.0), (10, 0.0), (10, 1.0)),
                    **reloaded("b", (5, 1.0), (1, 0.0), (19, 1.0)),
                },
                (Check(name, 4), Check(name, 6), Check(name, 10, (one,)), Check(name, 20)),
            ),
        ),
    )


def shedding(bench: Bench) -> TestFile:
    """`TailgateShedding`."""
    name = "TailgateShedding"
    refused = {"shed_queue_full": 0.02, "shed_predicted_late": 0.02, "expired_in_queue": 0.01}
    shed = Phase(12, in_time=0.9, otherwise=refused)
    few = Phase(12, in_time=0.99, otherwise={"shed_queue_full": 0.005})
    return TestFile(
        name,
        "Requests are refused for want of room, or of time.",
        (
            Scenario(
                "one request in twenty refused is a ticket, one in two hundred is not",
                {
                    **traffic(bench.clock, [Phase(10), shed, Phase(15)]),
                    **traffic(bench.clock, [Phase(10), few], model="few"),
                },
                (
                    Check(name, 9),
                    Check(name, 20, (Firing(bench.find(name, "ticket"), {"model": "digits"}, 0.05),)),
                    Check(name, 36),
                ),
            ),
        ),
    )


def deadline(bench: Bench) -> TestFile:
    """`TailgateDeadlineMisconfigured`."""
    name = "TailgateDeadlineMisconfigured"
    clock = bench.clock
    late = Phase(70, in_time=0.4)
    return TestFile(
        name,
        "The median latency is above the deadline.",
        (
            Scenario(
                "most requests late for a while is a ticket, whether they were cut off, delivered or discarded",
                {
                    **traffic(clock, [late], model="cut"),
                    **traffic(clock, [Phase(70, in_time=0.4, otherwise={"ok_late": 0.6})], model="observed"),
                },
                (
                    Check(name, 10),
                    Check(
                        name,
                        30,
                        tuple(
                            Firing(bench.find(name, "ticket"), {"model": model}, 0.6) for model in ("cut", "observed")
                        ),
                    ),
                ),
            ),
            Scenario(
                "most requests refused or failed is another matter, and so are ten bad minutes",
                {
                    **traffic(
                        clock,
                        [Phase(40, in_time=0.3, otherwise={"shed_queue_full": 0.4, "upstream_error": 0.3})],
                        model="refused",
                    ),
                    **traffic(clock, [Phase(30), Phase(10, in_time=0.1)], model="spell"),
                },
                (Check(name, 30), Check(name, 39)),
            ),
        ),
        every_window=True,
    )
