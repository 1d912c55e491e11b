"""What is said of a metric: its name, its kind, what it means, its labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from prometheus_client.metrics_core import Metric

SERIES: Final = ("model", "version", "slice")
"""Labels of what is counted by series."""


@dataclass(frozen=True)
class Definition:
    """One metric.

    Attributes:
        name: As exported, without the suffix that its kind adds.
        kind: The Prometheus type.
        help: What exactly is measured, and its unit.
        labels: Names of its labels; the values come from configuration or from a closed set.
    """

    name: str
    kind: type[Metric]
    help: str
    labels: tuple[str, ...] = ()

    def family(self) -> Any:
        """An empty family to add samples to."""
        return self.kind(self.name, self.help, labels=self.labels)  # type: ignore[call-arg]  # base class lacks labels
