"""What a run has to reach: text to values."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from tailgate.errors import ConfigError
from tailgate.units import format_duration, parse_duration

Statistic = Literal["mean", "worst", "p5", "p1"]

STATISTICS: Final[Mapping[Statistic, str]] = MappingProxyType(
    {
        "mean": "mean over passes",
        "worst": "worst pass",
        "p5": "5th percentile of passes",
        "p1": "1st percentile of passes",
    }
)
"""What can be required of the passes' Q(θ), and its name in sentences."""

FEWEST_PASSES: Final[Mapping[Statistic, int]] = MappingProxyType({"mean": 1, "worst": 1, "p5": 21, "p1": 101})
"""Below it a percentile is the worst pass under another name, and says less than it promises."""

_REQUIREMENT = re.compile(r"([0-9]*\.?[0-9]+)@(.+)")


@dataclass(frozen=True)
class Requirement:
    """A statistic of Q(θ) over passes has to be at least this; `at_least` None asks only how far it fell."""

    statistic: Statistic
    threshold_s: float
    at_least: float | None

    @property
    def subject(self) -> str:
        """What is required of, in words."""
        return f"{STATISTICS[self.statistic]} at {format_duration(self.threshold_s)}"


def parse_requirement(statistic: Statistic, text: str) -> Requirement:
    """A share and a threshold.

    Args:
        statistic: What is to reach the share; also the option's name.
        text: A share above 0 and at most 1, and after '@' a time.

    Raises:
        ConfigError: It is something else.

    >>> parse_requirement("worst", "0.93@50ms")
    Requirement(statistic='worst', threshold_s=0.05, at_least=0.93)
    """
    match = _REQUIREMENT.fullmatch(text.strip())
    if match is None or not 0 < float(match[1]) <= 1:
        raise ConfigError(f"--{statistic} is {text!r}; expected a share above 0 and a time, such as 0.93@50ms")
    return Requirement(statistic, parse_duration(match[2], f"--{statistic}: the time after '@'"), float(match[1]))


def check_max_drop(value: float) -> float:
    """A share by which quality may fall: 0 to 1.

    Raises:
        ConfigError: It is something else.
    """
    if not (math.isfinite(value) and 0 <= value < 1):
        raise ConfigError(f"--max-drop is {value}; expected a share from 0 to below 1, such as 0.01 for one point")
    return value
