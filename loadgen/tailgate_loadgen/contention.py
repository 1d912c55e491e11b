"""Contention for a processor: processes that are always busy."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field

from tailgate_loadgen.pinning import pinned

NAME = "CPU contention"

_BUSY = """import os
while os.getppid() == {parent}:
    for _ in range(1_000_000):
        pass
"""
"""Looks now and then whether whoever started it is still there, so that nothing stays busy after that."""


@dataclass
class Contention:
    """Busy processes, on and off.

    Attributes:
        processes: How many.
        cpu: The processor they fight for; None: any.
        start_unix_s: When they began, or None while they have not.
        end_unix_s: When they ended, or None while they run.
    """

    processes: int
    cpu: int | None
    start_unix_s: float | None = None
    end_unix_s: float | None = None
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Begin."""
        self.start_unix_s = time.time()
        busy = _BUSY.format(parent=os.getpid())
        with pinned(self.cpu):
            self._running = [
                subprocess.Popen([sys.executable, "-c", busy])  # noqa: S603 — our own lines of Python
                for _ in range(self.processes)
            ]

    def stop(self) -> None:
        """End; does nothing if it never began or has ended."""
        for process in self._running:
            process.kill()
            process.wait()
        if self._running:
            self.end_unix_s = time.time()
        self._running = []

    @property
    def active(self) -> bool:
        """Whether they are running."""
        return bool(self._running)

    def events(self) -> list[dict[str, object]]:
        """What happened, as a report takes it."""
        if self.start_unix_s is None:
            return []
        return [{"name": NAME, "start_unix_s": self.start_unix_s, "end_unix_s": self.end_unix_s or time.time()}]
