"""A pool: servers that do the same, of which each call goes to one.

Which one, and what may be made again is decided in `tailgate.policy`; here are the calls, the timers and the clock. Who
is there to be called must not live here (`membership`), nor what a call is (`attempt`), nor a connection (`upstream`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from tailgate.config import Address
from tailgate.http2.events import Field
from tailgate.policy.attempts import BAD, GOOD, Result
from tailgate.policy.retry_budget import RetryBudget
from tailgate.policy.selection import choose
from tailgate_proxy.background import in_background
from tailgate_proxy.call import Answer, CallFailed, Requester, Second
from tailgate_proxy.pipeline import Watched
from tailgate_proxy.profiles import Profile
from tailgate_proxy.upstreams.attempt import Attempt
from tailgate_proxy.upstreams.hedges import Hedges
from tailgate_proxy.upstreams.member import Member
from tailgate_proxy.upstreams.membership import Membership, Reach
from tailgate_proxy.upstreams.prober import Learn

TICK_S: Final = 0.5
"""How often is done what time alone brings."""
LEFT_S: Final = 60.0
"""A call that was left to finish is cancelled all the same after so long: its batch is over, or will never be."""
FAREWELL_S: Final = 2.0
"""Longest wait for such calls when the proxy stops: with the connection they would be cancelled, and harm others."""

_log = logging.getLogger(__name__)


class Pool:
    """One pool.

    Attributes:
        name: As the configuration and metrics name it.
        profile: What kind of server its members are.
        membership: Who they are.
        budget: What may be made again.
        hedges: Calls that are made while another one is at work for the same request.
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
        self.membership = Membership(name, addresses, reach, clock)
        self.budget = RetryBudget()
        self.hedges = Hedges(self, self.budget, watch, clock)
        self._clock = clock
        self._draw = draw
        self._waiting: set[Attempt] = set()  # for a connection
        self._gone: set[Attempt] = set()  # left to finish
        self._ticking: asyncio.Task[None] | None = None

    async def start(self, learn: Learn) -> None:
        """Ask every member how it is, once; then go on asking.

        Args:
            learn: Told of the models that are listed.
        """
        await self.membership.start(learn)
        self._ticking = in_background(self._keep_ticking(), f"looking after upstream {self.name!r}")

    def change(self, profile: Profile, addresses: Sequence[Address]) -> None:
        """Have members at these addresses, of this kind, from now on; others finish what they have."""
        self.profile = profile
        self.membership.change(addresses)

    def begin(self, requester: Requester) -> None:
        """Make a call for it, to one of the members; its `begun`, or its `failed`, follows."""
        now_s = self._clock()
        tried = requester.tried
        candidates = self.membership.in_use
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
        *others, last = sorted(self.membership.in_use, key=lambda one: one.outstanding)
        for member in others:
            try:
                return await member.upstream.call(path, body, fields, until_s - self._clock())
            except CallFailed as failure:
                if failure.result is not Result.UNREACHABLE:
                    raise
        return await last.upstream.call(path, body, fields, until_s - self._clock())

    async def close(self) -> None:
        """Ask nobody any more, and close every connection."""
        await self.membership.ask_no_more()
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        until_s = self._clock() + FAREWELL_S
        while self._gone and self._clock() < until_s:
            await asyncio.sleep(0.02)
        for attempt in [*self._gone, *self._waiting]:
            attempt.give_up()
        await self.membership.close()

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

    def freed(self, attempt: Attempt) -> None:
        """Its member has one less to do."""
        attempt.member.outstanding -= 1

    def settled(self, attempt: Attempt, result: Result) -> None:
        """It has ended."""
        member = attempt.member
        member.tally.results[result] += 1
        member.tally.hedges_won += attempt.hedge and result is Result.ANSWERED
        self._waiting.discard(attempt)
        if attempt.gone is not None:
            self._gone.discard(attempt)
        elif self.membership.several or result is not Result.ANSWERED:
            self._note(attempt, result)

    def may_repeat(self, attempt: Attempt, failure: CallFailed, result: Result) -> bool:
        """Whether the request may be tried again.

        A call that was refused, which the server cannot have begun, is made again whatever the budget says (and is paid
        from it): it is the server that says how many at once it takes, and each waits for a place. One that never left
        the proxy has cost no server anything. Both are bounded by the deadline and by `MOST_TRIES`. What else is safe
        follows from what a server of this kind says, and only where it says so itself: one whose answer was too large
        has done its work, and a gateway that gave up on it knows nothing.
        """
        requester = attempt.requester
        if not requester.repeatable:
            return False
        if failure.retryable:
            return True
        tried = (*requester.tried, attempt.member.name)
        if all(member.name in tried for member in self.membership.in_use):
            return False  # to ask again who has just said no would be no help
        if result is Result.UNREACHABLE:
            return True
        safe = failure.said and failure.status in self.profile.repeated
        return safe and self.budget.allows(self._clock())

    # -- Elsewhere, as hedges see it -----------------------------------------------------------------------------------

    def others(self, first: Attempt) -> list[Member]:
        """Those that a second call could be made to; none where the first could not be cancelled for it, nor in panic,
        in which nobody is known to be well.
        """
        if self.membership.panic or not self.profile.cancels:
            return []
        return [member for member in self.membership.in_use if member is not first.member and member.upstream.connected]

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
            if self.membership.several and member.ejection.failed(self._clock()):
                member.tally.ejections += 1
                _log.warning("upstream %s is left out for a while: its calls fail (%s)", member.name, result.value)
            if result in (Result.UNREACHABLE, Result.LOST):
                self.membership.look_soon()
            self.membership.refresh()

    async def _keep_ticking(self) -> None:
        """Do what time alone brings."""
        while True:
            await asyncio.sleep(TICK_S)
            now_s = self._clock()
            for attempt in [one for one in self._waiting if not one.wanted]:
                attempt.give_up()
            for attempt in [one for one in self._gone if now_s - one.gone_s >= LEFT_S]:
                attempt.give_up()
            await self.membership.tick()
