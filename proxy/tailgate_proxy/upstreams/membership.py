"""Who belongs to a pool: servers that come and go with the addresses of a name, and how each stands.

Who is left out is decided in `tailgate.policy`. Which of those in use gets a call must not live here (`pool`), nor how
one is asked how it is (`prober`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from tailgate.config import Address
from tailgate.policy.health import Probe
from tailgate.policy.selection import select
from tailgate_proxy.upstreams.member import Member, Tally
from tailgate_proxy.upstreams.places import Place, Places
from tailgate_proxy.upstreams.prober import Learn, Prober
from tailgate_proxy.upstreams.upstream import Upstream

DRAIN_S: Final = 60.0
"""A member that has vanished from its name's addresses may take so long to finish what it has."""
MOST_VANISHED: Final = 100
"""So many addresses that have vanished are still counted."""

Reach = Callable[[Place], Upstream]
"""Makes the way to a server; nothing is connected yet."""

_log = logging.getLogger(__name__)


class Membership:
    """Of one pool.

    Attributes:
        members: Those that may get calls.
        draining: Those that have vanished and finish what they have, with the instant since when.
        tallies: What became of the calls to each address, also to those that have vanished.
        in_use: Those members that get them.
        several: Whether there is more than one member.
        panic: Whether so many would be left out that all are used.
    """

    def __init__(self, name: str, addresses: Sequence[Address], reach: Reach, clock: Callable[[], float]) -> None:
        """Nobody is asked anything before `start`.

        Args:
            name: Of the pool.
            addresses: Where its servers are.
            reach: Makes the way to one.
            clock: Tells the time.
        """
        self.members: list[Member] = []
        self.draining: dict[Member, float] = {}
        self.tallies: dict[str, Tally] = {}
        self.in_use: list[Member] = []
        self.several = False
        self.panic = False
        self._name = name
        self._reach = reach
        self._clock = clock
        self._learn: Learn | None = None
        self._probers: dict[Member, Prober] = {}
        self._places = Places(addresses, self._move)
        self._move(self._places.all)

    @property
    def ready(self) -> bool:
        """Whether any member is."""
        now_s = self._clock()
        return any(member.health.ready(now_s) for member in self.members)

    async def start(self, learn: Learn) -> None:
        """Ask every member how it is, once; then go on asking.

        Args:
            learn: Told of the models that are listed.
        """
        await self._places.start()
        self._learn = learn
        probers = [self._ask(member, learn) for member in self.members]
        await asyncio.gather(*(prober.look() for prober in probers))
        for prober in probers:
            prober.start(at_once=False)

    def change(self, addresses: Sequence[Address]) -> None:
        """Have members at these addresses from now on; others finish what they have."""
        self._places.change(addresses)

    def look_soon(self) -> None:
        """Resolve names anew before long: somebody was not where he was."""
        self._places.look_soon()

    def refresh(self) -> None:
        """See anew who is in use."""
        now_s = self._clock()
        selection = select([member.standing(now_s) for member in self.members])
        self.in_use = [self.members[number] for number in selection.members]
        panic = selection.panic and self.several
        if panic != self.panic:
            self.panic = panic
            how = "too few are well: all are used" if panic else "enough are well again"
            _log.warning("of upstream %r %s", self._name, how)

    async def tick(self) -> None:
        """Do what time alone brings."""
        now_s = self._clock()
        for member, since_s in list(self.draining.items()):
            if not member.outstanding or now_s - since_s >= DRAIN_S:
                await self._have_done_with(member)
        self.refresh()

    async def ask_no_more(self) -> None:
        """Neither names nor members are asked anything from now on."""
        await self._places.close()
        await asyncio.gather(*(prober.close() for prober in self._probers.values()))

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(member.upstream.close() for member in (*self.members, *self.draining)))

    def _move(self, places: list[Place]) -> None:
        """Have members there, and nowhere else; those that are no longer there finish what they have."""
        known = {member.place: member for member in self.members}
        self.members = [known.pop(place) if place in known else self._member(place) for place in places]
        for member in known.values():
            _log.info("upstream %s has vanished from the addresses of %s", member.name, member.place.address.host)
            self.draining[member] = self._clock()
        self.several = len(self.members) > 1
        self.refresh()

    def _member(self, place: Place) -> Member:
        member = Member(place, self._reach(place), self.tallies.setdefault(place.name, Tally()))
        if self._learn is not None:
            _log.info("upstream %s is new among the addresses of %s", member.name, place.address.host)
            self._ask(member, self._learn).start(at_once=True)
        return member

    def _ask(self, member: Member, learn: Learn) -> Prober:
        prober = self._probers[member] = Prober(member, learn=learn, on_found=self._found, clock=self._clock)
        return prober

    def _found(self, probe: Probe) -> None:
        """A member was asked how it is."""
        if probe is Probe.UNREACHABLE:
            self._places.look_soon()
        self.refresh()

    async def _have_done_with(self, member: Member) -> None:
        del self.draining[member]
        used = {one.name for one in (*self.members, *self.draining)}
        vanished = [name for name in self.tallies if name not in used]
        for name in vanished[: max(0, len(vanished) - MOST_VANISHED)]:
            del self.tallies[name]
        prober = self._probers.pop(member, None)
        if prober is not None:
            await prober.close()
        await member.upstream.close()
