"""One proxy as a whole: puts the parts together, runs them, and stops them in an order that loses nothing."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections import Counter
from dataclasses import replace
from functools import partial

from aiohttp import web

from tailgate.config import Address
from tailgate.snapshot import Snapshot
from tailgate_proxy.access.guard import build_guard
from tailgate_proxy.access.http import guard_admin
from tailgate_proxy.accounts import Accounts
from tailgate_proxy.admin import start_admin
from tailgate_proxy.background import in_background
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.current import Current
from tailgate_proxy.feedback.call import feedback_call
from tailgate_proxy.feedback.http import add_feedback
from tailgate_proxy.feedback.visiting import Siblings, Visiting
from tailgate_proxy.front import Front
from tailgate_proxy.gc_pauses import GcPauses
from tailgate_proxy.held import Held
from tailgate_proxy.live.feed import Feed
from tailgate_proxy.live.page import add_live
from tailgate_proxy.loop_lag import LoopLag
from tailgate_proxy.reload.changes import with_fixed
from tailgate_proxy.reload.reloader import Reloads
from tailgate_proxy.rest.port import RestPort
from tailgate_proxy.status import status_document
from tailgate_proxy.steps.admit import Admit
from tailgate_proxy.timekeeper import Timekeeper
from tailgate_proxy.tls.sides import Tls
from tailgate_proxy.upstreams.pools import Pools
from tailgate_proxy.wire.link import Desk

GARBAGE = 50_000
"""So many new objects may be alive before they are searched for circles that nothing else ends. The path of a call
leaves none behind, and at Python's 700 the calls in flight alone would have them searched for ever."""

LAME_DUCK_S = 0.2
"""How long a stopping proxy still answers new requests itself, with UNAVAILABLE, before it closes its port."""

_log = logging.getLogger(__name__)


