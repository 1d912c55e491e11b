"""What all tests of rules need: the time's scale, the alerts by name, and the bounds as they should come out."""

from __future__ import annotations

from collections.abc import Iterator

from tailgate.slo.alerts import alerts
from tailgate.slo.bounds import wilson_upper
from tailgate.slo.config import SloConfig
from tailgate.slo.rules import Alert
from tailgate.slo.spans import Spans
from tailgate.slo.unit_tests.shapes import Check
from tailgate.slo.unit_tests.traffic import Clock, Phase, level, objectives

OBJECTIVE, FLOOR = 0.95, 0.85
"""The tests' own. The rules hold none, so what is shown for these holds for those in use."""


class Bench:
    """Where tests for one configuration are made.

    Attributes:
        config: It.
        clock: Its time.
        spans: Its stretches of time.
        alerts: All there are.
    """

    def __init__(self, config: SloConfig) -> None:
        """Times follow this configuration's window and scrape interval."""
        self.config = config
        self.clock = Clock(config.window, config.scrape_interval)
        self.spans = Spans(config.window, config.scrape_interval)
        self.alerts = [rule for group in alerts(config) for rule in group.rules if isinstance(rule, Alert)]

    def find(self, name: str, severity: str, **labels: str) -> Alert:
        """The one alert with this name, severity and labels."""
        (found,) = (
            one
            for one in self.alerts
            if (one.name, one.severity) == (name, severity) and labels.items() <= dict(one.labels).items()
        )
        return found

    def n(self, rate: float, windows: float) -> float:
        """Requests in so many windows."""
        return rate * windows * self.clock.window_s

    def upper(self, phase: Phase, windows: float, z: float) -> float:
        """The recorded upper bound where all labels are known."""
        n = self.n(phase.rate, windows)
        return min(wilson_upper(phase.tca, n * phase.labelled, z), wilson_upper(phase.in_time, n, z))

    def silent(self, at: float) -> Iterator[Check]:
        """No alert at all."""
        yield from (Check(name, at) for name in dict.fromkeys(alert.name for alert in self.alerts))

    def up(self, instance: str, *phases: tuple[float, float]) -> dict[str, str]:
        """Whether a target can be scraped."""
        return {f'up{{instance="{instance}",job="{self.config.job}"}}': level(self.clock, phases)}

    def surroundings(self, windows: float, *models: str) -> dict[str, str]:
        """A target, an upstream, objectives and a detector, all well."""
        job = self.config.job
        return {
            **objectives(self.clock, windows, OBJECTIVE, FLOOR, *models),
            **self.up("a", (windows, 1.0)),
            f'tailgate_upstream_up{{instance="a",job="{job}",upstream="m1:8001"}}': level(self.clock, [(windows, 1.0)]),
            **{
                f'tailgate_detector_alarms_total{{instance="a",job="{job}",model="{model}",version="1"}}': level(
                    self.clock, [(windows, 0.0)]
                )
                for model in models
            },
            **{
                f'tailgate_model_info{{instance="a",job="{job}",model="{model}",{role}}}': level(
                    self.clock, [(windows, 1.0)]
                )
                for model in models
                for role in ('role="stable",version="1"', 'role="canary",version="2"')
            },
        }
