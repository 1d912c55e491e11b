"""Bugs that are planted into the real policies and their shells, one at a time: the simulator has to find each.

Each is what a slip in the code would make of it: something forgotten, never forgotten, counted twice, turned round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from unittest.mock import patch

from bench._sim_plan import plan
from bench._sim_world import World
from tailgate.policy.admission import Admission, Ended, State, Ticket
from tailgate.policy.attempts import Result
from tailgate.policy.concurrency_limit import ConcurrencyLimit
from tailgate.policy.ejection import Ejection
from tailgate.policy.health import Health, Probe
from tailgate.policy.recent import Recent
from tailgate.policy.retry_budget import RetryBudget
from tailgate.policy.selection import Selection, Standing
from tailgate_proxy.call import Reply
from tailgate_proxy.held import Held
from tailgate_proxy.passage import Passage
from tailgate_proxy.steps import observe
from tailgate_proxy.steps.admit import Admit
from tailgate_proxy.steps.observe import Observe
from tailgate_proxy.upstreams import membership, pool
from tailgate_proxy.upstreams.attempt import Attempt
from tailgate_proxy.upstreams.pool import Pool
from tailgate_proxy.upstreams.prober import Prober

Change = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Planted:
    """One bug.

    Attributes:
        name: In words.
        kinds: Faults that bring it to light.
        breaks: The promise that it breaks.
        change: Plants it for a while.
    """

    name: str
    kinds: tuple[str, ...]
    breaks: str
    change: Change


def _leaks_a_slot() -> AbstractContextManager[Any]:
    leave = Admission.leave

    def leaks(self: Admission[Any], ticket: Ticket[Any], now_s: float, ended: Ended) -> None:
        sent = ticket.state is State.SENT
        leave(self, ticket, now_s, ended)
        self.in_flight += sent and ended is Ended.UNTOLD

    return patch.object(Admission, "leave", leaks)


def _gives_a_place_away() -> AbstractContextManager[Any]:
    return patch.object(Passage, "goes_on", lambda _self: None)


def _serves_the_expired() -> AbstractContextManager[Any]:
    def next_(self: Admission[Any], now_s: float) -> Ticket[Any] | None:
        if not self.waiting or self.in_flight >= self.limit:
            return None
        ticket = self._line.pop()
        assert ticket is not None
        self._send(ticket, now_s)
        return ticket

    return patch.object(Admission, "next", next_)


def _knows_no_bound() -> AbstractContextManager[Any]:
    enter = Admission.enter

    def enters(self: Admission[Any], ticket: Ticket[Any], now_s: float) -> Ticket[Any] | None:
        if ticket.watched or (self.in_flight < self.limit and not self._line):
            return enter(self, ticket, now_s)
        ticket.entered_s, ticket.state = now_s, State.WAITING
        self._line.add(ticket)
        return None

    return patch.object(Admission, "enter", enters)


def _limit_only_falls() -> AbstractContextManager[Any]:
    ended = ConcurrencyLimit.ended

    def falls(self: ConcurrencyLimit, *arguments: Any, **named: Any) -> None:
        before = self.limit
        ended(self, *arguments, **named)
        self.limit = min(self.limit, before) if named.get("good") else max(self.limit // 2, 1)

    return patch.object(ConcurrencyLimit, "ended", falls)


def _ignores_the_limit() -> AbstractContextManager[Any]:
    next_ = Admission.next

    def goes_on(self: Admission[Any], now_s: float) -> Ticket[Any] | None:
        ticket = next_(self, now_s)
        if ticket is None and self._line and self.in_flight == self.limit:
            ticket = self._line.pop()
            assert ticket is not None
            self._send(ticket, now_s)
        return ticket

    return patch.object(Admission, "next", goes_on)


def _gives_late_answers() -> AbstractContextManager[Any]:
    return patch.object(observe, "ends_late", lambda *_: False)


def _books_twice() -> AbstractContextManager[Any]:
    book = Observe.book

    def twice(self: Observe, exchange: Any, reply: Reply, now_s: float, *, missed: bool = False) -> Reply:
        booked = book(self, exchange, reply, now_s, missed=missed)
        return booked if exchange.begun_s else book(self, exchange, reply, now_s, missed=missed)

    return patch.object(Observe, "book", twice)


def _asks_again_what_was_seen() -> AbstractContextManager[Any]:
    may_repeat = Pool.may_repeat

    def always(self: Pool, attempt: Attempt, failure: Any, result: Result) -> bool:
        return may_repeat(self, attempt, failure, result) or (result is Result.LOST and attempt.requester.repeatable)

    return patch.object(Pool, "may_repeat", always)


def _never_well_again() -> AbstractContextManager[Any]:
    probed = Health.probed

    def sticks(self: Health, now_s: float, found: Probe) -> None:
        if self.last in (None, Probe.READY):
            probed(self, now_s, found)

    return patch.object(Health, "probed", sticks)


def _ejected_for_good() -> AbstractContextManager[Any]:
    return patch.object(Ejection, "out", lambda self, _now_s: self.times > 0)


def _nobody_left() -> AbstractContextManager[Any]:
    def select(standings: list[Standing]) -> Selection:
        trusted = [number for number, one in enumerate(standings) if one.ready and not one.ejected]
        return Selection(tuple(trusted or range(1)), panic=False)

    return patch.object(membership, "select", select)


def _the_busiest() -> AbstractContextManager[Any]:
    return patch.object(
        pool, "choose", lambda outstanding, _draw: max(range(len(outstanding)), key=outstanding.__getitem__)
    )


def _budget_never_forgets() -> AbstractContextManager[Any]:
    return patch.object(Recent, "_forget", lambda *_: 0)


def _budget_without_end() -> AbstractContextManager[Any]:
    return patch.object(RetryBudget, "allows", lambda *_: True)


@contextmanager
def _probes_are_requests() -> Iterator[None]:
    budgets: dict[membership.Membership, RetryBudget] = {}
    make, found = Pool.__init__, membership.Membership._found

    def made(self: Pool, *given: Any, **named: Any) -> None:
        make(self, *given, **named)
        budgets[self.membership] = self.budget

    def counted(self: membership.Membership, probe: Probe) -> None:
        for _ in range(10):
            budgets[self].request(self._clock())
        found(self, probe)

    with patch.object(Pool, "__init__", made), patch.object(membership.Membership, "_found", counted):
        yield


def _outstanding_for_ever() -> AbstractContextManager[Any]:
    settled = Pool.settled

    def forgets(self: Pool, attempt: Attempt, result: Result) -> None:
        settled(self, attempt, result)
        attempt.member.outstanding += result is Result.LOST

    return patch.object(Pool, "settled", forgets)


def _probing_ends() -> AbstractContextManager[Any]:
    look = Prober.look

    async def looks(self: Prober) -> None:
        await look(self)
        if self._member.health.last is Probe.UNREACHABLE:
            raise ConnectionError("not handled")

    return patch.object(Prober, "look", looks)


def _takes_while_draining() -> AbstractContextManager[Any]:
    return patch.object(Admit, "refuse_while_draining", lambda *_: None)


def _keeps_bytes() -> AbstractContextManager[Any]:
    give_back = Held.give_back
    return patch.object(Held, "give_back", lambda self, count: give_back(self, count - 1))


PLANTED: Final = (
    Planted(
        "a place at the door is lost with a client that leaves, or an error", ("errors",), "balance", _leaks_a_slot
    ),
    Planted(
        "a place at the door is given away while a machine goes on with its call",
        ("stall",),
        "balance",
        _gives_a_place_away,
    ),
    Planted(
        "what has expired while it waited is sent all the same",
        ("overload", "stall"),
        "not in vain",
        _serves_the_expired,
    ),
    Planted("the line has no bound", ("overload",), "line", _knows_no_bound),
    Planted("the limit falls with every failure, and never rises", ("stuck",), "as before", _limit_only_falls),
    Planted("one more than the limit is sent", ("overload",), "limit", _ignores_the_limit),
    Planted("late answers are delivered", ("stall",), "never late", _gives_late_answers),
    Planted("what is refused is booked twice", ("overload",), "one outcome", _books_twice),
    Planted("what broke off at an upstream is given to another", ("crash",), "seen once", _asks_again_what_was_seen),
    Planted(
        "a member that was not ready once is never ready again", ("unready", "crash"), "used again", _never_well_again
    ),
    Planted("a member that was ejected once is out for good", ("stuck",), "used again", _ejected_for_good),
    Planted(
        "there is no panic: the ejected are not used even where nobody else is left",
        ("crash",),
        "some in use",
        _nobody_left,
    ),
    Planted("the busiest member is chosen", ("errors", "crash"), "used again", _the_busiest),
    Planted("the retry budget never forgets", ("errors",), "retry budget", _budget_never_forgets),
    Planted("the retry budget has no end", ("errors",), "retry budget", _budget_without_end),
    Planted(
        "probes count as requests of which a tenth may be tried again",
        ("errors",),
        "retry budget",
        _probes_are_requests,
    ),
    Planted("a call whose connection broke is outstanding for ever", ("crash",), "outstanding", _outstanding_for_ever),
    Planted("a member that could not be reached is never asked again", ("crash",), "used again", _probing_ends),
    Planted("a proxy that stops takes new requests", ("crash",), "drain", _takes_while_draining),
    Planted("a byte of each body is held for ever", ("crash",), "at rest", _keeps_bytes),
)

SHORT_S: Final = 200.0
QUIET_S: Final = 10.0
SEEDS: Final = range(1, 9)


@dataclass(frozen=True, slots=True)
class Found:
    """How a planted bug was found.

    Attributes:
        promise: The one that it was to break; empty: it was not found by that.
        kind: Of the world.
        seed: Of the world.
        at_s: When, in that world.
    """

    promise: str
    kind: str = ""
    seed: int = 0
    at_s: float = 0.0


def find(number: int) -> Found:
    """Look for a planted bug in short worlds that bring it to light, and in which nothing is wrong without it."""
    planted = PLANTED[number]
    for seed in SEEDS:
        for kind in planted.kinds:
            with planted.change():
                broken = World(plan(kind, seed, SHORT_S, QUIET_S)).run().first
            if broken is not None and broken[0] == planted.breaks and breaks_by_itself(kind, seed) is None:
                return Found(broken[0], kind, seed, broken[1])
    return Found("")


@cache
def breaks_by_itself(kind: str, seed: int) -> tuple[str, float, str] | None:
    """The promise that is broken in a short world into which nothing was planted."""
    return World(plan(kind, seed, SHORT_S, QUIET_S)).run().first
