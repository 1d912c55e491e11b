"""Processes that a run starts, stops, freezes and kills: by their own id, and no other."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

READY_TIMEOUT_S = 300.0
END_TIMEOUT_S = 120.0
ECHO = Path(__file__).resolve().parents[1] / "bench" / "_echo_upstream.py"


@dataclass
class Running:
    """A process that said it was ready.

    Attributes:
        process: Itself.
        ready: Groups of the line that said so.
        log: What it says.
    """

    process: subprocess.Popen[bytes]
    ready: tuple[str, ...]
    log: Path

    @property
    def pid(self) -> int:
        """Its id."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Have it end, frozen or not; returns its exit status."""
        if self.alive:
            self.send(signal.SIGCONT)
            self.send(how)
        return await asyncio.to_thread(self.process.wait, END_TIMEOUT_S)

    @property
    def open_files(self) -> int:
        """How many descriptors it has."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def rss_mib(self) -> float:
        """Its resident memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


async def start(log: Path, *command: str, ready: str, environment: Mapping[str, str] | None = None) -> Running:
    """Start a command and wait for the line that says it is ready.

    Raises:
        AssertionError: It never does.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}
        )
    give_up_s = time.monotonic() + READY_TIMEOUT_S
    while process.poll() is None and time.monotonic() < give_up_s:
        if found := re.search(ready, log.read_text(errors="replace")):
            return Running(process, found.groups(), log)
        await asyncio.sleep(0.02)
    process.kill()
    process.wait()
    raise AssertionError(f"{' '.join(command)} did not get ready; it said:\n{log.read_text(errors='replace')[-2000:]}")


async def start_proxy(
    log: Path, upstream: str, *options: str, environment: Mapping[str, str] | None = None, listen: str = "127.0.0.1:0"
) -> Running:
    """A proxy in front of an address; `ready` holds its own and its admin address."""
    command = (
        sys.executable, "-m", "tailgate", "proxy", "--upstream", upstream, "--listen", listen,
        "--admin", "127.0.0.1:0", *options,
    )  # fmt: skip
    return await start(log, *command, ready=r"proxy listening on (\S+), admin on (\S+)", environment=environment)


class Upstream:
    """The echo upstream (bench/_echo_upstream.py) as a process that ends and comes back on one port."""

    def __init__(self, folder: Path, options: Sequence[str] = (), within: Sequence[str] = ()) -> None:
        """Logs go to `folder`; the command is run by `within`, such as in another network namespace."""
        self.executed = folder / "executed"
        self.running: Running | None = None
        self._folder, self._options, self._within = folder, options, within
        self._port = "0"
        self._lives = 0

    async def start(self) -> str:
        """Start it; returns its address."""
        self._lives += 1
        command = (
            *self._within, sys.executable, str(ECHO), "--port", self._port, "--executed", str(self.executed),
            *self._options,
        )  # fmt: skip
        log = self._folder / f"upstream-{self._lives}.log"
        self.running = await start(log, *command, ready=r"echo listening on (\S+)")
        self._port = self.running.ready[0].rpartition(":")[2]
        return self.running.ready[0]

    async def kill(self) -> None:
        """SIGKILL."""
        if self.running is not None:
            await self.running.end(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.running is not None
        self.running.send(number)
