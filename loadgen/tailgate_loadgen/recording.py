"""Instants to replay, read from a trace or from a CSV of timestamps."""

from __future__ import annotations

import csv
import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tailgate.errors import ConfigError
from tailgate.trace.files import read_folder, read_trace
from tailgate.trace.format import Contents
from tailgate_loadgen.arrival_spec import Recording
from tailgate_loadgen.outputs import TRACE_NAME


def read_instants(recording: Recording) -> npt.NDArray[np.float64]:
    """Its instants in seconds, on whatever clock it has, not falling.

    Raises:
        ConfigError: It has none, or something in it is no timestamp.
        TraceError: It is not the trace it is said to be.
    """
    read = _of_traces if recording.kind == "trace" else _of_csv
    instants_s = read(recording.path)
    if not len(instants_s):
        raise ConfigError(f"--arrivals {recording.kind}:{recording.path} holds no instant; name another")
    return np.sort(instants_s)


def _of_traces(path: Path) -> npt.NDArray[np.float64]:
    """When requests came to a proxy, or were due at a client: of a folder with both, those of its client."""
    if path.is_dir() and not (path / TRACE_NAME).exists():
        traces = read_folder(path)
    else:
        traces = [read_trace(path / TRACE_NAME if path.is_dir() else path)]
    return np.concatenate([_arrivals(trace) for trace in traces])


def _arrivals(trace: Contents) -> npt.NDArray[np.float64]:
    counted = trace.records
    if trace.header.get("role") == "client":
        counted = counted[counted["pass_index"] >= 0]  # not its warm-up
    return counted["arrival_unix_s"].astype(np.float64)


def _of_csv(path: Path) -> npt.NDArray[np.float64]:
    """The first column: seconds, or dates in ISO 8601, which without a zone are UTC. The first line may name it."""
    instants_s = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for number, row in enumerate(csv.reader(file), start=1):
                if not row:
                    continue
                instant_s = _instant_s(row[0])
                if instant_s is not None:
                    instants_s.append(instant_s)
                elif number > 1:
                    raise ConfigError(
                        f"--arrivals csv:{path} has {row[0]!r} in line {number}; expected seconds, or a date such as "
                        "2026-01-31 12:00:00.5"
                    )
    except OSError as error:
        raise ConfigError(f"--arrivals csv:{path} cannot be read: {error.strerror}; name another file") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"--arrivals csv:{path} is no CSV in UTF-8: {error}") from error
    return np.array(instants_s, np.float64)


def _instant_s(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        try:
            date = datetime.fromisoformat(text.strip())
        except ValueError:
            return None
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    return value if math.isfinite(value) else None
