"""Tests of the alerts on what became worse than it was."""

from __future__ import annotations

from tailgate.slo.bounds import stratified_z
from tailgate.slo.unit_tests.bench import Bench
from tailgate.slo.unit_tests.shapes import Check, Firing, Scenario, TestFile, Value
from tailgate.slo.unit_tests.traffic import Phase, level, traffic


def canary(bench: Bench) -> TestFile:
    """`TailgateCanaryWorse`."""
    name, hour = "TailgateCanaryWorse", bench.spans.hour
    stable, rare = Phase(66, rate=20.0), Phase(66, rate=2.0)
    canary, canary_rare = Phase(66, rate=2.0), Phase(66, rate=0.2, accuracy=0.6)
    slow = Phase(66, rate=0.2, in_time=0.6, labelled=0.0)

    def info(version: str, role: str, model: str = "digits", instance: str = "a") -> dict[str, str]:
        labels = f'instance="{instance}",job="tailgate",model="{model}",role="{role}",version="{version}"'
        return {f"tailgate_model_info{{{labels}}}": level(bench.clock, [(66, 1.0)])}

    def z(share: float, rate: float, other: float, other_rate: float) -> float:
        return stratified_z([(share, bench.n(rate, 1), other, bench.n(other_rate, 1))] * 60)

    tca = Firing(
        bench.find(name, "page", measure="tca"),
        {"model": "digits", "slice": "rare"},
        z(canary_rare.tca, canary_rare.rate, rare.tca, rare.rate),
    )
    in_time = Firing(
        bench.find(name, "page", measure="in_time"),
        {"model": "dark"},
        z(slow.in_time, slow.rate, 0.97, 20.0),
    )
    recorded = f"model_slice:tailgate_canary_z:{hour.name}"
    clock = bench.clock

    def fares(*phases: tuple[float, float, float]) -> list[Phase]:
        return [Phase(windows, rate=rate, in_time=in_time) for windows, rate, in_time in phases]

    return TestFile(
        name,
        "The canary is worse than stable.",
        (
            Scenario(
                "a canary that is wrong on a rare slice is found there, and a late one without labels by its lateness",
                {
                    **info("1", "stable"),
                    **info("2", "canary"),
                    **info("1", "stable", instance="b"),
                    **info("1", "stable", "dark"),
                    **info("2", "canary", "dark"),
                    **traffic(clock, [stable], slice_="common"),
                    **traffic(clock, [canary], slice_="common", version="2"),
                    **traffic(clock, [rare], slice_="rare"),
                    **traffic(clock, [canary_rare], slice_="rare", version="2"),
                    **traffic(clock, [Phase(66, labelled=0.0)], model="dark"),
                    **traffic(clock, [slow], model="dark", version="2"),
                },
                (Check(name, 65, (in_time, tca)),),
                (
                    Value(f'{recorded}{{slice="rare"}}', 65, ((dict(tca.labels), tca.value),)),
                    Value(f'{recorded}{{slice="common"}}', 65, (({"model": "digits", "slice": "common"}, 0.0),)),
                ),
            ),
            Scenario(
                "a canary that is as good is silent, also while two replicas disagree about its role",
                {
                    **info("1", "stable"),
                    **info("2", "canary"),
                    **info("2", "stable", instance="b"),
                    **traffic(clock, [Phase(30)]),
                    **traffic(clock, [Phase(30, rate=2.0)], version="2"),
                },
                (Check(name, 10), Check(name, 28)),
                (Value(f"count(model_slice_role:tailgate_requests:rate{hour.name}) > bool 0", 28, (({}, 1.0),)),),
            ),
            Scenario(
                "a canary that came just before a bad time is silent, for it fares as stable does",
                {
                    **info("1", "stable"),
                    **info("2", "canary"),
                    **traffic(clock, fares((55, 20.0, 0.97), (11, 20.0, 0.4))),
                    **traffic(clock, fares((50, 0.0, 0.97), (5, 2.0, 0.97), (11, 2.0, 0.4)), version="2"),
                },
                (Check(name, 58), Check(name, 61), Check(name, 65)),
            ),
            Scenario(
                "some wrong answers of a canary that has had twenty requests are silent",
                {
                    **info("1", "stable"),
                    **info("2", "canary"),
                    **traffic(clock, [Phase(30)]),
                    **traffic(clock, [Phase(30, rate=20 / (30 * clock.window_s), accuracy=0.5)], version="2"),
                },
                (Check(name, 15), Check(name, 30)),
            ),
        ),
    )


def regression(bench: Bench) -> TestFile:
    """`TailgateRegression`."""
    name = "TailgateRegression"
    who = {"model": "digits", "version": "1", "slice": "rare"}
    key = 'tailgate_detector_alarms_total{instance="a",job="tailgate",model="digits",slice="rare",version="1"}'
    steps = bench.clock.steps(20)
    return TestFile(
        name,
        "The proxies' detector has found a drop.",
        (
            Scenario(
                "one alarm of the detector is a ticket for a while",
                {key: f"0x{steps} 1x{2 * steps}"},
                (
                    Check(name, 19),
                    Check(name, 22, (Firing(bench.find(name, "ticket"), who, 1.0),)),
                    Check(name, 45),
                ),
            ),
            Scenario("alarms of last week are silent", {key: f"5x{steps}"}, (Check(name, 18),)),
        ),
    )
