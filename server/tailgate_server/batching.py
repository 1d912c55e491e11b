"""Which waiting requests make the next batch, as a state machine with time as an argument.

Lives here: the queue of one model and its rules. Must not live here: a clock, a future, a tensor, a model.

The rules, in order:
 1. A member whose deadline has passed is refused, never run: nothing is less urgent.
 2. The earliest deadline goes first; those without one go last; equals go in order of arrival.
 3. A batch holds members of one kind (UINT8 and FP32 cannot share a tensor): the kind of the most urgent.
 4. Members that still fit join it in order of urgency, up to the most rows a batch may have.
 5. A batch that is not full may be held back for company, but no longer than the configured delay after a member's
    arrival and never for more than half of the time that member had.

The first member in order is always in the next batch, so nothing waits behind members less urgent than itself.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tailgate.deadline import Deadline
from tailgate.errors import DeadlineExceeded, Overloaded

T = TypeVar("T")

DUE_NOW = -math.inf


@dataclass(frozen=True, slots=True, order=True)
class Ticket:
    """A member's place in the order of urgency; unique within its queue."""

    urgency_s: float
    number: int


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[T]):
    item: T
    rows: int
    kind: Hashable
    deadline: Deadline | None
    hold_until_s: float


@dataclass(frozen=True, slots=True)
class Taken(Generic[T]):
    """What left the queue.

    Attributes:
        batch: To be run together, most urgent first; empty if there is nothing.
        expired: Refused because their deadline passed while they waited.
    """

    batch: list[T]
    expired: list[T]


class Batcher(Generic[T]):
    """The bounded queue of one model. Each item added ends once: in a batch, expired, cancelled, or in `drain`."""

    def __init__(self, max_rows: int, max_delay_s: float, max_waiting: int) -> None:
        """An empty queue.

        Args:
            max_rows: Most rows in a batch.
            max_delay_s: Longest a member is held back for company.
            max_waiting: Most members.
        """
        self._max_rows = max_rows
        self._max_delay_s = max_delay_s
        self._max_waiting = max_waiting
        self._order: list[Ticket] = []
        self._waiting: dict[Ticket, _Waiting[T]] = {}
        self._added = 0

    def __len__(self) -> int:
        return len(self._order)

    def add(self, item: T, rows: int, deadline: Deadline | None, now_s: float, kind: Hashable = None) -> Ticket:
        """Queue an item of 1 to `max_rows` rows.

        Raises:
            DeadlineExceeded: Its deadline has passed already.
            Overloaded: The queue is full.
        """
        assert 1 <= rows <= self._max_rows, f"{rows} rows in a queue for batches of {self._max_rows}"
        if deadline is not None and (deadline.expired_on_arrival or deadline.passed(now_s)):
            raise DeadlineExceeded("the deadline had passed before the request could be queued")
        if len(self._order) >= self._max_waiting:
            raise Overloaded(f"{len(self._order)} requests are waiting already, the most this model queues; try later")
        hold_s = self._max_delay_s if deadline is None else min(self._max_delay_s, deadline.remaining_s(now_s) / 2)
        self._added += 1
        ticket = Ticket(math.inf if deadline is None else deadline.at_s, self._added)
        bisect.insort(self._order, ticket)
        self._waiting[ticket] = _Waiting(item, rows, kind, deadline, now_s + hold_s)
        return ticket

    def cancel(self, ticket: Ticket) -> bool:
        """Take a member out; False if it is no longer waiting."""
        if self._waiting.pop(ticket, None) is None:
            return False
        del self._order[bisect.bisect_left(self._order, ticket)]
        return True

    def due_s(self) -> float | None:
        """The instant from which `take` gives something: `DUE_NOW` for a full batch, None with an empty queue."""
        if not self._order:
            return None
        _, full = self._compose()
        return DUE_NOW if full else min(member.hold_until_s for member in self._waiting.values())

    def take(self, now_s: float) -> Taken[T]:
        """Take the expired out, and the next batch if it is due."""
        expired = [
            ticket for ticket in self._order if (d := self._waiting[ticket].deadline) is not None and d.passed(now_s)
        ]
        refused = [self._remove(ticket) for ticket in expired]
        due_s = self.due_s()
        if due_s is None or due_s > now_s:
            return Taken([], refused)
        chosen, _ = self._compose()
        return Taken([self._remove(ticket) for ticket in chosen], refused)

    def drain(self) -> list[T]:
        """Take everything out, unrun."""
        return [self._remove(ticket) for ticket in list(self._order)]

    def _compose(self) -> tuple[list[Ticket], bool]:
        """Who is in the next batch, and whether it is full: nobody who waits could still join, or there is no room."""
        kind = self._waiting[self._order[0]].kind
        chosen: list[Ticket] = []
        rows, full = 0, False
        for ticket in self._order:
            member = self._waiting[ticket]
            if member.kind != kind:
                continue
            if rows + member.rows > self._max_rows:
                full = True
                continue
            chosen.append(ticket)
            rows += member.rows
            if rows == self._max_rows:
                full = True
                break
        return chosen, full

    def _remove(self, ticket: Ticket) -> T:
        item = self._waiting[ticket].item
        self.cancel(ticket)
        return item
