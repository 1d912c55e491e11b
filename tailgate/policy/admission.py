"""Who may be sent to an upstream now, who waits, and who is refused: one state machine for one upstream or pool.

    entered ──room──► sent ──────────────────────────► ended
       ├── waits ──its turn──┘                           ▲
       └── refused      └── expired, gives way, left ────┘

The limit on calls at once (`concurrency_limit`) keeps the waiting here, where it can be put in order and undone, rather
than at the upstream. How long one waits follows from what the upstream is at work on (`at_work`), or from the rate at
which places become free, the limit over the time of a call (Little): whichever has been right of late (`forecast`).
With the distribution of the upstream's time (`upstream_time`) that gives each request its chance to be answered in
time; who has none, or whom waiting costs its chance, is refused as it comes, and not only when its turn has come
(`false_refusals` says how strictly). More than deadline × rate cannot be waited out by anybody: that bounds the line.

An upstream that did its work and then answers nobody in time any more, because it stands still, say, is another for
that time: all are refused but those that are tried, and what it does then is not learned. With the first call in time
it is the one that it was.

Must not live here: what a request is, and how it is sent or refused.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Final, Generic

from tailgate.deadline import MAX_BUDGET_S
from tailgate.policy.at_work import AtWork
from tailgate.policy.concurrency_limit import ConcurrencyLimit
from tailgate.policy.darkness import Darkness
from tailgate.policy.false_refusals import CEILING, TIMES, UNDER_WAY, FalseRefusals
from tailgate.policy.ticket import Ended, Item, Refusal, State, Ticket
from tailgate.policy.upstream_time import UpstreamTime
from tailgate.policy.waiting_line import WaitingLine

__all__ = ["Admission", "Ended", "Refusal", "State", "Ticket"]

WORTH_WAITING: Final = 0.99
"""Waiting may cost a request a hundredth of the chance it came with: that much, at most, of what is sent under overload
is then late, and sent in vain."""
HOPELESS: Final = 0.1
"""Where there is room, only who has less than this chance is refused: trying costs nobody else anything but the
upstream's work."""
GIVES_WAY: Final = 0.9
"""At the front of the line one gives way if its chance is less than this share of the chance of the one in the middle:
then half of those who wait can make better use of the place. Of half that share at strictness 0: when overload sets in,
no place must be wasted until the strictness is back."""
WAY_BACK: Final = 0.05
"""This share of its budget has to be left of a request that waits once it is answered: its client's clock began to run
before ours, and the answer has to get there. Where somebody waits, another can make use of the place."""
DEVIATIONS: Final = 0.5
"""A wait may turn out longer than was foreseen. By so many standard deviations more it may be for one who waits; with
none more is sent in vain where deadlines differ, and with one bursts lose more than that costs."""
IN_THE_DARK: Final = 4.0
"""So many are tried within a budget while an upstream is dark, besides those that are tried by chance."""


