"""What the proxy does at present, by its configuration, and how that becomes another one.

A request goes on by what it began with: every change makes a new pipeline for those that come after it, and what only
the older ones need goes when the last of them has ended. What is counted is counted in the same books all the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from tailgate.errors import Status
from tailgate.gauges import ShadowCounts
from tailgate.http2.events import Field
from tailgate.policy.reserve import Reserve
from tailgate.protocol.envelope import NO_ENVELOPE, read_envelope
from tailgate_proxy.accounts import Accounts
from tailgate_proxy.background import in_background
from tailgate_proxy.call import Answer, CallFailed
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.connection_limits import ConnectionLimits
from tailgate_proxy.control import ABOUT_A_MODEL, CONTROL_TIMEOUT_S, SERVER_READY
from tailgate_proxy.held import Held
from tailgate_proxy.known_models import OTHER, KnownModels
from tailgate_proxy.pipeline import Gate, Pipeline, Watched, build_pipeline
from tailgate_proxy.routes import build_routes
from tailgate_proxy.shadows.shadows import Shadows
from tailgate_proxy.steps.admit import Admit
from tailgate_proxy.steps.enter import build_entrances
from tailgate_proxy.steps.observe import Observe
from tailgate_proxy.upstreams.pool import LEFT_S
from tailgate_proxy.upstreams.pools import Pools

RETIRE_S: Final = 0.5
"""How often is looked whether the last request of an older configuration has ended."""


class Port(Protocol):
    """Where requests come from."""

    def use(self, pipeline: Pipeline, limits: ConnectionLimits, max_in_flight: int) -> None:
        """Do so with what comes from now on."""
        ...


class Current:
    """What is done at present.

    Attributes:
        config: By which configuration.
        routes: Of it.
        known: Names of models and versions that are counted apart.
        entrances: To the upstreams.
        ports: Where requests come from; they are told of what changes.
        accounts: The books.
        shadows: What is mirrored, and its books.
        reserve: Says how much less upstreams are told than requests have left.
    """

    def __init__(
        self,
        config: ProxyConfig,
        *,
        pools: Pools,
        accounts: Callable[[tuple[str, ...]], Accounts],
        admit: Admit,
        held: Held,
        watch: Callable[[Watched], None],
        clock: Callable[[], float],
        refuse_stranger: Gate | None,
    ) -> None:
        """Nobody is asked anything before `start`.

        Args:
            config: What to do.
            pools: The upstreams.
            accounts: Makes the books, with these slices.
            admit: Takes so many at once.
            held: Bounds what waits.
            watch: Has those called that have an end in time.
            clock: Tells the time.
            refuse_stranger: Lets in; None: everybody comes in.

        Raises:
            ConfigError: A file that the configuration names cannot be used.
        """
        self.config = config
        self.routes = build_routes(config)
        self.known = KnownModels(config.models)
        self.entrances = build_entrances(config, self.routes.longest_deadline_s, self.known, clock)
        self.accounts = accounts(self.routes.slices)
        self.ports: list[Port] = []
        self._pools = pools
        self._admit = admit
        self._held = held
        self._watch = watch
        self._clock = clock
        self._refuse_stranger = refuse_stranger
        self.reserve = Reserve()
        self.shadows = Shadows(
            self.accounts.copies,
            KnownModels(config.models),
            self.accounts.copy_labels,
            begin=pools.begin,
            watch=watch,
            soon=asyncio.get_running_loop().call_soon,
            clock=clock,
            crowded=self._crowded,
            reserve=self.reserve,
        )
        self._coming = config  # by which upstreams are asked for their models: the next one, while that is prepared
        self._observes: list[Observe] = []  # of every pipeline that may still have requests, the newest last
        self._retiring: set[asyncio.Task[None]] = set()

    async def start(self) -> Pipeline:
        """Ask the upstreams how they are; returns what is to be done with requests."""
        self._open_books()
        self.accounts.open(OTHER, OTHER)
        await self._pools.start(self._learn)
        return self._pipeline()

    async def change(self, config: ProxyConfig) -> None:
        """Go by another configuration from now on, which differs in what may change.

        Raises:
            ConfigError: A file that it names cannot be used; nothing has changed then.
        """
        routes = await asyncio.to_thread(build_routes, config)
        self._coming = config
        await self._pools.change(config, self._learn)
        # From here on nothing waits: whatever comes sees either all of the old or all of the new.
        self.config, self.routes = config, routes
        self.known.configure(config.models)
        self.shadows.known.configure(config.models)
        self.entrances.expect(routes.longest_deadline_s)
        for pool in config.pools:
            self.entrances.open(pool)
        self._admit.allow(config.max_in_flight)
        self._held.max_bytes = config.max_held_mib << 20
        self.accounts.use(config)
        self._open_books()
        pipeline, limits = self._pipeline(), self.limits
        for port in self.ports:
            port.use(pipeline, limits, config.max_in_flight)
        task = in_background(self._retire(), "letting go of upstreams that are configured no more")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    @property
    def shadow_counts(self) -> ShadowCounts | None:
        """What was mirrored; None where nothing ever was to be."""
        mirrors = any(route.shadow is not None for route in self.config.routes)
        return self.shadows.counts() if mirrors or self.shadows.ledger.received else None

    async def close(self) -> None:
        """Wait for no older request any more."""
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)

    @property
    def limits(self) -> ConnectionLimits:
        """For connections that are made now."""
        config = self.config
        return ConnectionLimits(
            settle_s=config.handshake_timeout,
            midway_s=config.handshake_timeout,
            stall_s=config.stall_timeout,
            idle_s=config.idle_timeout,
            most=config.max_connections,
            most_of_peer=config.max_connections_per_peer,
        )

    async def pass_on(self, path: bytes, body: bytes, fields: list[Field], timeout_s: float) -> Answer:
        """A call that is no inference: to the upstream that has the model it asks about. Whether it is ready, a proxy
        that is about to stop knows by itself.

        Raises:
            CallFailed: It did not end with OK.
            InvalidRequest: Its message cannot be read.
        """
        if path == SERVER_READY and self._admit.draining:
            raise CallFailed(Status.UNAVAILABLE, "the proxy is shutting down")
        envelope = read_envelope(body) if path in ABOUT_A_MODEL else NO_ENVELOPE
        return await self._pools.by_name[self.routes.pool_of(envelope)].call(path, body, fields, timeout_s)

    def _pipeline(self) -> Pipeline:
        accounts = self.accounts
        observe = Observe(
            accounts.ledger,
            self.known,
            accounts.sinks,
            accounts.monitor.expect,
            accounts.monitor.fall_due,
            reserve=self.reserve,
        )
        self._observes = [*(one for one in self._observes if one.in_flight), observe]
        return build_pipeline(
            self.config,
            self.routes,
            clock=self._clock,
            observe=observe,
            admit=self._admit,
            begin=self._pools.begin,
            watch=self._watch,
            held=self._held,
            refuse_stranger=self._refuse_stranger,
            entrances=self.entrances,
            shadows=self.shadows,
        )

    def _crowded(self) -> bool:
        """Whether requests need the room that copies of them would take."""
        return self._admit.half_full or self.entrances.waiting > 0 or 2 * self._held.bytes > self._held.max_bytes

    def _open_books(self) -> None:
        for model in self.config.models:
            self.accounts.open(model, "")

    def _learn(self, pool: str, listed: list[tuple[str, str]]) -> None:
        """Open the books of every model that an upstream lists, so that its metrics begin at zero."""
        config = self._coming
        if pool not in config.pools:
            return  # it is about to be let go
        suffix, routes = config.pools[pool].version_suffix, config.routes
        mirrored = any(route.shadow == pool for route in routes)
        serves = pool == config.default_pool or any(pool in route.to for route in routes)
        for model, version in listed:
            if mirrored:
                self.shadows.learn(model, version + suffix, pool, self.routes.slices)
            if serves and self.known.learn(model, version + suffix, pool):
                self.accounts.open(*self.known.labels(model, version + suffix))

    async def _retire(self) -> None:
        """Let go of upstreams that are configured no more, once nobody can need them: a request may begin its call for
        as long as it has not ended, no call that is no inference takes longer than so, and what goes on without anybody
        who waits for it, because its end would harm others or because it is a copy, has its time, too.
        """
        older, until = self._observes[:-1], self._pools.changes
        await asyncio.sleep(CONTROL_TIMEOUT_S)
        while any(observe.in_flight for observe in older):
            await asyncio.sleep(RETIRE_S)
        last_s = self._clock() + LEFT_S
        while self._pools.busy(until) and self._clock() < last_s:
            await asyncio.sleep(RETIRE_S)
        await self._pools.let_go(until)
        self.entrances.keep({pool.name for pool in self._pools})
