"""Keeps every worker running until told to stop. Serves nothing itself, and decides neither who runs where nor when."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace

from tailgate.cli import EXIT_MISSED, EXIT_OK
from tailgate.config import Address
from tailgate.errors import UsageError
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.reload.source import Source
from tailgate_proxy.workers.discovery import Publish
from tailgate_proxy.workers.meeting import meeting_place
from tailgate_proxy.workers.plan import WorkerPlan, changed_plan, worker_plans
from tailgate_proxy.workers.port import held_port
from tailgate_proxy.workers.process import WorkerProcess, how_ended
from tailgate_proxy.workers.restarts import Restarts

BEYOND_GRACE_S = 5.0
"""How much longer than `drain_grace` a worker may take to end before it is killed: it has a trace to close."""

Announce = Callable[[Address, Sequence[Address], Address | None], None]
"""Takes the address for clients, every worker's admin address, and the address for clients over HTTP; once all are
ready."""

_log = logging.getLogger(__name__)


async def supervise(config: ProxyConfig, publish: Publish, announce: Announce, source: Source | None = None) -> int:
    """Run `config.workers` workers until SIGTERM or SIGINT; returns the exit status.

    Args:
        config: What to do.
        publish: Called with all admin addresses when all are ready, and when one has changed.
        announce: Called once, when all are ready.
        source: Where the configuration comes from, to be read again at SIGHUP; None: SIGHUP ends all.

    Raises:
        UsageError: A worker cannot start. Once all were ready that is only logged, and tried again.
    """
    with (
        held_port(config.listen, share=config.reuse_port) as listen,
        _held_rest(config) as rest,
        meeting_place() as meeting,
    ):
        cores = sorted(os.sched_getaffinity(0))
        if config.workers > len(cores):
            _log.warning("%d workers share %d cores", config.workers, len(cores))
        plans = worker_plans(config.model_copy(update={"listen": listen, "rest": rest}), cores, meeting, source)
        supervisor = Supervisor(plans, publish, lambda admins: announce(listen, admins, rest))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, supervisor.stop)
        if source is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, supervisor.reload)
        ended = await supervisor.run()
        return EXIT_OK if ended else EXIT_MISSED


def _held_rest(config: ProxyConfig) -> AbstractContextManager[Address | None]:
    """The port for clients over HTTP, if there is to be one."""
    return nullcontext() if config.rest is None else held_port(config.rest, "--rest", share=config.reuse_port)


class Supervisor:
    """The workers of one port."""

    def __init__(
        self, plans: Sequence[WorkerPlan], publish: Publish, announce: Callable[[Sequence[Address]], None]
    ) -> None:
        """Nothing is started before `run`."""
        self._plans = list(plans)
        self._publish = publish
        self._announce = announce
        self._stopping = asyncio.Event()
        self._processes: dict[int, WorkerProcess] = {}
        self._admins: dict[int, Address] = {}
        self._serving: set[int] = set()
        self._reloads = 0
        self._stale = False  # what was asked for last could not be used
        self._announced = False

    def stop(self) -> None:
        """Have `run` end."""
        self._stopping.set()

    def reload(self) -> None:
        """Have the configuration read again: here for the workers that start from now on, and by each that serves."""
        source = self._plans[0].source
        assert source is not None
        self._reloads += 1
        try:
            read = replace(source, config=source.read())
        except UsageError as error:
            self._stale = True
            _log.error("workers that start keep the configuration in use: %s", error)
        else:
            self._stale = False
            self._plans = [changed_plan(plan, read) for plan in self._plans]
        for number in self._serving:
            self._processes[number].hang_up()

    async def run(self) -> bool:
        """Keep the workers running until `stop`, then let them drain.

        Returns:
            Whether all ended by themselves, not much later than they may take to drain.

        Raises:
            UsageError: A worker could not start before all were ready.
        """
        keepers = [asyncio.create_task(self._keep(plan.number)) for plan in self._plans]
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            # A keeper ends before it is told to only by failing.
            await asyncio.wait([stopping, *keepers], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stopping.set()
            for process in self._processes.values():
                process.terminate()
            grace_s = self._plans[0].config.drain_grace + BEYOND_GRACE_S
            _, late = await asyncio.wait(keepers, timeout=grace_s)
            if late:
                _log.error("%d of %d workers did not end in %.1f s and are killed", len(late), len(keepers), grace_s)
                for process in self._processes.values():
                    process.kill()
                await asyncio.wait(keepers)
        for keeper in keepers:
            keeper.result()
        return not late

    async def _keep(self, number: int) -> None:
        """Start one worker, and start it again whenever it ends, until all stop."""
        clock = asyncio.get_running_loop().time
        restarts = Restarts()
        while not self._stopping.is_set():
            restarts.started(clock())
            try:
                how = await self._live(self._plans[number])
            except UsageError as mistake:
                if not self._announced and not self._stopping.is_set():
                    raise
                how = f"did not start: {mistake}"
            if self._stopping.is_set():
                return
            delay_s = restarts.ended(clock())
            _log.warning("worker %d %s; it is started again in %.1f s", number, how, delay_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay_s)

    async def _live(self, plan: WorkerPlan) -> str:
        """One life of a worker; returns how it ended.

        Raises:
            UsageError: It did not get ready.
        """
        reloads = self._reloads
        process = await WorkerProcess.start(plan)
        self._processes[plan.number] = process
        if self._stopping.is_set():
            process.terminate()  # it was not there when the others were told
        admin = await process.ready()
        _log.info("worker %d is process %d on core %d, admin on %s", plan.number, process.pid, plan.core, admin)
        self._admins[plan.number] = admin
        if len(self._admins) == len(self._plans) and not self._stopping.is_set():
            self._tell()
        self._serving.add(plan.number)
        if self._reloads != reloads or self._stale:
            process.hang_up()  # it was not there when the others were told
        try:
            return how_ended(await process.wait())
        finally:
            self._serving.discard(plan.number)

    def _tell(self) -> None:
        self._publish(self._admins)
        if not self._announced:
            self._announced = True
            self._announce([self._admins[plan.number] for plan in self._plans])