class Proxy:
    """A proxy that has been started; `stop` ends it.

    Attributes:
        rest: Where it serves V2 over HTTP, as it really is; None: nowhere.
        reloads: What became of other configurations.
    """

    def __init__(self, config: ProxyConfig, *, reuse_port: bool = False, siblings: Siblings | None = None) -> None:
        """Put the parts together. Nothing is bound or written before `start`.

        Args:
            config: What to do.
            reuse_port: Share the port for clients with other processes.
            siblings: Those processes, to ask about labels whose request was not seen here; None: nobody is asked.

        Raises:
            ConfigError: A certificate, or what belongs to it, or the file of tokens cannot be used.
        """
        self._reuse_port = reuse_port
        clock = asyncio.get_running_loop().time
        self._config = config
        self._clock = clock
        self._admit = Admit(config.max_in_flight)
        loop = asyncio.get_running_loop()
        self._desk = Desk(loop)
        self._timekeeper = Timekeeper(loop)
        self._desk.between_reads = self._timekeeper.catch_up
        self._held = Held(config.max_held_mib << 20)
        self._guard = build_guard(config)
        self._tls = Tls(config)
        self._pools = Pools(config, self._desk, self._held, self._tls.upstream, self._timekeeper.watch)
        self._current = Current(
            config,
            pools=self._pools,
            accounts=partial(Accounts, config),
            admit=self._admit,
            held=self._held,
            watch=self._timekeeper.watch,
            clock=clock,
            refuse_stranger=None if self._guard is None else self._guard.refuse_stranger,
        )
        self._lag = LoopLag(clock, self._current.reserve)
        self._desk.overdue_s = self._lag.blind_s
        self._gc_pauses = GcPauses()
        self._accounts = self._current.accounts
        self._ledger = self._accounts.ledger
        self._visiting = Visiting(self._accounts.labels, siblings) if siblings is not None else None
        self._tasks: list[asyncio.Task[None]] = []
        self._front: Front | None = None
        self._rest: RestPort | None = None
        self._admin: web.AppRunner | None = None
        self.rest: Address | None = None
        self.reloads = Reloads()

    async def start(self) -> tuple[Address, Address]:
        """Bind and serve; returns the addresses of the gRPC and of the admin port, as they really are.

        Raises:
            ConfigError: An address cannot be bound.
            TraceError: The trace cannot be created.
        """
        config = self._config
        self._accounts.open_trace()
        self._admin, admin_port = await start_admin(
            config.admin,
            self._snapshot,
            self._ready,
            self._status,
            extend=self._extend_admin,
            middlewares=() if self._guard is None else (guard_admin(self._guard, admin_open=config.admin_open),),
        )
        pipeline, connection_limits = await self._current.start(), self._current.limits
        front = Front(
            pipeline,
            self._current.pass_on,
            feedback_call(self._accounts.labels, self._held),
            self._desk,
            max_in_flight=config.max_in_flight,
            held=self._held,
            connection_limits=connection_limits,
            blind_s=lambda now_s: max(self._lag.blind_s(now_s), self._desk.blind_s(now_s)),
            guard=self._guard,
        )
        self._tasks = [
            in_background(self._lag.keep_measuring(), "measuring the loop's lag"),
            in_background(self._tls.keep_renewing(), "looking for new certificates"),
            in_background(self._accounts.keep_counting(), "counting labels and windows"),
        ]
        if self._guard is not None:
            self._tasks.append(in_background(self._guard.file.keep_looking(), "looking for new tokens"))
        if self._visiting is not None:
            await self._visiting.start()
        self._gc_pauses.start()
        gc.collect()
        gc.freeze()  # what lives until the end need not be looked at by every collection
        gc.set_threshold(GARBAGE)
        port = await front.listen(config.listen, tls=self._tls.server, reuse_port=self._reuse_port)
        self._front = front
        self._current.ports.append(front)
        if config.rest is not None:
            self._rest = RestPort(
                pipeline,
                self._current.pass_on,
                connection_limits=connection_limits,
                blind_s=self._lag.blind_s,
                max_json_bytes=config.rest_max_json_mib << 20,
                guard=self._guard,
            )
            self._current.ports.append(self._rest)
            rest_port = await self._rest.listen(config.rest, tls=self._tls.rest, reuse_port=self._reuse_port)
            self.rest = Address(config.rest.host, rest_port)
        return Address(config.listen.host, port), Address(config.admin.host, admin_port)

    async def change(self, config: ProxyConfig) -> None:
        """Go by another configuration from now on, in everything that may change; requests in flight go on by the old.

        Raises:
            ConfigError: A file that it names cannot be used; nothing has changed then.
        """
        if not self._admit.draining:
            await self._current.change(with_fixed(config, self._config))

    async def stop(self) -> None:
        """Refuse what is new, finish what is in flight, then close; the books are complete when this returns.

        Stopping a second time does nothing.
        """
        if self._admit.draining:
            return
        self._admit.draining = True
        if self._front is not None:
            self._front.warn_clients()
        started_s = self._clock()
        while self._clock() - started_s < LAME_DUCK_S or (
            self._ledger.in_flight and self._clock() - started_s < self._current.config.drain_grace
        ):
            await asyncio.sleep(0.02)
        if self._front is not None:
            await self._front.close(grace_s=0.1)
        if self._rest is not None:
            await self._rest.close(grace_s=0.1)
        self._timekeeper.stop_all()  # calls that run on without a client
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._current.close()
        await self._pools.close()
        self._timekeeper.close()
        self._gc_pauses.stop()
        if self._visiting is not None:
            await self._visiting.close()
        await self._accounts.close()
        if self._admin is not None:
            await self._admin.cleanup()

    def _extend_admin(self, application: web.Application) -> None:
        add_feedback(application, self._accounts.labels)
        add_live(application, Feed(self._picture))

    def _picture(self) -> dict[str, object]:
        """What the live page shows."""
        now_s = time.time()
        return {"quality": self._accounts.monitor.snapshot(now_s), "proxy": self._status(), "at_unix_s": now_s}

    def _ready(self) -> bool:
        return self._pools.ready and not self._admit.draining

    def _status(self) -> dict[str, object]:
        return status_document(
            self._current.config,
            self._ledger,
            members=self._pools.counts(),
            admission=self._current.entrances.counts(),
            draining=self._admit.draining,
            connections=self._connections(),
            connection_ends=self._connection_ends(),
        )

    def _connections(self) -> int:
        return sum(port.connections for port in (self._front, self._rest) if port is not None)

    def _connection_ends(self) -> dict[str, int]:
        ends: Counter[str] = Counter()
        for port in (self._front, self._rest):
            if port is not None:
                ends.update({end.value: count for end, count in port.ends.items()})
        return dict(ends)

    def _snapshot(self) -> Snapshot:
        gauges = replace(
            self._accounts.gauges(),
            members=self._pools.counts(),
            retries_refused=self._pools.retries_refused(),
            unhedged=self._pools.unhedged(),
            admission=self._current.entrances.counts(),
            loop_lag=self._lag.histogram.copy(),
            reserve_s=self._current.reserve.seconds,
            gc_pauses=self._gc_pauses.histogram.copy(),
            connections=self._connections(),
            connection_ends=self._connection_ends(),
            held_bytes=self._held.bytes,
            certificate_expiries_s=self._tls.expiries_s(),
            tls=self._tls.counts(),
            access=None if self._guard is None else self._guard.counts(),
            reloads=self.reloads.counts,
            shadows=self._current.shadow_counts,
            in_flight=self._admit.in_flight,
        )
        return Snapshot(self._ledger, gauges)
