"""A proxy's door of numbers: the real `Admission` between clients and a server, its timers, and what came of it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Protocol

from tailgate.deadline import Deadline
from tailgate.policy.admission import Admission, Ended, State, Ticket
from tailgate.simulation.events import Events
from tailgate.simulation.servers import Work


class Server(Protocol):
    """What takes calls."""

    def begin(self, work: Work) -> None:
        """A call comes."""
        ...


class Request:
    """One request, and what came of it.

    Attributes:
        outcome: In words; empty while it has none.
        ended_s: When it ended.
    """

    def __init__(self, arrival_s: float) -> None:
        """One that has just come."""
        self.arrival_s = arrival_s
        self.outcome = ""
        self.ended_s = 0.0
        self.work: Work | None = None


class Door:
    """Lets requests through to a server as admission says; without admission, all of them at once.

    Attributes:
        requests: All that came.
    """

    def __init__(self, events: Events, server: Server, admission: Admission[Request] | None) -> None:
        """Nobody has come."""
        self._events = events
        self._server = server
        self._admission = admission
        self.requests: list[Request] = []

    def outcomes(self) -> Counter[str]:
        """How many ended how."""
        return Counter(request.outcome for request in self.requests)

    def good(self, start_s: float, end_s: float) -> int:
        """How many of those that came within this time were answered in time."""
        return sum(one.outcome == "in time" and start_s <= one.arrival_s < end_s for one in self.requests)

    def arrive(self, budget_s: float, kind: Hashable = "", *, watched: bool = False) -> Request:
        """A request comes now."""
        request, now_s = Request(self._events.now_s), self._events.now_s
        self.requests.append(request)
        ticket = Ticket(request, kind, Deadline(now_s, budget_s), watched=watched)
        self._events.at(ticket.at_s + 1e-9, lambda: self._time_up(ticket))
        if self._admission is None:
            self._send(ticket)
            return request
        other = self._admission.enter(ticket, now_s)
        for one in (ticket, other):
            if one is not None:
                self._look(one)
        return request

    def _look(self, ticket: Ticket[Request]) -> None:
        if ticket.state is State.SENT:
            self._send(ticket)
        elif ticket.refusal is not None:
            self._book(ticket.item, ticket.refusal.name.lower().replace("_", " "))

    def _send(self, ticket: Ticket[Request]) -> None:
        ticket.item.work = Work(lambda: self._answered(ticket))
        self._server.begin(ticket.item.work)

    def _answered(self, ticket: Ticket[Request]) -> None:
        late = ticket.deadline.passed(self._events.now_s)
        self._end(ticket, Ended.LATE if late else Ended.IN_TIME, "late" if late else "in time")

    def _time_up(self, ticket: Ticket[Request]) -> None:
        if not ticket.item.outcome:
            waited = ticket.state is State.WAITING
            self._end(ticket, Ended.CUT_OFF, "expired" if waited else "cut off")

    def _end(self, ticket: Ticket[Request], ended: Ended, outcome: str) -> None:
        if ticket.item.outcome:
            return
        if ticket.item.work is not None:
            ticket.item.work.cancelled = True
        self._book(ticket.item, outcome)
        if self._admission is None:
            return
        self._admission.leave(ticket, self._events.now_s, ended)
        while (one := self._admission.next(self._events.now_s)) is not None:
            self._look(one)

    def _book(self, request: Request, outcome: str) -> None:
        assert not request.outcome, "a request ends once"
        request.outcome, request.ended_s = outcome, self._events.now_s
