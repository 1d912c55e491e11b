"""One proxy of the real parts on virtual time, with simulated clients before it and simulated machines behind it.

Real are: `Current` (configuration, pipeline, gates), `Passage`, `Entrances` and `Admission`, `Pools`, `Pool`, members,
attempts, probers, names, `Upstream` with its queue and its reconnecting, the timekeeper, the ledger. Simulated are the
sockets, the machines, the clients, and chance.
"""

from __future__ import annotations

import asyncio
import logging
import random as chance
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final
from unittest.mock import patch

from bench._sim_clients import DRAIN_S, UNIX_S, Clients
from bench._sim_loop import VirtualLoop
from bench._sim_network import Network
from bench._sim_parts import Books, QuickUpstream, WatchedPool, WatchedPools
from bench._sim_plan import AFTER_S, BEFORE_S, RECOVERED_S, Fault, Plan
from bench._sim_promises import Promises
from bench._sim_servers import Machine
from tailgate.config import read_config
from tailgate.policy.false_refusals import FalseRefusals
from tailgate.simulation.servers import gamma
from tailgate_proxy.accounts import Accounts
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.connection_limits import ConnectionLimits
from tailgate_proxy.current import Current
from tailgate_proxy.held import Held
from tailgate_proxy.pipeline import Pipeline
from tailgate_proxy.steps.admit import Admit
from tailgate_proxy.timekeeper import Timekeeper
from tailgate_proxy.upstreams import pools
from tailgate_proxy.upstreams.upstream import Upstream
from tailgate_proxy.wire.link import Desk

REAL_PROBES: Final = 8
"""In one of so many worlds every probe goes all the way, with all that it costs; in the others those do whose answer is
in doubt."""
PORT: Final = 9000
SAMPLE_S: Final = 1.0
DEFAULT: Final = (
    '{"outputs": [{"name": "class", "datatype": "INT64", "shape": [1], "contents": {"int64Contents": [0]}}]}'
)


