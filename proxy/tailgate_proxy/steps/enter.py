"""Enter: the way to an upstream, one call at a time; who may go now, who waits for its turn, who is refused.

What is decided is decided by `tailgate.policy.admission`, for each upstream by its name; here calls are told of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Protocol

from tailgate.errors import ConfigError, Status
from tailgate.gauges import AdmissionCounts
from tailgate.http2.events import Headers
from tailgate.ledger import Histogram
from tailgate.outcome import Ending, Mode
from tailgate.policy.admission import Admission, Ended, Refusal, State, Ticket
from tailgate.policy.attempts import Result
from tailgate.policy.hedging import Prospect
from tailgate.policy.upstream_time import size_class
from tailgate_proxy.call import Reply
from tailgate_proxy.config import AdmissionMode, ProxyConfig
from tailgate_proxy.exchange import Exchange
from tailgate_proxy.known_models import KnownModels
from tailgate_proxy.steps.limit import reply_at_limit

WAIT_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

_MAX_PUSHBACK_S: Final = 10.0
"""Longest patience asked of a client: what is known of the upstream is another by then."""


class Guest(Protocol):
    """A call that wants to go to its upstream. Exactly one of the methods is called, once, unless it leaves before."""

    exchange: Exchange

    def admitted(self) -> None:
        """It may go."""
        ...

    def refused(self, reply: Reply) -> None:
        """It may not."""
        ...


@dataclass(slots=True)
class _Door:
    """One upstream's admission.

    Attributes:
        admission: Decides.
        waits: How long those waited who were sent.
        serving: Whether it is being asked who is next.
    """

    admission: Admission[Guest]
    waits: Histogram
    serving: bool = False


class Entrances:
    """The ways to all upstreams."""

    def __init__(
        self,
        mode: AdmissionMode = "off",
        *,
        longest_s: float = 1.0,
        upstream_limit: int | None = None,
        false_refusals: float = 0.1,
        known: KnownModels | None = None,
        clock: Callable[[], float] = lambda: 0.0,
        seed: int | None = None,
    ) -> None:
        """Nobody has come.

        Args:
            mode: ``adaptive``: the limit is found; ``fixed``: it is `upstream_limit`; ``off``: all may go at once.
            longest_s: The longest deadline of any route.
            upstream_limit: Calls at an upstream at once: the limit, or what it never goes beyond.
            false_refusals: Largest share of refusals for lateness that may be false.
            known: Which models are told apart.
            clock: Tells the time.
            seed: Of what is left to chance; None: another every time.
        """
        self._mode = mode
        self._longest_s = longest_s
        self._upstream_limit = upstream_limit
        self._false_refusals = false_refusals
        self._known = known or KnownModels(())
        self._clock = clock
        self._seed = seed
        self._doors: dict[str, _Door] = {}

    def open(self, pool: str) -> None:
        """There is an upstream of this name: its metrics begin."""
        if self._mode != "off" and pool not in self._doors:
            limit = self._upstream_limit
            admission: Admission[Guest] = Admission(
                self._longest_s,
                fixed=limit if self._mode == "fixed" else None,
                most=limit or 100_000,
                ceiling=self._false_refusals,
                seed=self._seed,
            )
            self._doors[pool] = _Door(admission, Histogram(WAIT_BUCKETS_S))

    def keep(self, pools: Collection[str]) -> None:
        """There are no other upstreams any more: what was known of those is forgotten, and their metrics end."""
        for name in [name for name in self._doors if name not in pools]:
            admission = self._doors[name].admission
            if not admission.in_flight and not admission.waiting:
                del self._doors[name]

    def expect(self, longest_s: float) -> None:
        """The longest deadline of any route is another one now."""
        self._longest_s = longest_s
        for door in self._doors.values():
            door.admission.longest_s = longest_s

    def enter(self, guest: Guest, message_bytes: int) -> Ticket[Guest] | None:
        """A call comes, and is told at once or later.

        Returns:
            To be given back to `leave` when the call has ended, however it did; None where nothing is limited.
        """
        if self._mode == "off":
            guest.admitted()
            return None
        exchange = guest.exchange
        pool = exchange.route.pool
        door = self._doors.get(pool)
        if door is None:
            self.open(pool)
            door = self._doors[pool]
        model, _ = self._known.labels(exchange.envelope.model, "")
        watched = exchange.route.mode is Mode.OBSERVE
        ticket = Ticket(guest, (model, size_class(message_bytes)), exchange.deadline, watched=watched)
        other = door.admission.enter(ticket, self._clock())
        self._tell(door, ticket)
        if other is not None:
            self._tell(door, other)
        return ticket

    def leave(self, ticket: Ticket[Guest], ended: Ended) -> None:
        """A call has ended; others may have their turn now."""
        door = self._doors[ticket.item.exchange.route.pool]
        door.admission.leave(ticket, self._clock(), ended)
        if door.serving:  # one that was just told has ended at once: who told it goes on
            return
        door.serving = True
        try:
            while (turn := door.admission.next(self._clock())) is not None:
                self._tell(door, turn)
        finally:
            door.serving = False

    def usual_s(self, ticket: Ticket[Guest], share: float) -> float:
        """The time that this share of a call's kind take at its upstream; infinity where that is not known."""
        return self._admission(ticket).usual_s(ticket.kind, share, self._clock())

    def prospect(self, ticket: Ticket[Guest]) -> Prospect:
        """How it would be with another call of the same request now."""
        admission, now_s = self._admission(ticket), self._clock()
        chance = admission.share_within(ticket.kind, ticket.deadline.remaining_s(now_s), now_s)
        return Prospect(chance, admission.spare and not admission.pressed(ticket.deadline.budget_s, now_s))

    def send_second(self, ticket: Ticket[Guest]) -> Ticket[Guest]:
        """It is made: returns its own ticket, to be given back to `leave` like the other."""
        return self._admission(ticket).send_second(ticket, self._clock())

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn, at all upstreams."""
        return sum(door.admission.waiting for door in self._doors.values())

    def counts(self) -> dict[str, AdmissionCounts]:
        """How each upstream's admission stands, by its name."""
        return {
            name: AdmissionCounts(
                limit=door.admission.limit,
                in_flight=door.admission.in_flight,
                waiting=door.admission.waiting,
                line_bound=door.admission.line_bound,
                waits=door.waits.copy(),
                tried_in_time=door.admission.refusals.in_time,
                tried_in_vain=door.admission.refusals.tried - door.admission.refusals.in_time,
                would_refuse=door.admission.would_refuse,
                strictness=door.admission.refusals.strictness,
            )
            for name, door in self._doors.items()
        }

    def _admission(self, ticket: Ticket[Guest]) -> Admission[Guest]:
        return self._doors[ticket.item.exchange.route.pool].admission

    def _tell(self, door: _Door, ticket: Ticket[Guest]) -> None:
        """Let a call go, or refuse it, if it is known now which."""
        if ticket.state is State.SENT:
            door.waits.add(ticket.sent_s - ticket.entered_s)
            ticket.item.admitted()
        elif ticket.refusal is not None:
            ticket.item.refused(self._refusal(door, ticket, ticket.refusal))

    def _refusal(self, door: _Door, ticket: Ticket[Guest], refusal: Refusal) -> Reply:
        exchange, admission = ticket.item.exchange, door.admission
        if exchange.route.mode is Mode.DEFAULT_ANSWER and exchange.route.default is not None:
            return reply_at_limit(exchange)  # what it would be given at the deadline it can have now
        if refusal is Refusal.EXPIRED:
            return reply_in_queue()
        if refusal is Refusal.LINE_FULL:
            message = f"{admission.waiting} requests wait for the upstream, as many as it can answer in time"
            return _later(Ending.SHED, message, admission.pushback_s())
        if admission.dark:
            return _later(Ending.PREDICTED_LATE, _DARK, admission.pushback_s())
        if admission.hopeless(ticket, self._clock()):
            message = f"the upstream takes longer than the {exchange.deadline.budget_s:g} s that the request has"
            return Reply(Ending.PREDICTED_LATE, Status.RESOURCE_EXHAUSTED, message, trailers=_NEVER)
        message = f"the answer would be late: {admission.waiting} requests wait for the upstream"
        return _later(Ending.PREDICTED_LATE, message, admission.pushback_s())


