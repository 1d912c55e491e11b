"""All pools of a proxy, by name: which of them a request goes to, and how all of them are."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Iterator
from functools import partial

from tailgate.gauges import MemberCounts
from tailgate_proxy.call import Requester
from tailgate_proxy.config import ProxyConfig, UpstreamConfig
from tailgate_proxy.held import Held
from tailgate_proxy.pipeline import Watched
from tailgate_proxy.profiles import PROFILES
from tailgate_proxy.upstreams.places import Place
from tailgate_proxy.upstreams.pool import Pool
from tailgate_proxy.upstreams.upstream import Upstream
from tailgate_proxy.wire.link import Desk

LearnOf = Callable[[str, list[tuple[str, str]]], None]
"""Takes a pool's name, and names and versions of models that a member of it lists."""


class Pools:
    """The pools.

    Attributes:
        by_name: Each of them that is configured.
        changes: How often that has changed.
    """

    def __init__(
        self,
        config: ProxyConfig,
        desk: Desk,
        held: Held,
        tls: ssl.SSLContext | None,
        watch: Callable[[Watched], None],
    ) -> None:
        """As the configuration names them; nobody is connected to before `start`. `watch` has `time_up` called once a
        limit has passed.
        """
        max_message_bytes = config.max_message_mib << 20

        def reach(place: Place) -> Upstream:
            return Upstream(place.address, desk, held, max_message_bytes, tls, at=place.at)

        self._clock = desk.loop.time
        self._watch = watch
        self._reach = reach
        self.by_name = {name: self._pool(name, upstream) for name, upstream in config.pools.items()}
        self._retired: dict[str, tuple[Pool, int]] = {}
        self.changes = 0

    def begin(self, requester: Requester) -> None:
        """Make a call in the pool that it is for."""
        pool = self.by_name.get(requester.pool)
        if pool is None:  # the request is older than the configuration
            pool, _ = self._retired[requester.pool]
        pool.begin(requester)

    async def start(self, learn: LearnOf) -> None:
        """Ask every member how it is, once; then go on asking."""
        await asyncio.gather(*(pool.start(partial(learn, pool.name)) for pool in self))

    async def change(self, config: ProxyConfig, learn: LearnOf) -> None:
        """Have the pools of another configuration. Those that are new have been asked how they are when this returns;
        those that are no more stay for requests that are older than this, until `let_go`.
        """
        wanted = config.pools
        for name in [name for name in self._retired if name in wanted]:
            self.by_name[name], _ = self._retired.pop(name)
        new = {name: self._pool(name, upstream) for name, upstream in wanted.items() if name not in self.by_name}
        await asyncio.gather(*(pool.start(partial(learn, name)) for name, pool in new.items()))
        self.changes += 1
        for name in [name for name in self.by_name if name not in wanted]:
            self._retired[name] = self.by_name.pop(name), self.changes
        for name, pool in self.by_name.items():
            pool.change(PROFILES[wanted[name].profile], wanted[name].addresses)
            pool.hedges.use(wanted[name].hedge_after, wanted[name].hedge_budget)
        self.by_name |= new

    def busy(self, until: int) -> bool:
        """Whether calls have not ended at a pool that was no more at this one of the changes."""
        gone = (pool.membership for pool, change in self._retired.values() if change <= until)
        return any(one.outstanding for each in gone for one in (*each.members, *each.draining))

    async def let_go(self, until: int) -> None:
        """Close the pools that were no more at this one of the changes, and are not again by now."""
        while gone := [name for name, (_, change) in self._retired.items() if change <= until]:
            pool, _ = self._retired.pop(gone[0])
            await pool.close()  # there may be another change meanwhile

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(pool.close() for pool in self))

    @property
    def ready(self) -> bool:
        """Whether any pool has a member that is ready: a proxy that can answer some requests is not to be sent none."""
        return any(pool.membership.ready for pool in self.by_name.values())

    def counts(self) -> dict[tuple[str, str], MemberCounts]:
        """How every member is, by pool and address."""
        found: dict[tuple[str, str], MemberCounts] = {}
        now_s = self._clock()
        for pool in self:
            for name, tally in pool.membership.tallies.items():
                members = [member for member in pool.membership.members if member.name == name]
                draining = [member for member in pool.membership.draining if member.name == name]
                found[pool.name, name] = MemberCounts(
                    ready=any(member.health.ready(now_s) for member in members),
                    ejected=any(member.ejection.out(now_s) for member in members),
                    outstanding=sum(member.outstanding for member in (*members, *draining)),
                    results={result.value: count for result, count in tally.results.items()},
                    repeats=tally.repeats,
                    ejections=tally.ejections,
                    hedges=tally.hedges,
                    hedges_won=tally.hedges_won,
                )
        return found

    def retries_refused(self) -> dict[str, int]:
        """Requests that were not tried again for want of a budget, by pool."""
        return {pool.name: pool.budget.refused for pool in self}

    def unhedged(self) -> dict[tuple[str, str], int]:
        """Requests that were given to nobody else although their call was slow, by pool and by why."""
        return {
            (pool.name, why.value): count
            for pool in self
            if pool.hedges.hedging is not None
            for why, count in pool.hedges.hedging.unhedged.items()
        }

    def __iter__(self) -> Iterator[Pool]:
        """Each of them, those included that only older requests can go to."""
        return iter([*self.by_name.values(), *(pool for pool, _ in self._retired.values())])

    def _pool(self, name: str, upstream: UpstreamConfig) -> Pool:
        pool = Pool(
            name,
            PROFILES[upstream.profile],
            upstream.addresses,
            reach=self._reach,
            clock=self._clock,
            draw=random.random,
            watch=self._watch,
        )
        pool.hedges.use(upstream.hedge_after, upstream.hedge_budget)
        return pool
