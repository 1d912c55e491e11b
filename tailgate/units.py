"""Durations as people type them, and back."""

from __future__ import annotations

import math
import re

from tailgate.errors import ConfigError

_DURATION = re.compile(r"([0-9]*\.?[0-9]+)\s*(us|µs|ms|s|m|h)")
_UNIT_S = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str, name: str = "duration") -> float:
    """Seconds of a duration with its unit.

    Args:
        text: A number followed by us, ms, s, m or h.
        name: What the value is for, named in the error.

    Raises:
        ConfigError: No number, no unit, not above zero, or beyond all numbers.

    >>> parse_duration("50ms"), parse_duration("1.5s")
    (0.05, 1.5)
    """
    match = _DURATION.fullmatch(text.strip())
    # Divided rather than multiplied below one second, so that "50ms" is the same float as 0.05.
    seconds = 0.0
    if match is not None:
        number, unit_s = float(match[1]), _UNIT_S[match[2]]
        seconds = number / round(1 / unit_s) if unit_s < 1 else number * unit_s
    if not 0 < seconds < math.inf:
        raise ConfigError(f"{name} is {text!r}; expected a number above zero with its unit, such as 50ms or 1.5s")
    return seconds


def format_duration(seconds: float) -> str:
    """A duration in the unit in which it reads best.

    >>> format_duration(0.05), format_duration(2.0)
    ('50 ms', '2 s')
    """
    if seconds < 1e-3:
        return f"{seconds * 1e6:.4g} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.4g} ms"
    return f"{seconds:.4g} s"
