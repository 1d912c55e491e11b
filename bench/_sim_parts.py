"""The proxy's own parts, with somebody who watches what goes through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from bench._sim_network import SimConnection
from bench._sim_promises import Promises
from bench._sim_servers import WELL
from tailgate.observation import Observation
from tailgate.policy.health import Probe
from tailgate_proxy.accounts import Accounts
from tailgate_proxy.call import Requester, Second
from tailgate_proxy.passage import Passage
from tailgate_proxy.second_call import SecondCall
from tailgate_proxy.upstreams.member import Member
from tailgate_proxy.upstreams.pool import Pool
from tailgate_proxy.upstreams.pools import Pools
from tailgate_proxy.upstreams.upstream import Upstream


class WatchedPools(Pools):
    """The pools, with somebody who sees every call that is begun."""

    promises: Promises

    def begin(self, requester: Requester) -> None:
        """As it is, and seen."""
        assert isinstance(requester, Passage)
        self.promises.sent(requester)
        super().begin(requester)


class WatchedPool(Pool):
    """A pool, with somebody who sees every hedge."""

    def __init__(self, promises: Promises, *arguments: Any, **named: Any) -> None:
        """A pool."""
        self._promises = promises
        super().__init__(*arguments, **named)

    def hedge(self, second: Second, others: list[Member]) -> None:
        """As it is, and seen."""
        assert isinstance(second, SecondCall)
        self._promises.hedged(second)
        super().hedge(second, others)


class QuickUpstream(Upstream):
    """The way to a server, on which the usual probe is no work: the server is well, and has a place for it."""

    async def probe(self) -> Probe:
        """What it would find."""
        for connection in cast("list[SimConnection]", self._connections):  # as `Network.reach` makes them
            if connection.usable and not self._queue and connection.machine.now == WELL:
                return Probe.READY
        return await super().probe()


class Books(Accounts):
    """The real books; what is booked is seen."""

    promises: Promises

    @property
    def sinks(self) -> list[Callable[[Observation], None]]:
        """The ledger, and those who watch."""
        return [self.ledger.book, self.promises.booked]