def check_limit(config: ProxyConfig) -> None:
    """Whether a configuration says what its admission needs.

    Raises:
        ConfigError: The limit is to be fixed, and is not given.
    """
    if config.admission == "fixed" and config.upstream_limit is None:
        raise ConfigError("upstream_limit is missing; admission 'fixed' needs the number of requests at once")


def build_entrances(config: ProxyConfig, longest_s: float, known: KnownModels, clock: Callable[[], float]) -> Entrances:
    """The ways to the upstreams of a configuration.

    Raises:
        ConfigError: The limit is to be fixed, and is not given.
    """
    check_limit(config)
    entrances = Entrances(
        config.admission,
        longest_s=longest_s,
        upstream_limit=config.upstream_limit,
        false_refusals=config.false_refusals,
        known=known,
        clock=clock,
    )
    for pool in config.pools:
        entrances.open(pool)
    return entrances


_DARK: Final = "the upstream answers nobody in time at present; a few requests are tried to see when it does again"
_PUSHBACK: Final = b"grpc-retry-pushback-ms"
_NEVER: Final[Headers] = ((_PUSHBACK, b"-1"),)
"""Asks a retrying client not to try again (gRFC A6): with the same deadline that would be in vain."""


def reply_in_queue() -> Reply:
    """What a client is given whose deadline passed while its request waited."""
    message = "the deadline passed while the request waited for its turn at the upstream"
    return Reply(Ending.QUEUED, Status.DEADLINE_EXCEEDED, message)


