"""One proxy as a whole: puts the parts together, runs them, and stops them in an order that loses nothing."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from dataclasses import replace

from aiohttp import web

from tailgate.config import Address
from tailgate.snapshot import Snapshot
from tailgate_proxy.accounts import Accounts
from tailgate_proxy.admin import start_admin
from tailgate_proxy.call import CallFailed
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.connection_limits import ConnectionLimits
from tailgate_proxy.feedback.call import feedback_call
from tailgate_proxy.feedback.http import add_feedback
from tailgate_proxy.feedback.visiting import Siblings, Visiting
from tailgate_proxy.front import Front
from tailgate_proxy.gc_pauses import GcPauses
from tailgate_proxy.held import Held
from tailgate_proxy.known_models import OTHER, KnownModels
from tailgate_proxy.live.feed import Feed
from tailgate_proxy.live.page import add_live
from tailgate_proxy.loop_lag import LoopLag
from tailgate_proxy.pipeline import build_pipeline
from tailgate_proxy.routes import build_routes
from tailgate_proxy.status import status_document
from tailgate_proxy.steps.admit import Admit
from tailgate_proxy.steps.observe import Observe
from tailgate_proxy.timekeeper import Timekeeper
from tailgate_proxy.tls.sides import Tls
from tailgate_proxy.upstream import Upstream
from tailgate_proxy.wire.link import Desk

PROBE_INTERVAL_S = 0.5
"""How often the upstream is asked whether it is ready."""

GARBAGE = 50_000
"""So many new objects may be alive before they are searched for circles that nothing else ends. The path of a call
leaves none behind, and at Python's 700 the calls in flight alone would have them searched for ever."""

LAME_DUCK_S = 0.2
"""How long a stopping proxy still answers new requests itself, with UNAVAILABLE, before it closes its port."""

_log = logging.getLogger(__name__)


