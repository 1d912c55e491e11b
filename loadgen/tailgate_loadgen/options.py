"""The options of `tailgate load` as checked values. Text to values; nothing is opened here."""

from __future__ import annotations

import argparse
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tailgate.deadline import MAX_BUDGET_S
from tailgate.errors import ConfigError
from tailgate.protocol.names import MAX_NAME_LENGTH
from tailgate.units import format_duration, parse_duration

ARRIVALS = ("poisson", "constant")
PAYLOADS = ("uint8", "jpeg", "fp32")
ON_DEADLINE = ("cancel", "wait")
INTERPOLATIONS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")

MIN_MAX_LAG_S = 1e-3
MAX_LAG_SHARE = 0.02
"""A generator later than this share of the deadline would take its own delay for the target's."""

MAX_REQUESTS = 100_000_000
"""More would need 2 GB for the schedule alone."""

_TARGET = re.compile(r"unix:.+|(?:\[[0-9A-Fa-f:.%]+\]|[^\[\]:/\s]+):([0-9]{1,5})")
_MIN_QUALITY = re.compile(r"([0-9]*\.?[0-9]+)@(.+)")


@dataclass(frozen=True)
class MinQuality:
    """What a run must reach: the mean over all passes of Q(θ) is at least `quality` at `threshold_s`."""

    quality: float
    threshold_s: float


@dataclass(frozen=True)
class Options:
    """Everything a run is told.

    Attributes:
        target: Address in gRPC's form.
        model: Name of the model to ask.
        dataset: As typed: a kind and, after a colon, where it lies.
        trace: Folder of the outputs.
        rate: Requests a second.
        arrivals: How they are spaced.
        deadline_s: Seconds from the scheduled instant.
        passes: How often every sample is sent.
        seed: Of everything random.
        samples: Size of the subset; None for all.
        payload: Form in which an image is sent.
        on_deadline: Whether gRPC cancels at the deadline, or a late answer is waited for.
        min_quality: What decides between exit status 0 and 1, if anything.
        max_lag_s: p99 of the generator's own lag above which the run is invalid.
        warmup: Requests sent before the clock starts.
        resize: Overrides what the model says; likewise `crop` and `interpolation`.
        crop: Height and width of an image as it is sent.
        interpolation: Name of PIL's filter in lower case.
        cache: Folder of prepared images.
        quiet: No progress and no table.
    """

    target: str
    model: str
    dataset: str
    trace: Path
    rate: float
    arrivals: Literal["poisson", "constant"]
    deadline_s: float
    passes: int
    seed: int
    samples: int | None
    payload: Literal["uint8", "jpeg", "fp32"]
    on_deadline: Literal["cancel", "wait"]
    min_quality: MinQuality | None
    max_lag_s: float
    warmup: int
    resize: int | None
    crop: int | None
    interpolation: str | None
    cache: Path
    quiet: bool


def read_options(namespace: argparse.Namespace) -> Options:
    """The parsed arguments as checked values.

    Raises:
        ConfigError: One of them is out of range, has no meaning, or contradicts another.
    """
    deadline_s = parse_duration(namespace.deadline, "--deadline")
    if deadline_s > MAX_BUDGET_S:
        raise ConfigError(
            f"--deadline is {namespace.deadline!r}; a request may have at most {format_duration(MAX_BUDGET_S)}"
        )
    max_lag_s = max(MIN_MAX_LAG_S, MAX_LAG_SHARE * deadline_s)
    if namespace.max_lag is not None:
        max_lag_s = parse_duration(namespace.max_lag, "--max-lag")
    if not (math.isfinite(namespace.rate) and namespace.rate > 0):
        raise ConfigError(f"--rate is {namespace.rate}; expected requests a second, above zero")
    if not 1 <= len(namespace.model.encode()) <= MAX_NAME_LENGTH:
        raise ConfigError(f"--model is {namespace.model!r}; expected a name of 1 to {MAX_NAME_LENGTH} bytes")
    return Options(
        target=_target(namespace.target),
        model=namespace.model,
        dataset=namespace.dataset,
        trace=Path(namespace.trace),
        rate=namespace.rate,
        arrivals=namespace.arrivals,
        deadline_s=deadline_s,
        passes=_at_least("--passes", namespace.passes, 1),
        seed=_at_least("--seed", namespace.seed, 0),
        samples=_at_least("--samples", namespace.samples, 1) if namespace.samples is not None else None,
        payload=namespace.payload,
        on_deadline=namespace.on_deadline,
        min_quality=_min_quality(namespace.min_quality, deadline_s, namespace.on_deadline),
        max_lag_s=max_lag_s,
        warmup=_at_least("--warmup", namespace.warmup, 0),
        resize=_at_least("--resize", namespace.resize, 1) if namespace.resize is not None else None,
        crop=_at_least("--crop", namespace.crop, 1) if namespace.crop is not None else None,
        interpolation=namespace.interpolation,
        cache=Path(namespace.cache) if namespace.cache else default_cache(os.environ.get("XDG_CACHE_HOME", "")),
        quiet=namespace.quiet,
    )


def default_cache(xdg_cache_home: str) -> Path:
    """Where prepared images lie unless told otherwise, by the XDG base directory rules."""
    base = Path(xdg_cache_home)
    return (base if base.is_absolute() else Path.home() / ".cache") / "tailgate"


def _target(text: str) -> str:
    match = _TARGET.fullmatch(text.strip())
    if match is None or not 1 <= int(match[1] or 1) <= 65535:
        raise ConfigError(f"--target is {text!r}; expected HOST:PORT, such as 127.0.0.1:9001")
    return match[0]


def _min_quality(text: str | None, deadline_s: float, on_deadline: str) -> MinQuality | None:
    if text is None:
        return None
    match = _MIN_QUALITY.fullmatch(text.strip())
    if match is None or not 0 < float(match[1]) <= 1:
        raise ConfigError(f"--min-quality is {text!r}; expected a share above 0 and a time, such as 0.95@50ms")
    threshold_s = parse_duration(match[2], "--min-quality: the time after '@'")
    if threshold_s > deadline_s and on_deadline == "cancel":
        raise ConfigError(
            f"--min-quality is {text!r}, later than --deadline {format_duration(deadline_s)}, after which no answer is "
            "seen; ask for a time within the deadline, or take --on-deadline wait"
        )
    return MinQuality(float(match[1]), threshold_s)


def _at_least(name: str, value: int, lowest: int) -> int:
    if value < lowest:
        raise ConfigError(f"{name} is {value}; expected a whole number of at least {lowest}")
    return value
