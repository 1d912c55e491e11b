"""One worker process, as its supervisor sees it: started, ready, told to stop, ended."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from asyncio.subprocess import PIPE, Process

from tailgate.config import Address
from tailgate.errors import UsageError
from tailgate_proxy.workers.handover import Handover, Report
from tailgate_proxy.workers.plan import WorkerPlan

START_TIMEOUT_S = 60.0
"""Longest wait for a worker to be ready: far more than a loaded machine takes, and not for ever."""


class WorkerProcess:
    """A process of one plan; `start` makes it."""

    def __init__(self, number: int, process: Process) -> None:
        """For `start`."""
        self._number = number
        self._process = process

    @classmethod
    async def start(cls, plan: WorkerPlan) -> WorkerProcess:
        """Start a fresh interpreter and hand the plan over.

        Raises:
            UsageError: The system refuses another process.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # a folder that happens to be the current one is no place to import from
                "-m",
                "tailgate_proxy.workers.worker",
                str(plan.number),
                str(plan.core),
                stdin=PIPE,
                stdout=PIPE,
                process_group=0,  # an interrupt from the terminal comes to the supervisor alone, which passes it on
            )
        except OSError as error:
            raise UsageError(f"worker {plan.number} cannot be started: {error.strerror}") from error
        assert process.stdin is not None
        process.stdin.write(Handover(plan, logging.getLogger().getEffectiveLevel()).encode())
        return cls(plan.number, process)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def ready(self) -> Address:
        """Wait until it serves; returns its admin address.

        Raises:
            UsageError: It cannot, for the reason it gave, or it ended, or it took too long; it has ended, then.
        """
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            await self._kill_and_wait()
            raise UsageError(f"worker {self._number} was not ready within {START_TIMEOUT_S:.0f} s") from None
        if not line:
            status = await self.wait()
            raise UsageError(f"worker {self._number} {how_ended(status)} while it started; its log may say why")
        report = Report.decode(line)
        if report.mistake:
            await self.wait()
            raise UsageError(report.mistake)
        return report.address

    async def wait(self) -> int:
        """Wait until it has ended; returns its exit status, or below zero the signal that ended it."""
        return await self._process.wait()

    def terminate(self) -> None:
        """Tell it to drain and end, if it has not ended."""
        if self._process.returncode is None:
            self._process.terminate()

    def hang_up(self) -> None:
        """Tell it to read its configuration again, if it has not ended. To be called once it is ready."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """End it at once, if it has not ended."""
        if self._process.returncode is None:
            self._process.kill()

    async def _kill_and_wait(self) -> None:
        self.kill()
        await self.wait()


def how_ended(status: int) -> str:
    """An exit status in words; below zero it is the signal."""
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
