"""The shapes of what Prometheus evaluates: recording rules and alerts, in groups."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_LABEL = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
PERCENT = "{{ $value | humanizePercentage }}"
"""The value of an alert as a share."""
NUMBER = '{{ printf "%.1f" $value }}'
"""The value of an alert as it is."""


@dataclass(frozen=True)
class Recording:
    """A recorded series.

    Attributes:
        record: Its name, level:metric:operations.
        expr: PromQL.
        note: Why it is as it is, for readers of the file.
    """

    record: str
    expr: str
    note: str = ""


@dataclass(frozen=True)
class Alert:
    """An alert.

    Attributes:
        name: Also the name of its runbook.
        severity: ``page`` wakes somebody, ``ticket`` waits for the morning.
        expr: PromQL.
        summary: One line.
        description: What it means, in the annotation.
        pending: How long it must hold before it fires; a PromQL duration.
        keep: How long it goes on firing after it last held.
        labels: Beside `severity`.
        note: As for `Recording`.
    """

    name: str
    severity: str
    expr: str
    summary: str
    description: str
    pending: str = ""
    keep: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    def annotations(self, runbooks: str) -> dict[str, str]:
        """What goes with a notification, as a template."""
        return {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": f"{runbooks.rstrip('/')}/{self.name}.md",
        }


def expand(template: str, labels: Mapping[str, str], value: float) -> str:
    """An annotation as Prometheus fills it in, for tests to expect.

    >>> expand("{{ $labels.model }} at {{ $value | humanizePercentage }}", {"model": "m"}, 0.5)
    'm at 50%'
    """
    text = _LABEL.sub(lambda match: labels.get(match[1], ""), template)
    return text.replace(PERCENT, f"{value * 100:.4g}%").replace(NUMBER, f"{value:.1f}")


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated together, in this order.

    Attributes:
        name: Of the group.
        interval: Between evaluations; a PromQL duration.
        rules: The rules.
        note: What the group is for.
    """

    name: str
    interval: str
    rules: tuple[Recording | Alert, ...]
    note: str
