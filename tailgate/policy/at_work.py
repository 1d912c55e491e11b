"""What an upstream is at work on, as far as that can be seen from here, and when it will begin with those that wait.

An upstream that works on c calls at once and is given more lets the others wait there, mostly in the order in which
they came. So of those that were sent the first c are at work, and whenever one of them ends the next begins. The time
of a call from its beginning is then that of its work alone, without what it waited there: twenty milliseconds always,
where from its sending they would be twenty or forty. And where times vary little it can be foreseen when each place
becomes free: after the time that a call takes, from its beginning; and again so much later for every round of calls
after it.

Must not live here: how many an upstream works on at once (`concurrency_limit`), and what follows (`admission`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from typing import Final, Generic

from tailgate.policy.forecast import Forecast
from tailgate.policy.ticket import Item, Ticket

REMEMBERED: Final = 32
"""Calls that say how long one takes."""


class AtWork(Generic[Item]):
    """The calls at one upstream.

    Attributes:
        workers: How many it works on at once; may change.
        takes_s: How long a call takes from when it is begun, on average over the latest.
        forecast: How long one waits until it is begun.
    """

    __slots__ = ("_count", "_ends", "_number", "_waiting", "forecast", "takes_s", "workers")

    def __init__(self, workers: int) -> None:
        """Idle."""
        self.workers = workers
        self.takes_s = 0.0
        self.forecast = Forecast()
        self._count = 0
        self._ends: list[tuple[float, int]] = []  # when those at work will have ended, and their numbers, in this order
        self._waiting: deque[Ticket[Item]] = deque()
        self._number = 0

    def sent(self, ticket: Ticket[Item], now_s: float, takes_s: float) -> None:
        """A call is sent; it takes so long, about, from when it is begun."""
        ticket.takes_s = takes_s
        self._waiting.append(ticket)
        self._go_on(now_s)

    def ended(self, ticket: Ticket[Item], now_s: float) -> None:
        """A call has ended; others are begun in its place."""
        if ticket.begun_s < 0.0:
            self._waiting.remove(ticket)
        else:
            del self._ends[bisect_left(self._ends, (ticket.ends_s, ticket.number))]
            self._go_on(now_s)

    def took(self, seconds: float) -> None:
        """One that was begun has ended so long after."""
        self._count = min(self._count + 1, REMEMBERED)
        self.takes_s += (seconds - self.takes_s) / self._count

    def begins_in(self, ahead: int, now_s: float) -> float:
        """How long until one is begun before which so many others are sent."""
        free = self.workers - len(self._ends)
        rounds, place = divmod(len(self._waiting) + ahead, self.workers)
        free_s = self._ends[place - free][0] - now_s if place >= free else 0.0
        return max(free_s, 0.0) + rounds * self.takes_s

    def before(self, ahead: int) -> int:
        """How many calls have to end until one is begun before which so many others are sent; none, where it is at
        once.
        """
        return max(len(self._ends) + len(self._waiting) + ahead + 1 - self.workers, 0)

    def _go_on(self, now_s: float) -> None:
        while self._waiting and len(self._ends) < self.workers:
            self._begin(self._waiting.popleft(), now_s)

    def _begin(self, ticket: Ticket[Item], now_s: float) -> None:
        if ticket.by_rate_s >= 0.0:
            self.forecast.came(ticket.by_places_s, ticket.by_rate_s, now_s - ticket.entered_s)
        self._number += 1
        ticket.begun_s, ticket.ends_s, ticket.number = now_s, now_s + ticket.takes_s, self._number
        insort(self._ends, (ticket.ends_s, ticket.number))
