"""Conditions for studies of what quality depends on: real contention on this machine while a run is on.

Several runs of one target, each under a condition of its own, are what `tailgate compare` tells apart.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tailgate.errors import ConfigError, UsageError
from tailgate_loadgen.contention import Contention

MAX_CPU = 1024
RESERVE = 0.1
"""Of the memory that is free: left over, so that contention for memory never becomes the end of somebody's process."""

_FORM = "NAME=none, NAME=cpu:N, NAME=memory:GIB, or NAME=cpu:N,memory:GIB"
_CONDITION = re.compile(r"([A-Za-z0-9_.-]{1,64})=(?:none|(?:cpu:([0-9]{1,4}))?(,(?=.))?(?:memory:([0-9]*\.?[0-9]+))?)")
_MEMINFO = Path("/proc/meminfo")

_COPYING = """import os
block, size = {block}, {size}
held = memoryview(bytearray(size))
for at in range(0, size, 4096):
    held[at] = 1
print(flush=True)
while os.getppid() == {parent}:
    for at in range(0, size - 2 * block + 1, block):
        held[at : at + block] = held[at + block : at + 2 * block]
"""
"""Holds the memory and copies it from end to end, which takes bandwidth and caches from everybody else."""
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Condition:
    """What else goes on.

    Attributes:
        name: What a comparison calls it.
        cpu: Processes that are always busy.
        memory_gib: Memory that another process copies all the time, in GiB.
    """

    name: str
    cpu: int = 0
    memory_gib: float = 0.0


def parse_condition(text: str) -> Condition:
    """What `--condition` means.

    Raises:
        ConfigError: It has no meaning.

    >>> parse_condition("busy=cpu:2")
    Condition(name='busy', cpu=2, memory_gib=0.0)
    """
    match = _CONDITION.fullmatch(text.strip())
    if match is None or text.strip().endswith("=") or (match[3] is not None) != bool(match[2] and match[4]):
        raise ConfigError(f"--condition is {text!r}; expected {_FORM}")
    condition = Condition(match[1], int(match[2] or 0), float(match[4] or 0))
    if (match[2] and not 1 <= condition.cpu <= MAX_CPU) or (match[4] and condition.memory_gib * 2**30 < 4 * _BLOCK):
        raise ConfigError(
            f"--condition is {text!r}; expected from 1 to {MAX_CPU} busy processes, and at least 1/64 GiB of memory"
        )
    return condition


@contextmanager
def under(condition: Condition | None) -> Iterator[None]:
    """It holds within, and is over afterwards, however that ends.

    Raises:
        UsageError: There is not so much memory.
    """
    if condition is None:
        yield
        return
    busy = Contention(condition.cpu, None)
    try:
        with _memory(condition.memory_gib):
            busy.start()
            yield
    finally:
        busy.stop()


@contextmanager
def _memory(gib: float) -> Iterator[None]:
    if not gib:
        yield
        return
    _check_free(gib)
    copying = _COPYING.format(block=_BLOCK, size=int(gib * 2**30), parent=os.getpid())
    with subprocess.Popen([sys.executable, "-c", copying], stdout=subprocess.PIPE) as process:  # noqa: S603 — our own lines of Python
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise UsageError(
                    f"--condition asks for {gib:g} GiB of memory, which this machine did not give; ask for less"
                )
            yield
        finally:
            process.kill()


def _check_free(gib: float) -> None:
    """Whether so much is free, where the platform says so."""
    if not _MEMINFO.exists():
        return
    free = re.search(r"^MemAvailable:\s+(\d+) kB", _MEMINFO.read_text(encoding="ascii"), re.MULTILINE)
    if free and int(free[1]) / 2**20 * (1 - RESERVE) < gib:
        raise UsageError(
            f"--condition asks for {gib:g} GiB of memory, and {int(free[1]) / 2**20:.1f} GiB are free; ask for less"
        )