class World:
    """One run of a plan.

    Attributes:
        promises: What has to hold, and whether it did.
        loop: The clock.
    """

    def __init__(self, plan: Plan) -> None:
        """Nothing has happened."""
        self.plan = plan
        self.loop = VirtualLoop()  # type: ignore[abstract]  # what of a loop nobody here calls, it does not have
        self.network = Network(self.loop, Random(f"network {plan.kind} {plan.seed}"))  # noqa: S311 — a simulation, no secret
        self.promises = Promises(self.loop, plan)
        self._upstream = Upstream if plan.seed % REAL_PROBES == 0 else QuickUpstream
        self._pipeline: Pipeline
        self._current: Current
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self) -> Promises:
        """Let it all happen, up to the first promise that is broken."""
        chance.seed(f"proxy {self.plan.kind} {self.plan.seed}")
        before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        self.loop.reach = self.network.reach
        self.loop.resolve = self.network.resolve
        self.loop.after_each = self._look
        try:
            with (
                TemporaryDirectory() as folder,
                patch.object(pools, "Upstream", self._upstream),
                patch.object(pools, "Pool", partial(WatchedPool, self.promises)),
            ):
                self._default = Path(folder) / "default.json"
                self._default.write_text(DEFAULT, encoding="utf-8")
                self.loop.run(self._main())
        except _Broken:
            pass
        except Exception as error:  # noqa: BLE001 — a fault of what is simulated is what is looked for
            self.promises.broken("no fault", f"{type(error).__name__}: {error}")
        finally:
            logging.disable(before)
        return self.promises

    # -- the proxy -----------------------------------------------------------------------------------------------------

    async def _main(self) -> None:
        plan, loop = self.plan, self.loop
        self._machines()
        config = self._config(plan.most, plan.machines)
        desk = Desk(loop)
        self._timekeeper = timekeeper = Timekeeper(loop)
        held = Held(config.max_held_mib << 20)
        admit = Admit(config.max_in_flight)
        everyone = WatchedPools(config, desk, held, None, timekeeper.watch)
        everyone.promises = self.promises

        def books(slices: tuple[str, ...]) -> Accounts:
            made = Books(config, slices)
            made.promises = self.promises
            return made

        self._current = current = Current(
            config,
            pools=everyone,
            accounts=books,
            admit=admit,
            held=held,
            watch=timekeeper.watch,
            clock=loop.time,
            refuse_stranger=None,
        )
        self._seed_doors()
        self._pipeline = await current.start()
        self.promises.begin(current, everyone, admit, held, self.network)
        current.ports.append(self)
        Clients(plan, loop, self.promises, lambda: self._pipeline)
        for fault in plan.faults:
            loop.events.at(fault.at_s, partial(self._strike, fault))
        for episode in plan.episodes:
            for at_s, act in (
                (episode.start_s - BEFORE_S, self.promises.busy),
                (episode.end_s + RECOVERED_S, self.promises.recovered),
                (episode.end_s + RECOVERED_S + AFTER_S, self.promises.over),
            ):
                loop.events.at(at_s - 1e-6, partial(act, episode))
        while loop.time() < plan.length_s:
            await asyncio.sleep(SAMPLE_S)
            self.promises.sample()
            if int(loop.time()) % 10 == 0:
                current.accounts.monitor.advance(UNIX_S + loop.time())
        # as `Proxy.stop` does
        self.promises.draining = admit.draining = True
        ends_s = loop.time() + DRAIN_S
        while loop.time() < ends_s or (
            current.accounts.ledger.in_flight and loop.time() < ends_s + 2.0 * plan.deadline_s + 1.0
        ):
            await asyncio.sleep(0.02)
        self.promises.drained()
        timekeeper.stop_all()
        await current.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await everyone.close()
        timekeeper.close()
        await asyncio.sleep(1.0)
        self.promises.at_rest()

    def use(self, pipeline: Pipeline, limits: ConnectionLimits, max_in_flight: int) -> None:  # noqa: ARG002 — a Port
        """The configuration has changed."""
        self._pipeline = pipeline

    def _config(self, most: int, machines: int) -> ProxyConfig:
        plan = self.plan
        addresses = [f"sim:{PORT}"] if plan.by_name else [f"10.0.0.{one + 1}:{PORT}" for one in range(machines)]
        return read_config(
            ProxyConfig,
            None,
            {
                "upstreams": {
                    "default": {"addresses": addresses, "profile": plan.profile, "hedge_after": plan.hedge_after}
                },
                "deadline": f"{plan.deadline_s:g}s",
                "late_share": plan.late_share,
                "late_patience": f"{plan.deadline_s:g}s",
                "max_in_flight": most,
                "confidences": 0,
                "admission": plan.admission,
                "upstream_limit": plan.limit if plan.admission == "fixed" else None,
                "default_answer": str(self._default),
                "models": {"m": {}, "watched": {"mode": "observe"}, "soft": {"mode": "default-answer"}},
            },
        )

    def _seed_doors(self) -> None:
        """What admission leaves to chance follows from the seed, too."""
        for name, door in self._current.entrances._doors.items():
            door.admission.refusals = FalseRefusals(seed=self.plan.seed + len(name))

    async def _reconfigure(self, most: int, machines: int) -> None:
        await self._current.change(self._config(most, machines))

    # -- the machines --------------------------------------------------------------------------------------------------

    def _machines(self) -> None:
        plan = self.plan
        for number in range(plan.machines + plan.spare):
            random = Random(f"machine {number} {plan.kind} {plan.seed}")  # noqa: S311 — a simulation, no secret
            take_s = gamma(random, plan.take_s, plan.variation)
            address = f"10.0.0.{number + 1}"
            machine = Machine(self.loop, random, workers=plan.workers, batch=plan.batch, take_s=take_s)
            machine.on_begun = self.promises.begun
            machine.on_ended = self.promises.ended
            machine.on_executed = self.promises.executed
            machine.on_told = self.promises.told
            self.network.machines[address] = machine
        self.network.names["sim"] = [f"10.0.0.{one + 1}" for one in range(plan.machines)]

    def _strike(self, fault: Fault) -> None:
        if fault.names is not None:
            self.network.names["sim"] = [f"10.0.0.{one + 1}" for one in fault.names]
        if fault.machine >= 0:
            machine = self.network.machines[f"10.0.0.{fault.machine + 1}"]
            if fault.now is not None:
                machine.behave(fault.now)
            if fault.dies:
                machine.die()
            if fault.goes_away:
                for connection in list(machine.connections):
                    connection.go_away()
        if fault.most is not None:
            task = self.loop.create_task(self._reconfigure(*fault.most))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if fault.stall_s:
            self.loop.stall(fault.stall_s)

    def _look(self) -> None:
        self.promises.check()
        if self.promises.first is not None:
            raise _Broken


class _Broken(BaseException):
    """A promise is broken: there is no use in going on."""
