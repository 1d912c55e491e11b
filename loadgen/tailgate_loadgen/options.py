"""The options of `tailgate load` as checked values. Text to values; no file is opened here but those of credentials."""

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
from tailgate_loadgen.arrival_spec import Recording, parse_arrivals
from tailgate_loadgen.calls import ClientName
from tailgate_loadgen.condition import Condition, parse_condition
from tailgate_loadgen.credentials import Credentials, read_credentials
from tailgate_loadgen.seeds import SEED_NAMES, derive_seeds
from tailgate_loadgen.sharing import Sharing, read_sharing

REQUIRED = ("target", "model", "dataset", "trace")
"""Not so declared to argparse, because `tailgate load merge` has none of them."""

DEFAULT_RATE = 100.0
PAYLOADS = ("uint8", "jpeg", "fp32")
ON_DEADLINE = ("cancel", "wait")
CALIBRATION_NAME = "calibration.json"
NO_CALIBRATION = "none"
INTERPOLATIONS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")

MIN_MAX_LAG_S = 1e-3
MAX_LAG_SHARE = 0.02
"""A generator later than this share of the deadline would take its own delay for the target's."""

MAX_REQUESTS = 100_000_000
"""More would need 2 GB for the schedule alone."""

LEAST_STABLE = 12
"""Passes: one fit after each second of them, and the sixth is the first with five to compare with."""
LEAST_TOLERANCE = 6
"""Passes: the first look at which there are at least five."""

_TARGET = re.compile(r"unix:.+|(?:\[[0-9A-Fa-f:.%]+\]|[^\[\]:/\s]+):([0-9]{1,5})")
_MIN_QUALITY = re.compile(r"([0-9]*\.?[0-9]+)@(.+)")


@dataclass(frozen=True)
class MinQuality:
    """What a run must reach: the mean over all passes of Q(θ) is at least `quality` at `threshold_s`."""

    quality: float
    threshold_s: float


@dataclass(frozen=True)
class Until:
    """What ends a run before it has made all its passes: every rule that is asked for has to be met.

    Attributes:
        stable: The distribution of times changes no more: rJSD is at most 0.05.
        tolerance: The interval of the foretold p1 is narrower than this share; None: not asked for.
    """

    stable: bool
    tolerance: float | None


@dataclass(frozen=True)
class Options:
    """Everything a run is told.

    Attributes:
        target: Address in gRPC's form.
        credentials: What goes with calls to it.
        model: Name of the model to ask.
        dataset: As typed: a kind and, after a colon, where it lies.
        trace: Folder of the outputs.
        rate: Requests a second; None only for a recording that is replayed as it was.
        arrivals: How they are spaced, as typed.
        deadline_s: Seconds from the scheduled instant.
        passes: How often every sample is sent, at most where there is an `until`.
        until: What ends it before that; None for nothing.
        seed: What seeds are derived from that are not given.
        seeds: Those of everything random, by what they are for.
        samples: Size of the subset; None for all.
        payload: Form in which an image is sent.
        on_deadline: Whether a call is cancelled at its deadline, or a late answer is waited for.
        client: What makes the calls.
        min_quality: What decides between exit status 0 and 1, if anything.
        max_lag_s: p99 of the generator's own lag above which the run is invalid.
        warmup: Requests sent before the clock starts.
        resize: Overrides what the model says; likewise `crop` and `interpolation`.
        crop: Height and width of an image as it is sent.
        interpolation: Name of PIL's filter in lower case.
        cache: Folder of prepared images.
        calibration: File with what this machine can send; None for none.
        keep_answers: Of how many requests the answer is kept.
        condition: What else goes on during the run; None for nothing said.
        sharing: Which part of it which process does.
        quiet: No progress and no table.
    """

    target: str
    credentials: Credentials
    model: str
    dataset: str
    trace: Path
    rate: float | None
    arrivals: str
    deadline_s: float
    passes: int
    until: Until | None
    seed: int
    seeds: dict[str, int]
    samples: int | None
    payload: Literal["uint8", "jpeg", "fp32"]
    on_deadline: Literal["cancel", "wait"]
    client: ClientName
    min_quality: MinQuality | None
    max_lag_s: float
    warmup: int
    resize: int | None
    crop: int | None
    interpolation: str | None
    cache: Path
    calibration: Path | None
    keep_answers: int
    condition: Condition | None
    sharing: Sharing
    quiet: bool


