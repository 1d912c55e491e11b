"""How the schedule of one run is shared among processes, on one machine or on several. Text to values; pure."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass

from tailgate.errors import ConfigError

MAX_PROCS = 256
AUTO = "auto"

_SHARD = re.compile(r"([0-9]{1,4})/([0-9]{1,4})")
_RUN_ID = re.compile(r"[A-Za-z0-9_.-]{1,24}")


@dataclass(frozen=True)
class Shard:
    """The share of one process: requests `index`, `index + of`, `index + 2 of` … of the schedule."""

    index: int
    of: int


@dataclass(frozen=True)
class Sharing:
    """What a process knows of the others.

    Attributes:
        procs: Processes that this one starts and whose records it joins; 1: it sends by itself; None: as many as it
            takes, which is found out from a calibration before anything is sent.
        shard: Its share of the schedule; None for all of it.
        start_at_unix_s: When the clock starts, everywhere; None for as soon as everything is ready.
        run_id: First part of every request's id; None for a random one.
    """

    procs: int | None = 1
    shard: Shard | None = None
    start_at_unix_s: float | None = None
    run_id: str | None = None


def read_sharing(namespace: argparse.Namespace) -> Sharing:
    """The options of sharing as checked values.

    Raises:
        ConfigError: One of them is out of range or lacks another.
    """
    procs, start_at_unix_s, run_id = _procs(namespace.procs), namespace.start_at, namespace.run_id
    if start_at_unix_s is not None and not 0 < start_at_unix_s < math.inf:
        raise ConfigError(
            f"--start-at is {start_at_unix_s}; expected seconds since 1970, such as $(($(date +%s) + 30))"
        )
    if run_id is not None and not _RUN_ID.fullmatch(run_id):
        raise ConfigError(f"--run-id is {run_id!r}; expected 1 to 24 letters, digits, points, dashes and underscores")
    shard = _shard(namespace.shard)
    if shard and (start_at_unix_s is None or run_id is None):
        raise ConfigError("--shard needs --run-id and --start-at, the same ones in every shard")
    if shard and procs != 1:
        raise ConfigError(
            f"--procs is {namespace.procs}, but --shard is one process's share already; leave one of them out"
        )
    if shard and namespace.min_quality is not None:
        raise ConfigError("--min-quality is about whole passes, and a shard has none; give it to 'tailgate load merge'")
    return Sharing(procs, shard, start_at_unix_s, run_id)


def _procs(text: str) -> int | None:
    if text.strip() == AUTO:
        return None
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= MAX_PROCS:
        raise ConfigError(f"--procs is {text}; expected a number of processes from 1 to {MAX_PROCS}, or {AUTO}")
    return number


def _shard(text: str | None) -> Shard | None:
    if text is None:
        return None
    match = _SHARD.fullmatch(text.strip())
    if match is None or not int(match[1]) < int(match[2]):
        raise ConfigError(f"--shard is {text!r}; expected K/N with K from 0 to N - 1, such as 0/2 and 1/2")
    return Shard(int(match[1]), int(match[2]))
