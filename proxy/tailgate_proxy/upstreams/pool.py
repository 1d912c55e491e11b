"""A pool: servers that do the same, of which each call goes to one.

Which one, who is left out, and what may be made again is decided in `tailgate.policy`; here are the members, the timers
and the clock. Nothing of a call must live here (`attempt`), nor of a connection (`upstream`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from tailgate.config import Address
from tailgate.http2.events import Field
from tailgate.policy.attempts import BAD, GOOD, Result
from tailgate.policy.health import Probe
from tailgate.policy.retry_budget import RetryBudget
from tailgate.policy.selection import choose, select
from tailgate_proxy.background import in_background
from tailgate_proxy.call import Answer, CallFailed, Requester, Second
from tailgate_proxy.pipeline import Watched
from tailgate_proxy.profiles import Profile
from tailgate_proxy.upstreams.attempt import Attempt
from tailgate_proxy.upstreams.hedges import Hedges
from tailgate_proxy.upstreams.member import Member, Tally
from tailgate_proxy.upstreams.places import Place, Places
from tailgate_proxy.upstreams.prober import Learn, Prober
from tailgate_proxy.upstreams.upstream import Upstream

TICK_S: Final = 0.5
"""How often is done what time alone brings."""
LEFT_S: Final = 60.0
"""A call that was left to finish is cancelled all the same after so long: its batch is over, or will never be."""
FAREWELL_S: Final = 2.0
"""Longest wait for such calls when the proxy stops: with the connection they would be cancelled, and harm others."""

DRAIN_S: Final = 60.0
"""A member that has vanished from its name's addresses may take so long to finish what it has."""
MOST_VANISHED: Final = 100
"""So many addresses that have vanished are still counted."""

Reach = Callable[[Place], Upstream]
"""Makes the way to a server; nothing is connected yet."""

_log = logging.getLogger(__name__)