def read_options(namespace: argparse.Namespace) -> Options:
    """The parsed arguments as checked values.

    Raises:
        ConfigError: One of them is out of range, has no meaning, or contradicts another.
    """
    missing = [f"--{name}" for name in REQUIRED if getattr(namespace, name) is None]
    if missing:
        raise ConfigError(f"the following options are required: {', '.join(missing)}; see 'tailgate load --help'")
    deadline_s = parse_duration(namespace.deadline, "--deadline")
    if deadline_s > MAX_BUDGET_S:
        raise ConfigError(
            f"--deadline is {namespace.deadline!r}; a request may have at most {format_duration(MAX_BUDGET_S)}"
        )
    max_lag_s = max(MIN_MAX_LAG_S, MAX_LAG_SHARE * deadline_s)
    if namespace.max_lag is not None:
        max_lag_s = parse_duration(namespace.max_lag, "--max-lag")
    min_quality = None if namespace.min_quality is None else parse_min_quality(namespace.min_quality)
    if min_quality is not None:
        check_visible(min_quality, deadline_s, namespace.on_deadline)
    seed = _at_least("--seed", namespace.seed, 0)
    if not 1 <= len(namespace.model.encode()) <= MAX_NAME_LENGTH:
        raise ConfigError(f"--model is {namespace.model!r}; expected a name of 1 to {MAX_NAME_LENGTH} bytes")
    return Options(
        target=_target(namespace.target),
        credentials=read_credentials(namespace),
        model=namespace.model,
        dataset=namespace.dataset,
        trace=Path(namespace.trace),
        rate=_rate(namespace.rate, namespace.arrivals),
        arrivals=namespace.arrivals,
        deadline_s=deadline_s,
        passes=_at_least("--passes", namespace.passes, 1),
        until=_until(namespace),
        seed=seed,
        seeds=derive_seeds(seed, _given_seeds(namespace)),
        samples=_at_least("--samples", namespace.samples, 1) if namespace.samples is not None else None,
        payload=namespace.payload,
        on_deadline=namespace.on_deadline,
        client=namespace.client,
        min_quality=min_quality,
        max_lag_s=max_lag_s,
        warmup=_at_least("--warmup", namespace.warmup, 0),
        resize=_at_least("--resize", namespace.resize, 1) if namespace.resize is not None else None,
        crop=_at_least("--crop", namespace.crop, 1) if namespace.crop is not None else None,
        interpolation=namespace.interpolation,
        cache=read_cache(namespace),
        calibration=read_calibration_path(namespace),
        keep_answers=_at_least("--keep-answers", namespace.keep_answers, 0),
        condition=None if namespace.condition is None else parse_condition(namespace.condition),
        sharing=read_sharing(namespace),
        quiet=namespace.quiet,
    )


def default_cache(xdg_cache_home: str) -> Path:
    """Where prepared images lie unless told otherwise, by the XDG base directory rules."""
    base = Path(xdg_cache_home)
    return (base if base.is_absolute() else Path.home() / ".cache") / "tailgate"


def read_cache(namespace: argparse.Namespace) -> Path:
    """The folder of everything that is made once and kept."""
    return Path(namespace.cache) if namespace.cache else default_cache(os.environ.get("XDG_CACHE_HOME", ""))


def read_calibration_path(namespace: argparse.Namespace) -> Path | None:
    """The file with what this machine can send; None where none is to be used."""
    if namespace.calibration == NO_CALIBRATION:
        return None
    return Path(namespace.calibration) if namespace.calibration else read_cache(namespace) / CALIBRATION_NAME


def _rate(rate: float | None, arrivals: str) -> float | None:
    recorded = isinstance(parse_arrivals(arrivals), Recording)
    if rate is None:
        return None if recorded else DEFAULT_RATE
    if not 0 < rate < math.inf:
        raise ConfigError(f"--rate is {rate}; expected requests a second, above zero")
    return rate


def _until(namespace: argparse.Namespace) -> Until | None:
    stable, tolerance, passes = namespace.until_stable, namespace.tolerance, namespace.passes
    if not stable and tolerance is None:
        return None
    if tolerance is not None and not 0 < tolerance < 1:
        raise ConfigError(
            f"--tolerance is {tolerance}; expected a share above 0 and below 1, such as 0.01 for one percentage point"
        )
    if namespace.shard is not None:
        raise ConfigError(
            f"{'--until-stable' if stable else '--tolerance'} needs the times of the whole run, and a shard "
            "has only its own; take --procs instead"
        )
    rules = (("--until-stable", stable, LEAST_STABLE), ("--tolerance", tolerance is not None, LEAST_TOLERANCE))
    for name, asked, least in rules:
        if asked and passes < least:
            raise ConfigError(
                f"--passes is {passes}, which is the most that will be made, and {name} takes at least {least} to tell"
            )
    return Until(stable, tolerance)


def _given_seeds(namespace: argparse.Namespace) -> dict[str, int]:
    given = {name: getattr(namespace, f"seed_{name}") for name in SEED_NAMES}
    return {name: _at_least(f"--seed-{name}", seed, 0) for name, seed in given.items() if seed is not None}


def _target(text: str) -> str:
    match = _TARGET.fullmatch(text.strip())
    if match is None or not 1 <= int(match[1] or 1) <= 65535:
        raise ConfigError(f"--target is {text!r}; expected HOST:PORT, such as 127.0.0.1:9001")
    return match[0]


def parse_min_quality(text: str) -> MinQuality:
    """What `--min-quality` means.

    Raises:
        ConfigError: It has no meaning.
    """
    match = _MIN_QUALITY.fullmatch(text.strip())
    if match is None or not 0 < float(match[1]) <= 1:
        raise ConfigError(f"--min-quality is {text!r}; expected a share above 0 and a time, such as 0.95@50ms")
    return MinQuality(float(match[1]), parse_duration(match[2], "--min-quality: the time after '@'"))


def check_visible(min_quality: MinQuality, deadline_s: float, on_deadline: str) -> None:
    """Whether answers as late as that are seen at all.

    Raises:
        ConfigError: They are not.
    """
    if min_quality.threshold_s > deadline_s and on_deadline == "cancel":
        raise ConfigError(
            f"--min-quality is about {format_duration(min_quality.threshold_s)}, later than --deadline "
            f"{format_duration(deadline_s)}, after which no answer is seen; ask for a time within the deadline, or "
            "take --on-deadline wait"
        )


def _at_least(name: str, value: int, lowest: int) -> int:
    if value < lowest:
        raise ConfigError(f"{name} is {value}; expected a whole number of at least {lowest}")
    return value
