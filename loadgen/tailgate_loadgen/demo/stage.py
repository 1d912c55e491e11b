"""Processes of a demonstration: started on a processor of their own, waited for until they are ready, always ended.

They end with the command that started them even if that is killed, as far as the platform can do that: `tied`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tailgate.errors import UsageError
from tailgate_loadgen.pinning import pinned
from tailgate_loadgen.tied import tied

READY_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 20.0


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end this process as an exception within, so that what it started is ended too.

    Raises:
        SystemExit: One arrived; the status is what a shell calls it, 143 for SIGTERM.
    """

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        for other in before:
            signal.signal(other, signal.SIG_IGN)  # a second one must not break the first one's work off
        raise SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # nohup asks for that
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def two_cpus() -> tuple[int | None, int | None]:
    """A processor for the server and another for proxy and load; None where there is no choice."""
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return (cpus[0], cpus[1]) if len(cpus) > 1 else (None, None)


OURS = (sys.executable, "-m", "tailgate")
"""How our own commands are started."""


class Actor:
    """One running command: one of `tailgate`'s, or another program."""

    def __init__(
        self, arguments: Sequence[str], log: Path, cpu: int | None = None, *, program: Sequence[str] = OURS
    ) -> None:
        """Start it, from the main thread; what it says goes to `log`."""
        self.name = f"tailgate {arguments[0]}" if program is OURS else Path(program[0]).name
        self._log = log
        with pinned(cpu), log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 — our own command, or one that the user has installed
                tied([*program, *arguments]), stdout=output, stderr=subprocess.STDOUT
            )

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first line that matches, once it is there.

        Raises:
            UsageError: The command ended, or took too long.
        """
        give_up_s = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < give_up_s:
            match = re.search(pattern, self._said())
            if match:
                return match
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise UsageError(f"`{self.name}` did not start; it said: {self._last_words()}")

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def finish(self) -> int:
        """Wait until it ends by itself; returns its exit status."""
        return self._process.wait()

    def stop(self) -> None:
        """Ask it to end, and see that it does."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def check(self, statuses: Sequence[int]) -> int:
        """Its exit status, which must be one of these.

        Raises:
            UsageError: It is another.
        """
        status = self.finish()
        if status not in statuses:
            raise UsageError(f"`{self.name}` ended with status {status}; it said: {self._last_words()}")
        return status

    def must_run(self) -> None:
        """See that it still runs.

        Raises:
            UsageError: It has ended.
        """
        if self.exit_status is not None:
            raise UsageError(f"`{self.name}` ended with status {self.exit_status}; it said: {self._last_words()}")

    def _said(self) -> str:
        return self._log.read_text(errors="replace")

    def _last_words(self) -> str:
        return " / ".join(self._said().strip().splitlines()[-5:]) or "nothing"
