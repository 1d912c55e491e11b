"""Keeps every worker running until told to stop. Serves nothing itself, and decides neither who runs where nor when."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress

from tailgate.cli import EXIT_MISSED, EXIT_OK
from tailgate.config import Address
from tailgate.errors import UsageError
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.workers.discovery import Publish
from tailgate_proxy.workers.meeting import meeting_place
from tailgate_proxy.workers.plan import WorkerPlan, worker_plans
from tailgate_proxy.workers.port import held_port
from tailgate_proxy.workers.process import WorkerProcess, how_ended
from tailgate_proxy.workers.restarts import Restarts

BEYOND_GRACE_S = 5.0
"""How much longer than `drain_grace` a worker may take to end before it is killed: it has a trace to close."""

Announce = Callable[[Address, Sequence[Address]], None]
"""Takes the address for clients and every worker's admin address, once all are ready."""

_log = logging.getLogger(__name__)


async def supervise(config: ProxyConfig, publish: Publish, announce: Announce) -> int:
    """Run `config.workers` workers until SIGTERM or SIGINT; returns the exit status.

    Args:
        config: What to do.
        publish: Called with all admin addresses when all are ready, and when one has changed.
        announce: Called once, when all are ready.

    Raises:
        UsageError: A worker cannot start. Once all were ready that is only logged, and tried again.
    """
    with held_port(config.listen) as listen, meeting_place() as meeting:
        cores = sorted(os.sched_getaffinity(0))
        if config.workers > len(cores):
            _log.warning("%d workers share %d cores", config.workers, len(cores))
        plans = worker_plans(config.model_copy(update={"listen": listen}), cores, meeting)
        supervisor = Supervisor(plans, publish, lambda admins: announce(listen, admins))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, supervisor.stop)
        ended = await supervisor.run(config.drain_grace + BEYOND_GRACE_S)
        return EXIT_OK if ended else EXIT_MISSED


class Supervisor:
    """The workers of one port."""

    def __init__(
        self, plans: Sequence[WorkerPlan], publish: Publish, announce: Callable[[Sequence[Address]], None]
    ) -> None:
        """Nothing is started before `run`."""
        self._plans = plans
        self._publish = publish
        self._announce = announce
        self._stopping = asyncio.Event()
        self._processes: dict[int, WorkerProcess] = {}
        self._admins: dict[int, Address] = {}
        self._announced = False

    def stop(self) -> None:
        """Have `run` end."""
        self._stopping.set()

    async def run(self, grace_s: float) -> bool:
        """Keep the workers running until `stop`, then let them drain.

        Returns:
            Whether all ended by themselves within `grace_s` of being told to.

        Raises:
            UsageError: A worker could not start before all were ready.
        """
        keepers = [asyncio.create_task(self._keep(plan)) for plan in self._plans]
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            # A keeper ends before it is told to only by failing.
            await asyncio.wait([stopping, *keepers], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stopping.set()
            for process in self._processes.values():
                process.terminate()
            _, late = await asyncio.wait(keepers, timeout=grace_s)
            if late:
                _log.error("%d of %d workers did not end in %.1f s and are killed", len(late), len(keepers), grace_s)
                for process in self._processes.values():
                    process.kill()
                await asyncio.wait(keepers)
        for keeper in keepers:
            keeper.result()
        return not late

    async def _keep(self, plan: WorkerPlan) -> None:
        """Start one worker, and start it again whenever it ends, until all stop."""
        clock = asyncio.get_running_loop().time
        restarts = Restarts()
        while not self._stopping.is_set():
            restarts.started(clock())
            try:
                how = await self._live(plan)
            except UsageError as mistake:
                if not self._announced and not self._stopping.is_set():
                    raise
                how = f"did not start: {mistake}"
            if self._stopping.is_set():
                return
            delay_s = restarts.ended(clock())
            _log.warning("worker %d %s; it is started again in %.1f s", plan.number, how, delay_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay_s)

    async def _live(self, plan: WorkerPlan) -> str:
        """One life of a worker; returns how it ended.

        Raises:
            UsageError: It did not get ready.
        """
        process = await WorkerProcess.start(plan)
        self._processes[plan.number] = process
        if self._stopping.is_set():
            process.terminate()  # it was not there when the others were told
        admin = await process.ready()
        _log.info("worker %d is process %d on core %d, admin on %s", plan.number, process.pid, plan.core, admin)
        self._admins[plan.number] = admin
        if len(self._admins) == len(self._plans) and not self._stopping.is_set():
            self._tell()
        return how_ended(await process.wait())

    def _tell(self) -> None:
        self._publish(self._admins)
        if not self._announced:
            self._announced = True
            self._announce([self._admins[plan.number] for plan in self._plans])
