"""Arrivals as people type them: text in, a kind of arrivals out. Pure; no recording is opened here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tailgate.errors import ConfigError
from tailgate.units import parse_duration
from tailgate_loadgen.arrivals import Arrivals, Constant, Gamma, Mmpp, Poisson, Ramp, Steps

FORMS = (
    "constant, poisson, gamma:SHAPE, mmpp:RATIO,BURST,CALM, ramp:FROM,TO,TIME, steps:X@TIME,…,X, trace:PATH, csv:FILE"
)

MIN_FACTOR, MAX_FACTOR = 1e-3, 1e3
"""Of everything that is a multiple of the rate, or a shape: further out, nothing would be sent, or all at once."""


@dataclass(frozen=True)
class Recording:
    """Where instants to replay lie."""

    kind: Literal["trace", "csv"]
    path: Path


def parse_arrivals(text: str) -> Arrivals | Recording:
    """What `--arrivals` means.

    Raises:
        ConfigError: It has no meaning.

    >>> parse_arrivals("gamma:0.25")
    Gamma(shape=0.25)
    >>> parse_arrivals("steps:1@10s,4@500ms,1")
    Steps(factors=(1.0, 4.0, 1.0), lengths_s=(10.0, 0.5))
    """
    kind, colon, rest = text.strip().partition(":")
    words = rest.split(",")
    match kind, len(words):
        case "constant" | "poisson", 1 if not colon:
            return Constant() if kind == "constant" else Poisson()
        case "gamma", 1:
            return Gamma(_factor(text, "SHAPE", words[0]))
        case "mmpp", 3:
            return Mmpp(_factor(text, "RATIO", words[0]), _time_s(text, words[1]), _time_s(text, words[2]))
        case "ramp", 3:
            return Ramp(_factor(text, "FROM", words[0]), _factor(text, "TO", words[1]), _time_s(text, words[2]))
        case "steps", _ if colon:
            return _steps(text, words)
        case "trace" | "csv", _ if rest:
            return Recording("trace" if kind == "trace" else "csv", Path(rest).expanduser())
    raise ConfigError(f"--arrivals is {text!r}; expected {FORMS}")


def _steps(text: str, words: list[str]) -> Steps:
    *parts, last = [word.partition("@") for word in words]
    if last[1] or not all(at for _, at, _ in parts):
        raise ConfigError(
            f"--arrivals is {text!r}; every step but the last one has a time, as in steps:1@10s,4@2s,1, and the last "
            "one stays"
        )
    factors = tuple(_factor(text, "X", factor) for factor, _, _ in (*parts, last))
    return Steps(factors, tuple(_time_s(text, time) for _, _, time in parts))


def _factor(text: str, name: str, word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not MIN_FACTOR <= value <= MAX_FACTOR:
        raise ConfigError(
            f"--arrivals is {text!r}, whose {name} is {word!r}; expected a number from {MIN_FACTOR:g} to {MAX_FACTOR:g}"
        )
    return value


def _time_s(text: str, word: str) -> float:
    return parse_duration(word, f"--arrivals {text}: the time")