def _later(ending: Ending, message: str, seconds: float) -> Reply:
    """A refusal that says when to try again."""
    milliseconds = max(math.ceil(1e3 * min(seconds, _MAX_PUSHBACK_S)), 1)
    return Reply(ending, Status.RESOURCE_EXHAUSTED, message, trailers=((_PUSHBACK, b"%d" % milliseconds),))


def what_is_learned(reply: Reply, *, late: bool, overloaded: bool, whole: bool, begun: bool) -> Ended:
    """What the end of a call says of the time its upstream takes.

    Args:
        reply: How it ended.
        late: Whether its deadline had passed.
        overloaded: Whether the upstream refused it for want of room.
        whole: Whether all of its body had come: an upstream that waits for the rest says nothing.
        begun: Whether it was on a connection: an upstream that cannot be reached says nothing of its time.
    """
    if overloaded:
        return Ended.OVERLOADED
    if reply.ending is Ending.ANSWERED:
        return Ended.LATE if late else Ended.IN_TIME
    cut_off = reply.ending in (Ending.DEADLINE, Ending.DEFAULTED, Ending.QUEUED) or (
        reply.ending is Ending.CANCELLED and late
    )
    if not cut_off or not whole:
        return Ended.UNTOLD
    return Ended.CUT_OFF if begun else Ended.NOT_BEGUN


def learned_later(result: Result, *, late: bool) -> Ended:
    """What the end of a call that its upstream went on with says of the time that takes: nobody waited for it any more,
    but it had its place until now.

    Args:
        result: How it ended there.
        late: Whether its deadline had passed by then.
    """
    if result is Result.SHED:
        return Ended.OVERLOADED
    if result is Result.ANSWERED:
        return Ended.LATE if late else Ended.IN_TIME
    return Ended.CUT_OFF if result is Result.DEADLINE and late else Ended.UNTOLD