class Admission(Generic[Item]):
    """One upstream or pool.

    Attributes:
        in_flight: Requests at the upstream.
        refusals: How strict to be, and how often that was wrong.
        would_refuse: Requests in mode observe that would have been refused.
    """

    def __init__(
        self,
        longest_s: float,
        *,
        fixed: int | None = None,
        most: int = 100_000,
        ceiling: float = CEILING,
        seed: int | None = None,
    ) -> None:
        """Nothing is known of the upstream.

        Args:
            longest_s: The longest deadline there is.
            fixed: How many are at the upstream at once; None: as many as it does best with.
            most: Never more than this.
            ceiling: Largest share of refusals for lateness that may be false.
            seed: Of what is left to chance.
        """
        self.longest_s = longest_s
        self._fixed = fixed
        self._adaptive = ConcurrencyLimit(most)
        self._at_work: AtWork[Item] = AtWork(self.limit)
        self._times: dict[Hashable, UpstreamTime] = {}
        self._line: WaitingLine[Ticket[Item]] = WaitingLine()
        self.refusals = FalseRefusals(ceiling, seed)
        self._darkness = Darkness()
        self._trying = 0  # of how many that are tried it is not known yet what comes of them
        self._short_s = -math.inf  # when one came for whom there was no room
        self.in_flight = 0
        self.would_refuse = 0

    @property
    def dark(self) -> bool:
        """Whether nothing comes in time any more, after it did."""
        return self._darkness.dark

    @property
    def limit(self) -> int:
        """How many may be at the upstream at once, now."""
        return self._adaptive.limit if self._fixed is None else self._fixed

    @property
    def waiting(self) -> int:
        """How many wait, those that are only tried among them."""
        return len(self._line) + self._line.behind

    @property
    def rate(self) -> float:
        """Places that become free in a second while all are taken; 0 before anything is known."""
        rate = self._adaptive.rate
        return rate if self._fixed is None or not rate else self._fixed / self._adaptive.seconds

    @property
    def line_bound(self) -> int | None:
        """How many may wait: what is served within the longest deadline, and no more ahead of one than within its own;
        None before anything is known.
        """
        rate = self.rate
        return max(int(rate * self.longest_s), 1) if rate else None

    def pushback_s(self) -> float:
        """When it is worth asking again, after a refusal: once all that waits has been served; as long as one call
        takes, where nobody does.
        """
        rate = self.rate
        return max(len(self._line), self.limit) / rate if rate else 0.0

    def hopeless(self, ticket: Ticket[Item], now_s: float) -> bool:
        """Whether even alone it would have next to no chance: asking again with the same deadline is in vain."""
        return not self.dark and self._chance(ticket.kind, ticket.deadline.budget_s, now_s) < HOPELESS

    @property
    def spare(self) -> bool:
        """Whether there is room that nobody needs, at an upstream that is as it was: it is neither dark, nor on its way
        back from that.
        """
        return not self.waiting and self.in_flight < self.limit and not self.dark and not self._adaptive.returning

    def pressed(self, for_s: float, now_s: float) -> bool:
        """Whether one came within so long for whom there was no room. Under overload there is room to spare now and
        then, whenever the limit goes up; who takes it then takes it from those who come next.
        """
        return now_s - self._short_s < for_s

    def usual_s(self, kind: Hashable, share: float, now_s: float) -> float:
        """The time that this share of the calls of a kind do not exceed. Where so many were cut off that it is not
        known, the longest that any was seen to take; infinity where nothing is known of the kind.
        """
        times = self._times.get(kind)
        if times is None or not times.known(now_s):
            return math.inf
        seen = times.share_within(MAX_BUDGET_S)  # to end at all
        return times.quantile(min(share, seen)) if seen else math.inf

    def share_within(self, kind: Hashable, seconds: float, now_s: float) -> float:
        """The share of the calls of a kind that take at most so long; 0 where that is not known."""
        times = self._times.get(kind)
        return times.share_within(seconds) if times is not None and times.known(now_s) else 0.0

    def send_second(self, ticket: Ticket[Item], now_s: float) -> Ticket[Item]:
        """A request that was sent takes another place, for a second call; there has to be one to `spare`.

        Returns:
            The second call's own ticket, which was sent.
        """
        assert self.spare
        second = Ticket(ticket.item, ticket.kind, ticket.deadline)
        second.entered_s = now_s
        self._send(second, now_s)
        return second

    def enter(self, ticket: Ticket[Item], now_s: float) -> Ticket[Item] | None:
        """A request comes: afterwards it is sent, waits, or is refused, as its state and refusal say.

        Returns:
            Another that was refused for it: the last of a full line, which had more time, gives way.
        """
        ticket.entered_s = now_s
        room = self.in_flight < self.limit and not self._line
        if not room:
            self._short_s = now_s
        if ticket.watched:
            late = self._predicted_late(ticket, now_s, room=room)
            self.would_refuse += late
            # Who goes ahead of others does not show that they need not wait; nor do all that are under way when an
            # upstream answers again, or is found to do more than was known, show that to refuse them was wrong as
            # often as that.
            ticket.tried = late and not self._line and not self.dark and self._trying < UNDER_WAY
            self._trying += ticket.tried
            ticket.by_rate_s = -1.0  # it does not wait as was foreseen
            self._send(ticket, now_s)
        elif ticket.deadline.passed(now_s):
            self._refuse(ticket, Refusal.EXPIRED)
        elif self._predicted_late(ticket, now_s, room=room) and not self._tries(ticket, now_s):
            self._refuse(ticket, Refusal.PREDICTED_LATE)
        elif room:
            self._send(ticket, now_s)
        else:
            return self._wait(ticket)
        return None

    def next(self, now_s: float) -> Ticket[Item] | None:
        """The next whose turn has come: sent or refused, as it says. To be called after any end, until it is None."""
        while self.waiting and (self.in_flight < self.limit):
            ticket = self._line.pop()
            assert ticket is not None
            if ticket.deadline.passed(now_s):
                self._refuse(ticket, Refusal.EXPIRED)
            elif not ticket.tried and self._gives_way(ticket, now_s):
                if self._tries(ticket, now_s):
                    self._line.add_behind(ticket)
                    continue
                self._refuse(ticket, Refusal.PREDICTED_LATE)
            else:
                self._send(ticket, now_s)
            return ticket
        return None

    def leave(self, ticket: Ticket[Item], now_s: float, ended: Ended) -> None:
        """A request is over, wherever it was; `next` may have others now."""
        state, ticket.state = ticket.state, State.OVER
        if state is State.WAITING:
            self._line.remove(ticket)
        elif state is State.SENT:
            self.in_flight -= 1
            self._learn(ticket, now_s, ended)
            self._at_work.ended(ticket, now_s)
        if ticket.tried and state in (State.WAITING, State.SENT):
            self._trying -= 1
            if ended is not Ended.UNTOLD:
                self.refusals.scored(in_time=ended is Ended.IN_TIME)

    # -- inner ---------------------------------------------------------------------------------------------------------

    def _wait(self, ticket: Ticket[Item]) -> Ticket[Item] | None:
        """Put one into the line; returns the last, where the line has become too long by one that is more urgent."""
        ticket.state = State.WAITING
        if ticket.tried:
            self._line.add_behind(ticket)
            return None
        self._line.add(ticket)
        last, rate = self._line.at(len(self._line) - 1), self.rate
        if not rate or len(self._line) <= max(rate * last.deadline.budget_s, 1.0):
            return None
        self._line.remove(last)  # all its budget would not be enough to wait for its turn
        self._refuse(last, Refusal.LINE_FULL)
        return None if last is ticket else last

    def _tries(self, ticket: Ticket[Item], now_s: float) -> bool:
        """Whether one that would be refused is tried instead; it knows, if so."""
        ticket.tried = self.refusals.tries(now_s, self._upstream_s(ticket), under_way=self._trying)
        self._trying += ticket.tried
        ticket.by_rate_s = -1.0  # behind all others it waits longer than was foreseen
        return ticket.tried

    def _upstream_s(self, ticket: Ticket[Item]) -> float:
        """How long a call takes, by which it is decided how seldom to try one. While none is in time, that is no guide:
        the sooner that is noticed to end the better, but all that are under way then count as refused falsely.
        """
        return ticket.deadline.budget_s / (IN_THE_DARK * TIMES) if self.dark else self._adaptive.seconds

    def _send(self, ticket: Ticket[Item], now_s: float) -> None:
        self.in_flight += 1
        ticket.state, ticket.sent_s, ticket.at_once = State.SENT, now_s, self.in_flight
        times = self._times.get(ticket.kind)
        self._at_work.sent(ticket, now_s, self._at_work.takes_s if times is None else times.mean_s)

    def _refuse(self, ticket: Ticket[Item], refusal: Refusal) -> None:
        if ticket.tried:  # it waited behind the others, in vain
            self._trying -= 1
            self.refusals.scored(in_time=False)
        ticket.state, ticket.refusal = State.OVER, refusal

    def _predicted_late(self, ticket: Ticket[Item], now_s: float, *, room: bool) -> bool:
        deadline, strictness = ticket.deadline, self.refusals.strictness
        left_s = deadline.remaining_s(now_s)
        if room:
            return self._chance(ticket.kind, left_s - self._begins_in(None, 0, now_s), now_s) < HOPELESS * strictness
        wait_s = self._begins_in(ticket, self._line.ahead_of(ticket.at_s), now_s)
        wait_s += strictness * (WAY_BACK * deadline.budget_s + DEVIATIONS * self._at_work.forecast.deviation_s)
        came_with = self._chance(ticket.kind, deadline.budget_s, now_s)
        asked = max(came_with * WORTH_WAITING, HOPELESS)
        chance = self._chance(ticket.kind, left_s - wait_s, now_s)
        if strictness <= 0.0 and chance < asked and self.refusals.tries(now_s, self._upstream_s(ticket)):
            self.refusals.spared()
        return chance < asked * strictness

    def _gives_way(self, ticket: Ticket[Item], now_s: float) -> bool:
        """Whether one whose turn has come is refused all the same."""
        soonest_s = now_s + self._begins_in(None, 0, now_s)
        chance = self._chance(ticket.kind, ticket.deadline.remaining_s(soonest_s), now_s)
        count, strictness = len(self._line), self.refusals.strictness
        if not count:
            return chance < HOPELESS * strictness
        middle = self._line.at(count // 2)
        better = self._chance(middle.kind, middle.deadline.remaining_s(soonest_s), now_s)
        return chance < max(GIVES_WAY * max(strictness, 0.5) * better, HOPELESS)

    def _begins_in(self, ticket: Ticket[Item] | None, ahead: int, now_s: float) -> float:
        """How long until the upstream begins with one before which so many others are sent."""
        before, rate = self._at_work.before(ahead), self.rate
        if not before or not rate:
            return 0.0
        by_places_s, by_rate_s = self._at_work.begins_in(ahead, now_s), (before - 0.5) / rate
        if ticket is not None:
            ticket.by_places_s, ticket.by_rate_s = by_places_s, by_rate_s
        return self._at_work.forecast.of(by_places_s, by_rate_s)

    def _chance(self, kind: Hashable, seconds: float, now_s: float) -> float:
        """That the upstream takes at most so long; where nothing is known, certain."""
        if self.dark:
            return 0.0
        times = self._times.get(kind)
        if times is None or not times.known(now_s):
            return 1.0 if seconds > 0.0 else 0.0
        return times.share_within(seconds)

    def _learn(self, ticket: Ticket[Item], now_s: float, ended: Ended) -> None:
        if ended in (Ended.UNTOLD, Ended.NOT_BEGUN) or now_s <= ticket.sent_s:
            return
        seconds = now_s - ticket.sent_s
        if ended is Ended.OVERTAKEN:
            if not self.dark and ticket.begun_s >= 0.0 and ticket.kind in self._times:
                worked_s = now_s - max(ticket.begun_s, ticket.sent_s)
                self._times[ticket.kind].add(worked_s, now_s, cut_off=True)
            return
        refused = ended is Ended.OVERLOADED
        if ended is Ended.IN_TIME and self._darkness.light(now_s):
            self._adaptive.found()
        worked_s = now_s - max(ticket.begun_s, ticket.sent_s) if ticket.begun_s >= 0.0 else 0.0
        good = ended is Ended.IN_TIME
        self._adaptive.ended(ticket.at_once, seconds, good=good, refused=refused, worked_s=worked_s)
        self._at_work.workers = min(self._adaptive.workers, self.limit)
        if refused:
            return
        if not self.dark and ticket.begun_s >= 0.0:
            if ended is not Ended.CUT_OFF:
                self._at_work.took(worked_s)
            times = self._times.get(ticket.kind)
            if times is None:
                times = self._times[ticket.kind] = UpstreamTime()
            times.add(worked_s, now_s, cut_off=ended is Ended.CUT_OFF)
        if ended is not Ended.IN_TIME and self._darkness.in_vain(
            now_s, ticket.deadline.budget_s, proven=self._adaptive.proven > 0
        ):
            self._adaptive.lost()