class Proxy:
    """A proxy that has been started; `stop` ends it."""

    def __init__(self, config: ProxyConfig, *, reuse_port: bool = False, siblings: Siblings | None = None) -> None:
        """Put the parts together. Nothing is bound or written before `start`.

        Args:
            config: What to do.
            reuse_port: Share the port for clients with other processes.
            siblings: Those processes, to ask about labels whose request was not seen here; None: nobody is asked.

        Raises:
            ConfigError: A certificate, or what belongs to it, cannot be used.
        """
        self._reuse_port = reuse_port
        clock = asyncio.get_running_loop().time
        self._config = config
        self._clock = clock
        self._known = KnownModels(config.models)
        self._admit = Admit(config.max_in_flight)
        loop = asyncio.get_running_loop()
        self._desk = Desk(loop)
        self._timekeeper = Timekeeper(loop)
        self._desk.between_reads = self._timekeeper.catch_up
        self._held = Held(config.max_held_mib << 20)
        self._routes = build_routes(config)
        self._tls = Tls(config)
        self._upstream = Upstream(
            config.upstream, self._desk, self._held, config.max_message_mib << 20, self._tls.upstream
        )
        self._lag = LoopLag(clock)
        self._gc_pauses = GcPauses()
        self._accounts = Accounts(config, self._routes.slices)
        self._ledger = self._accounts.ledger
        self._visiting = Visiting(self._accounts.labels, siblings) if siblings is not None else None
        self._tasks: list[asyncio.Task[None]] = []
        self._front: Front | None = None
        self._admin: web.AppRunner | None = None

    async def start(self) -> tuple[Address, Address]:
        """Bind and serve; returns the addresses of the gRPC and of the admin port, as they really are.

        Raises:
            ConfigError: An address cannot be bound.
            TraceError: The trace cannot be created.
        """
        config = self._config
        self._accounts.open_trace()
        pipeline = build_pipeline(
            config,
            self._routes,
            clock=self._clock,
            observe=Observe(
                self._ledger,
                self._known,
                self._accounts.sinks,
                self._accounts.monitor.expect,
                self._accounts.monitor.fall_due,
            ),
            admit=self._admit,
            begin=self._upstream.begin,
            watch=self._timekeeper.watch,
            held=self._held,
        )
        front = Front(
            pipeline,
            self._upstream.call,
            feedback_call(self._accounts.labels),
            self._desk,
            max_in_flight=config.max_in_flight,
            held=self._held,
            connection_limits=ConnectionLimits(
                settle_s=config.handshake_timeout,
                midway_s=config.handshake_timeout,
                stall_s=config.stall_timeout,
                idle_s=config.idle_timeout,
                most=config.max_connections,
                most_of_peer=config.max_connections_per_peer,
            ),
            blind_s=lambda now_s: max(self._lag.blind_s(now_s), self._desk.blind_s(now_s)),
        )
        self._admin, admin_port = await start_admin(
            config.admin,
            self._snapshot,
            self._ready,
            self._status,
            extend=self._extend_admin,
        )
        for model in config.models:
            self._accounts.open(model, "")
        self._accounts.open(OTHER, OTHER)
        await self._learn_models()
        self._tasks = [
            asyncio.create_task(self._keep_learning()),
            asyncio.create_task(self._lag.keep_measuring()),
            asyncio.create_task(self._tls.keep_renewing()),
            asyncio.create_task(self._accounts.keep_counting()),
        ]
        if self._visiting is not None:
            await self._visiting.start()
        self._gc_pauses.start()
        gc.collect()
        gc.freeze()  # what lives until the end need not be looked at by every collection
        gc.set_threshold(GARBAGE)
        port = await front.listen(config.listen, tls=self._tls.server, reuse_port=self._reuse_port)
        self._front = front
        return Address(config.listen.host, port), Address(config.admin.host, admin_port)

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
            self._ledger.in_flight and self._clock() - started_s < self._config.drain_grace
        ):
            await asyncio.sleep(0.02)
        if self._front is not None:
            await self._front.close(grace_s=0.1)
        self._timekeeper.stop_all()  # calls that run on without a client
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._upstream.close()
        self._timekeeper.close()
        self._gc_pauses.stop()
        if self._visiting is not None:
            await self._visiting.close()
        await self._accounts.close()
        if self._admin is not None:
            await self._admin.cleanup()

    async def _keep_learning(self) -> None:
        """Probe the upstream for ever; each time it becomes ready, ask again what models it has."""
        was_ready = self._upstream.ready
        while True:
            ready = await self._upstream.probe()
            if ready and not was_ready:
                await self._learn_models()
            was_ready = ready
            await asyncio.sleep(PROBE_INTERVAL_S)

    async def _learn_models(self) -> None:
        """Open the books of every model the upstream lists, so that its metrics begin at zero."""
        if not await self._upstream.probe():
            return
        try:
            listed = await self._upstream.models()
        except CallFailed as failure:
            _log.warning("upstream %s does not list its models: %s", self._upstream.address, failure)
            return
        for model, version in listed:
            if self._known.learn(model, version):
                self._accounts.open(*self._known.labels(model, version))

    def _extend_admin(self, application: web.Application) -> None:
        add_feedback(application, self._accounts.labels)
        add_live(application, Feed(self._picture))

    def _picture(self) -> dict[str, object]:
        """What the live page shows."""
        now_s = time.time()
        return {"quality": self._accounts.monitor.snapshot(now_s), "proxy": self._status(), "at_unix_s": now_s}

    def _ready(self) -> bool:
        return self._upstream.ready and not self._admit.draining

    def _status(self) -> dict[str, object]:
        return status_document(
            self._config,
            self._ledger,
            upstream_ready=self._upstream.ready,
            draining=self._admit.draining,
            connections=self._front.connections if self._front else 0,
            connection_ends=self._connection_ends(),
        )

    def _connection_ends(self) -> dict[str, int]:
        return {end.value: count for end, count in self._front.ends.items()} if self._front else {}

    def _snapshot(self) -> Snapshot:
        front = self._front
        gauges = replace(
            self._accounts.gauges(),
            upstreams={str(self._upstream.address): self._upstream.ready},
            loop_lag=self._lag.histogram.copy(),
            gc_pauses=self._gc_pauses.histogram.copy(),
            connections=front.connections if front else 0,
            connection_ends=self._connection_ends(),
            held_bytes=self._held.bytes,
            certificate_expiries_s=self._tls.expiries_s(),
            tls=self._tls.counts(),
        )
        return Snapshot(self._ledger, gauges)
