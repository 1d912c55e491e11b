"""What one process of this machine can send, what a schedule asks of it, and whether that is too much. Pure.

Near its own limit a generator adds its own delay to what it measures. The limit is what it sends with 32 requests
waited for at any time, which share wake-ups and writes; by a schedule each has its own and costs about twice as much,
so that 40 % of the limit keeps a processor busy for three quarters of the time and more. There p99 of the lag was 0.3
to 0.8 ms with our client (1 to 150 KB, on a machine that others used, too) and at most 0.43 ms with gRPC's library (on
a quiet one); at half of the limit it was up to 31 ms. To measure anew: `tailgate load calibrate --client NAME`, then
runs at rising `--rate`, whose tables show the share beside the lag; beyond 40 % with `--calibration none`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tailgate.errors import ConfigError
from tailgate_loadgen.schedule import Schedule
from tailgate_loadgen.sharing import MAX_PROCS, Shard

SHARE = 0.4
WINDOW_S = 1.0
"""A burst shorter than this is a matter of lag, not of capacity…"""
SHORTEST_S = 0.1
"""…unless it is the whole run; of one that is shorter still, nothing can be said by rates."""
AT_ONCE = 1 << 20
"""Instants looked at together, so that the longest of schedules costs little memory more."""
OVER_TLS = "none is made over TLS, which costs more: mind the lag, or take more --procs"
NOT_ASKED = "it was not to be used"
NONE_MADE = "none was made: 'tailgate load calibrate' measures what this machine can send"


@dataclass(frozen=True)
class Calibration:
    """What was measured.

    Attributes:
        requests_per_s: What one process sent at most, by the bytes of a request; at least one size.
        measured_unix_s: When.
    """

    requests_per_s: Mapping[int, float]
    measured_unix_s: float

    def capacity(self, request_bytes: float) -> float:
        """Requests a second at this size: between the sizes measured in proportion on a log-log scale, below them as
        the smallest, above them in inverse proportion to their bytes.
        """
        sizes = sorted(self.requests_per_s)
        rates = [self.requests_per_s[size] for size in sizes]
        between = math.exp(float(np.interp(math.log(request_bytes), np.log(sizes), np.log(rates))))
        return between * min(1.0, sizes[-1] / request_bytes)


@dataclass(frozen=True)
class Strain:
    """What is asked of each process that sends, beside what it can do.

    Attributes:
        processes: How many there are.
        request_bytes: Of a request, on average.
        peak_rate: Most requests a second that one process is asked for within any second.
        capacity: Requests a second that one was calibrated to send; None where there is no calibration…
        uncalibrated_because: …for this reason.
    """

    processes: int
    request_bytes: int
    peak_rate: float
    capacity: float | None
    uncalibrated_because: str | None = None

    @property
    def share(self) -> float | None:
        """Of the capacity; None where that is not known."""
        return None if self.capacity is None else self.peak_rate / self.capacity

    @property
    def bearable(self) -> bool:
        """Whether it is not known to be too much."""
        return self.share is None or self.share <= SHARE

    def as_header(self) -> dict[str, Any]:
        """What the trace says of it."""
        return {
            "request_bytes": self.request_bytes,
            "peak_rate": self.peak_rate,
            "capacity": self.capacity,
            "share": self.share,
            "uncalibrated_because": self.uncalibrated_because,
        }


def peak_rate(due_s: npt.NDArray[np.float64]) -> float:
    """Most requests a second that are due within any second, or within a run that is shorter.

    Args:
        due_s: Seconds, not falling.
    """
    if not len(due_s):
        return 0.0
    window_s = min(WINDOW_S, max(SHORTEST_S, float(due_s[-1] - due_s[0])))
    most = 0
    for start in range(0, len(due_s), AT_ONCE):
        part = due_s[start : start + AT_ONCE]
        after = np.searchsorted(due_s, part + window_s, side="left")
        most = max(most, int((after - np.arange(start, start + len(part))).max()))
    return most / window_s


def strain_of(
    schedule: Schedule, shard: Shard | None, processes: int, request_bytes: int, known: Calibration | str
) -> Strain:
    """What a schedule asks of each process.

    Args:
        schedule: Of the whole run.
        shard: The one share that is sent here; None for all of it.
        processes: How many send it here.
        request_bytes: Of a request, on average.
        known: What was measured, or why nothing is.
    """
    share = schedule.share_of(shard or Shard(0, processes))
    peak = peak_rate(share.due_s)
    if isinstance(known, str):
        return Strain(processes, request_bytes, peak, None, known)
    return Strain(processes, request_bytes, peak, known.capacity(request_bytes))


def enough_processes(schedule: Schedule, request_bytes: int, known: Calibration | str, most: int) -> Strain:
    """With the fewest processes that bear it.

    Raises:
        ConfigError: Nothing was measured, or more than `most` would be needed.
    """
    if isinstance(known, str):
        raise ConfigError(f"--procs is auto, which rests on a calibration, and {known}")
    for processes in range(1, most + 1):
        strain = strain_of(schedule, None, processes, request_bytes, known)
        if strain.bearable:
            return strain
    check(strain_of(schedule, None, max(1, most), request_bytes, known), most)
    raise AssertionError("what was found not to be bearable is refused")


def check(strain: Strain, most: int) -> None:
    """Whether the processes can be asked for that.

    Args:
        strain: What is asked.
        most: Processes that this machine has processors for.

    Raises:
        ConfigError: They would be late themselves.
    """
    if strain.bearable or strain.capacity is None:
        return
    bearable = SHARE * strain.capacity
    needed = math.ceil(strain.peak_rate * strain.processes / bearable)
    if needed <= min(most, MAX_PROCS):
        remedy = f"take --procs {needed} or auto, or lower --rate"
    else:
        remedy = f"it would take {needed} of them, so lower --rate, or share the run among machines with --shard"
    raise ConfigError(
        f"the schedule asks one process for up to {strain.peak_rate:.0f} requests of {strain.request_bytes} bytes "
        f"a second; it was calibrated to send {strain.capacity:.0f}, and above {SHARE:.0%} of that "
        f"({bearable:.0f}) it would take its own delay for the target's: {remedy}"
    )
