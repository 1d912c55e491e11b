"""The shape of promtool's tests: scenarios, what is expected of alerts and values in them, files of scenarios."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tailgate.slo.rules import Alert, expand


@dataclass(frozen=True)
class Firing:
    """One alert that a test expects.

    Attributes:
        alert: Which.
        labels: That the series has.
        value: Of the expression.
    """

    alert: Alert
    labels: Mapping[str, str] = field(default_factory=dict)
    value: float = 1.0

    @property
    def all_labels(self) -> dict[str, str]:
        """As Prometheus sends them."""
        return {**self.labels, **self.alert.labels, "severity": self.alert.severity}

    def annotations(self, runbooks: str) -> dict[str, str]:
        """As Prometheus fills them in."""
        return {key: expand(text, self.labels, self.value) for key, text in self.alert.annotations(runbooks).items()}


@dataclass(frozen=True)
class Check:
    """What fires under one name at one time: nothing, or exactly these.

    Attributes:
        name: Of the alert.
        at: In windows from the start.
        firing: What is expected.
    """

    name: str
    at: float
    firing: tuple[Firing, ...] = ()


@dataclass(frozen=True)
class Value:
    """What an expression gives at one time.

    Attributes:
        expr: PromQL; compared to four digits.
        at: In windows from the start.
        samples: Labels and value of each; none: the result is empty.
    """

    expr: str
    at: float
    samples: tuple[tuple[Mapping[str, str], float], ...] = ()


@dataclass(frozen=True)
class Scenario:
    """One test.

    Attributes:
        name: What it promises.
        series: Input series.
        checks: Of alerts.
        values: Of expressions.
    """

    name: str
    series: Mapping[str, str]
    checks: tuple[Check, ...] = ()
    values: tuple[Value, ...] = ()


@dataclass(frozen=True)
class TestFile:
    """Tests that promtool runs together.

    Attributes:
        name: Of the file: that of the alert, or of what is tested.
        note: What is in it.
        scenarios: The tests.
        every_window: Evaluate once a window rather than at each scrape: for long ones, which take long.
    """

    __test__ = False  # pytest shall not collect it

    name: str
    note: str
    scenarios: tuple[Scenario, ...]
    every_window: bool = False