class Pool:
    """One pool.

    Attributes:
        name: As the configuration and metrics name it.
        profile: What kind of server its members are.
        members: Those that may get calls.
        draining: Those that have vanished and finish what they have, with the instant since when.
        tallies: What became of the calls to each address, also to those that have vanished.
        budget: What may be made again.
        hedges: Calls that are made while another one is at work for the same request.
        panic: Whether so many would be left out that all are used.
    """

    def __init__(
        self,
        name: str,
        profile: Profile,
        addresses: Sequence[Address],
        *,
        reach: Reach,
        clock: Callable[[], float],
        draw: Callable[[], float],
        watch: Callable[[Watched], None],
    ) -> None:
        """Nobody is asked anything before `start`.

        Args:
            name: Of the pool.
            profile: Of its servers.
            addresses: Where they are.
            reach: Makes the way to one.
            clock: Tells the time.
            draw: Gives random numbers that are even in [0, 1).
            watch: Has `time_up` called once a limit has passed.
        """
        self.name = name
        self.profile = profile
        self.members: list[Member] = []
        self.draining: dict[Member, float] = {}
        self.tallies: dict[str, Tally] = {}
        self.budget = RetryBudget()
        self.hedges = Hedges(self, self.budget, watch, clock)
        self.panic = False
        self._reach = reach
        self._clock = clock
        self._draw = draw
        self._in_use: list[Member] = []
        self._several = False
        self._waiting: set[Attempt] = set()  # for a connection
        self._gone: set[Attempt] = set()  # left to finish
        self._learn: Learn | None = None
        self._probers: dict[Member, Prober] = {}
        self._ticking: asyncio.Task[None] | None = None
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
        self._ticking = in_background(self._keep_ticking(), f"looking after upstream {self.name!r}")

    def change(self, profile: Profile, addresses: Sequence[Address]) -> None:
        """Have members at these addresses, of this kind, from now on; others finish what they have."""
        self.profile = profile
        self._places.change(addresses)

    def begin(self, requester: Requester) -> None:
        """Make a call for it, to one of the members; its `begun`, or its `failed`, follows."""
        now_s = self._clock()
        tried = requester.tried
        candidates = self._in_use
        if tried:
            candidates = [member for member in candidates if member.name not in tried] or candidates
        member = candidates[0]
        if len(candidates) > 1:
            member = candidates[choose([one.outstanding for one in candidates], self._draw)]
        if tried:
            self.budget.spend(now_s)
            member.tally.repeats += 1
        else:
            self.budget.request(now_s)
        hedging = self.hedges.hedging
        if hedging is not None and not tried:
            hedging.request()
        self._make(Attempt(requester, member, now_s, self.profile, self, hedged=hedging is not None))

    async def call(self, path: bytes, body: bytes, fields: list[Field], timeout_s: float) -> Answer:
        """One call that is no inference, whole; of one member, and of another where that one cannot be reached.

        Raises:
            CallFailed: It did not end with OK.
        """
        until_s = self._clock() + timeout_s
        *others, last = sorted(self._in_use, key=lambda one: one.outstanding)
        for member in others:
            try:
                return await member.upstream.call(path, body, fields, until_s - self._clock())
            except CallFailed as failure:
                if failure.result is not Result.UNREACHABLE:
                    raise
        return await last.upstream.call(path, body, fields, until_s - self._clock())

    async def close(self) -> None:
        """Ask nobody any more, and close every connection."""
        await self._places.close()
        await asyncio.gather(*(prober.close() for prober in self._probers.values()))
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        until_s = self._clock() + FAREWELL_S
        while self._gone and self._clock() < until_s:
            await asyncio.sleep(0.02)
        for attempt in [*self._gone, *self._waiting]:
            attempt.give_up()
        await asyncio.gather(*(member.upstream.close() for member in (*self.members, *self.draining)))

    # -- a Book, as attempts see it ------------------------------------------------------------------------------------

    def began(self, attempt: Attempt) -> None:
        """It waits for no connection any more."""
        self._waiting.discard(attempt)

    def sent(self, attempt: Attempt) -> None:
        """All of its body was given to its connection."""
        self.hedges.sent(attempt)

    def left(self, attempt: Attempt) -> None:
        """Its requester has gone, and it goes on; what that says of the member is said now."""
        attempt.gone_s = self._clock()
        self._gone.add(attempt)
        self._note(attempt, attempt.gone or Result.CANCELLED)

    def heard(self, attempt: Attempt) -> None:
        """It was answered, though nobody waits for that any more: the member does not hang."""
        attempt.member.heard_s = self._clock()

    def settled(self, attempt: Attempt, result: Result) -> None:
        """It has ended."""
        member = attempt.member
        member.outstanding -= 1
        member.tally.results[result] += 1
        member.tally.hedges_won += attempt.hedge and result is Result.ANSWERED
        self._waiting.discard(attempt)
        if attempt.gone is not None:
            self._gone.discard(attempt)
        elif self._several or result is not Result.ANSWERED:
            self._note(attempt, result)

    def may_repeat(self, attempt: Attempt, failure: CallFailed, result: Result) -> bool:
        """Whether the request may be tried again.

        A call that was refused, which the server cannot have begun, is made again whatever the budget says (and is paid
        from it): it is the server that says how many at once it takes, and each waits for a place. One that never left
        the proxy has cost no server anything. Both are bounded by the deadline and by `MOST_TRIES`.
        """
        requester = attempt.requester
        if not requester.repeatable:
            return False
        if failure.retryable:
            return True
        tried = (*requester.tried, attempt.member.name)
        if all(member.name in tried for member in self._in_use):
            return False  # to ask again who has just said no would be no help
        if result is Result.UNREACHABLE:
            return True
        safe = result is not Result.LOST and failure.status in self.profile.repeated
        return safe and self.budget.allows(self._clock())

    # -- Elsewhere, as hedges see it -----------------------------------------------------------------------------------

    def others(self, first: Attempt) -> list[Member]:
        """Those that a second call could be made to; none where the first could not be cancelled for it, nor in panic,
        in which nobody is known to be well.
        """
        if self.panic or not self.profile.cancels:
            return []
        return [member for member in self._in_use if member is not first.member and member.upstream.connected]

    def hedge(self, second: Second, others: list[Member]) -> None:
        """Make it to one of them."""
        member = others[choose([one.outstanding for one in others], self._draw)]
        member.tally.hedges += 1
        self._make(Attempt(second, member, self._clock(), self.profile, self, hedge=True))

    # -- inner ---------------------------------------------------------------------------------------------------------

    def _make(self, attempt: Attempt) -> None:
        """Hand a call to a connection of its member, now or when there is one."""
        attempt.member.outstanding += 1
        attempt.member.upstream.begin(attempt)
        if not attempt.under_way and not attempt.over:
            self._waiting.add(attempt)

    def _note(self, attempt: Attempt, result: Result) -> None:
        """What the end of a call says of its member."""
        member = attempt.member
        if result in GOOD:
            member.heard_s = now_s = self._clock()
            member.ejection.succeeded(now_s)
        elif result in BAD or (result is Result.DEADLINE and member.heard_s < attempt.made_s):
            # To leave out the only one there is would help nobody.
            if self._several and member.ejection.failed(self._clock()):
                member.tally.ejections += 1
                _log.warning("upstream %s is left out for a while: its calls fail (%s)", member.name, result.value)
            if result in (Result.UNREACHABLE, Result.LOST):
                self._places.look_soon()
            self._refresh()

    def _move(self, places: list[Place]) -> None:
        """Have members there, and nowhere else; those that are no longer there finish what they have."""
        known = {member.place: member for member in self.members}
        self.members = [known.pop(place) if place in known else self._member(place) for place in places]
        for member in known.values():
            _log.info("upstream %s has vanished from the addresses of %s", member.name, member.place.address.host)
            self.draining[member] = self._clock()
        self._several = len(self.members) > 1
        self._refresh()

    def _member(self, place: Place) -> Member:
        member = Member(place, self._reach(place), self.tallies.setdefault(place.name, Tally()))
        if self._learn is not None:
            _log.info("upstream %s is new among the addresses of %s", member.name, place.address.host)
            self._ask(member, self._learn).start(at_once=True)
        return member

    def _ask(self, member: Member, learn: Learn) -> Prober:
        prober = self._probers[member] = Prober(member, learn=learn, on_found=self._found, clock=self._clock)
        return prober

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

    def _refresh(self) -> None:
        """See anew who is in use."""
        now_s = self._clock()
        selection = select([member.standing(now_s) for member in self.members])
        self._in_use = [self.members[number] for number in selection.members]
        panic = selection.panic and self._several
        if panic != self.panic:
            self.panic = panic
            how = "too few are well: all are used" if panic else "enough are well again"
            _log.warning("of upstream %r %s", self.name, how)

    def _found(self, probe: Probe) -> None:
        """A member was asked how it is."""
        if probe is Probe.UNREACHABLE:
            self._places.look_soon()
        self._refresh()

    async def _keep_ticking(self) -> None:
        """Do what time alone brings."""
        while True:
            await asyncio.sleep(TICK_S)
            now_s = self._clock()
            for attempt in [one for one in self._waiting if not one.wanted]:
                attempt.give_up()
            for attempt in [one for one in self._gone if now_s - one.gone_s >= LEFT_S]:
                attempt.give_up()
            for member, since_s in list(self.draining.items()):
                if not member.outstanding or now_s - since_s >= DRAIN_S:
                    await self._have_done_with(member)
            self._refresh()
