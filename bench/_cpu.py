"""Which core a process runs on, and how much of it it used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def two_cores() -> tuple[int, int]:
    """A core for what is measured, and one for all that measures it."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("this measurement needs two cores: one for the proxy, one for what drives and answers it")
    return cores[0], cores[1]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Processes started meanwhile, and their threads, run on this core for good; this thread goes back to its own."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Used:
    """CPU of a process so far: seconds in which it ran, and in which it could have run but others did."""

    ran_s: float
    waited_s: float

    def __sub__(self, before: Used) -> Used:
        return Used(self.ran_s - before.ran_s, self.waited_s - before.waited_s)


def cpu_of(pid: int) -> Used:
    """Of all threads of a process; the kernel tells nanoseconds here, and only ticks elsewhere."""
    threads = [(thread / "schedstat").read_text().split() for thread in Path(f"/proc/{pid}/task").iterdir()]
    return Used(*(sum(int(thread[place]) for thread in threads) / 1e9 for place in (0, 1)))
