"""The file that keeps what this machine can send, an entry for each kind of machine and software that it holds for.

A calibration is of a processor, of how many of them there are, and of the versions of what sends. What was measured
under others is left in the file, and not used.
"""

from __future__ import annotations

import json
import math
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tailgate.errors import ConfigError
from tailgate.whole_file import write_whole_file
from tailgate_loadgen.calls import DEFAULT_CLIENT, ClientName
from tailgate_loadgen.capacity import NONE_MADE, NOT_ASKED, Calibration
from tailgate_loadgen.event_loop import loop_name

STALE_AFTER_S = 30 * 86_400.0
"""Beyond it a run says how old its calibration is. What changes what a machine can send is mostly in the key."""


@dataclass(frozen=True)
class Key:
    """What a calibration holds for.

    Attributes:
        cpu: The processor's name.
        cores: Processors that this process may use.
        python: Its version.
        grpc: The version of gRPC.
        loop: The event loop.
        client: What makes the calls.
    """

    cpu: str
    cores: int
    python: str
    grpc: str
    loop: str
    client: ClientName = DEFAULT_CLIENT


def this_machine(client: ClientName = DEFAULT_CLIENT) -> Key:
    """What a calibration made here and now holds for."""
    return Key(_processor(), processors(), platform.python_version(), version("grpcio"), loop_name(), client)


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_calibration(path: Path | None, key: Key) -> Calibration | str:
    """What was measured for this key, or why there is nothing.

    Args:
        path: Of the file; None where none is to be used.
        key: As `this_machine` gives it.

    Raises:
        ConfigError: The file is damaged.
    """
    if path is None:
        return NOT_ASKED
    entries = _entries(path)
    for one in entries:
        if one["for"] == asdict(key):
            rates = {int(size): float(rate) for size, rate in one["requests_per_s"].items()}
            return Calibration(rates, float(one["measured_unix_s"]))
    if not entries:
        return NONE_MADE
    other = entries[-1]["for"]
    differs = [
        f"{name} {other.get(name)!r}, not {value!r}" for name, value in asdict(key).items() if other.get(name) != value
    ]
    return f"the last one made is for {'; '.join(differs)}: 'tailgate load calibrate' measures anew"


def keep_calibration(path: Path, key: Key, calibration: Calibration) -> None:
    """Put it into the file, in place of an earlier one for the same key.

    Raises:
        UsageError: The disk refuses, or what is there is no such file.
    """
    kept = [one for one in _entries(path) if one["for"] != asdict(key)]
    kept.append(
        {
            "for": asdict(key),
            "requests_per_s": {str(size): rate for size, rate in sorted(calibration.requests_per_s.items())},
            "measured_unix_s": calibration.measured_unix_s,
        }
    )
    text = json.dumps({"schema_version": 1, "calibrations": kept}, indent=2, allow_nan=False) + "\n"
    write_whole_file(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def age(calibration: Calibration, now_unix_s: float | None = None) -> str | None:
    """How old it is, where that is worth saying."""
    old_s = (time.time() if now_unix_s is None else now_unix_s) - calibration.measured_unix_s
    return f"{old_s / 86_400:.0f} days old" if old_s > STALE_AFTER_S else None


def _entries(path: Path) -> list[Mapping[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entries: list[Mapping[str, Any]] = content["calibrations"]
        for one in entries:
            sizes = {int(size): float(rate) for size, rate in one["requests_per_s"].items()}
            if not sizes or not all(size > 0 and 0 < rate < math.inf for size, rate in sizes.items()):
                raise ValueError("a rate or a size is not above zero")
            if not isinstance(one["for"], dict) or not math.isfinite(one["measured_unix_s"]):
                raise ValueError("an entry does not say what it is for")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"--calibration {path} cannot be read: {error.strerror}; name another file") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"--calibration {path} is damaged ({error}); remove it, and calibrate again") from error
    return entries


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
