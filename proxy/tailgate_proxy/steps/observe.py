"""Observe: every request gets its outcome here, once, and becomes one observation that the sinks are handed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from tailgate.errors import Status
from tailgate.ledger import Ledger
from tailgate.observation import Expected, Observation
from tailgate.outcome import Ending, Outcome, decide
from tailgate.policy.reserve import Reserve
from tailgate.protocol.names import OUTCOME, REQUEST_ID
from tailgate_proxy.call import Reply
from tailgate_proxy.exchange import Exchange
from tailgate_proxy.known_models import KnownModels

RACE_S: Final = 0.005
"""A client whose timer started at its sending leaves that much before the deadline as seen from our arrival."""

_REQUEST_ID: Final = REQUEST_ID.encode()
_OUTCOME: Final = OUTCOME.encode()
_OUTCOME_FIELD: Final = {outcome: (_OUTCOME, outcome.label.encode()) for outcome in Outcome}
_OK: Final = Outcome.OK

Expect = Callable[[tuple[str, str, str], float, int], Expected]
"""What is to be expected of an answer of this model, version and slice, this sure of itself, chosen from so many."""

FallDue = Callable[[str, str, str, float], None]
"""The deadline of a request of this model, version and slice, which arrived then, has passed while it goes on."""


def ends_late(exchange: Exchange, ending: Ending, now_s: float) -> bool:
    """Whether something that ends a request now comes after its deadline.

    A client that leaves is held against its own clock, which started a little before ours.
    """
    if ending is Ending.CANCELLED:
        now_s += RACE_S
    return exchange.deadline.passed(now_s)


class Observe:
    """Books what became of each request. The only place that decides an outcome.

    Attributes:
        in_flight: Requests that arrived here and are not booked yet.
        reserve: Told how long answers took from their last byte to here.
    """

    def __init__(
        self,
        ledger: Ledger,
        known: KnownModels,
        sinks: Sequence[Callable[[Observation], None]],
        expect: Expect | None = None,
        on_due: FallDue | None = None,
        *,
        reserve: Reserve | None = None,
    ) -> None:
        """Book into `ledger` and hand each observation to every one of `sinks`; none of them may wait."""
        self._ledger = ledger
        self._known = known
        self._sinks = sinks
        self._expect = expect
        self._on_due = on_due
        self.reserve = reserve or Reserve()
        self.in_flight = 0

    def arrive(self) -> None:
        """A request came in."""
        self.in_flight += 1
        self._ledger.arrive()

    def fall_due(self, exchange: Exchange) -> None:
        """The deadline of a request has passed, and it goes on all the same, or is about to be ended for that."""
        if exchange.due:
            return
        model, version = self._labels(exchange, "")
        self._fall_due(exchange, model, version)
        if self._on_due is not None:
            self._on_due(model, version, exchange.slice, exchange.arrival_unix_s)

    def book(self, exchange: Exchange, reply: Reply, now_s: float, *, missed: bool = False) -> Reply:
        """The request has ended, at this instant: what the client is to have; in enforce, never an answer that is late.

        To be called once for every `arrive`. What a client has `missed`, because it was told before that its deadline
        had passed, is late whatever the clock says.
        """
        self.in_flight -= 1
        ending = reply.ending
        outcome = decide(ending, exchange.route.mode, late=missed or ends_late(exchange, ending, now_s))
        if outcome is Outcome.OK_LATE_DISCARDED:
            reply.status, reply.message = Status.DEADLINE_EXCEEDED, "the answer came after the deadline"
            reply.body, reply.trailers = b"", ()
        if ending is Ending.ANSWERED:
            route = exchange.route
            self._known.learn(exchange.envelope.model, reply.version + route.version_suffix, route.pool)
        model, version = self._labels(exchange, reply.version)
        overdue = exchange.due and self._on_due is not None
        self._fall_due(exchange, model, version)
        observation = Observation(
            request_id=exchange.request_id,
            model=model,
            version=version,
            arrival_unix_s=exchange.arrival_unix_s,
            budget_s=exchange.deadline.budget_s,
            latency_s=now_s - exchange.arrival_s,
            outcome=outcome,
            predicted=reply.predicted,
            label=exchange.label,
            status=reply.status,
            slice=exchange.slice,
            expected=self._expected((model, version, exchange.slice), reply),
            overdue=overdue,
        )
        if ending is Ending.ANSWERED:
            self._ledger.pass_stages(
                exchange.begun_s - exchange.arrival_s,
                exchange.answered_s - exchange.begun_s,
                now_s - exchange.answered_s,
            )
            self.reserve.reply(now_s - exchange.answered_s)
        for sink in self._sinks:
            sink(observation)
        return mark(exchange, reply, outcome)

    def _labels(self, exchange: Exchange, answered: str) -> tuple[str, str]:
        """Model and version that a request is counted under: the version that answered, else the one asked for."""
        envelope, route = exchange.envelope, exchange.route
        version = answered or envelope.version
        if version:
            version += route.version_suffix
        return self._known.labels(envelope.model, version, route.pool)

    def _expected(self, series: tuple[str, str, str], reply: Reply) -> Expected | None:
        if not reply.stands_for or self._expect is None:
            return None
        return self._expect(series, reply.confidence, reply.stands_for)

    def _fall_due(self, exchange: Exchange, model: str, version: str) -> None:
        if not exchange.due:
            exchange.due = True
            self._ledger.fall_due(model, version, exchange.slice)


def mark(exchange: Exchange, reply: Reply, outcome: Outcome) -> Reply:
    """Tell the client what it cannot know: an id that was made here, and an outcome that is not simply OK."""
    if exchange.id_made:
        reply.trailers += ((_REQUEST_ID, exchange.request_id.encode()),)
    if outcome is not _OK:
        reply.trailers += (_OUTCOME_FIELD[outcome],)
    return reply
