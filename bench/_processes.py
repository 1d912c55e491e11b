"""Tailgate's commands as processes, for the length of a measurement."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

READY_TIMEOUT_S = 90.0


@contextmanager
def started(folder: Path, *arguments: str, ready: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Start `tailgate ARGUMENTS`; see `started_command`."""
    command = (sys.executable, "-m", "tailgate", *arguments)
    with started_command(folder, arguments[0], command, ready) as running:
        yield running


@contextmanager
def started_command(
    folder: Path, name: str, command: Sequence[str], ready: str
) -> Iterator[tuple[tuple[str, ...], int]]:
    """Start a command, wait for the line that matches `ready`, and end it afterwards.

    Yields the pattern's groups and the process's id. What the command says goes to a file in `folder`.
    """
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        give_up_s = time.monotonic() + READY_TIMEOUT_S
        while not (match := re.search(ready, log.read_text())):
            if process.poll() is not None or time.monotonic() > give_up_s:
                raise SystemExit(f"{name} did not start: {log.read_text()[-800:]}")
            time.sleep(0.05)
        yield match.groups(), process.pid
    finally:
        process.terminate()
        process.wait(30)
