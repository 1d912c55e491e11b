"""Commands, Tailgate's own and others', as processes for the length of a measurement."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
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
    with _process(log, name, command, lambda: re.search(ready, log.read_text()) is not None) as pid:
        match = re.search(ready, log.read_text())
        assert match is not None
        yield match.groups(), pid


@contextmanager
def started_on_port(folder: Path, name: str, command: Sequence[str], port: int) -> Iterator[int]:
    """Start a command that serves on this port, wait until it does, and end it afterwards; yields its process's id."""

    def accepts() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    with _process(folder / f"{name}.log", name, command, accepts) as pid:
        yield pid


def free_port() -> int:
    """A port of the loopback interface that nobody uses now, for commands that cannot choose one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _process(log: Path, name: str, command: Sequence[str], is_ready: Callable[[], bool]) -> Iterator[int]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        give_up_s = time.monotonic() + READY_TIMEOUT_S
        while not is_ready():
            if process.poll() is not None or time.monotonic() > give_up_s:
                raise SystemExit(f"{name} did not start: {log.read_text()[-800:]}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)
