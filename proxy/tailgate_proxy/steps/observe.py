"""Observe: every request gets its outcome here, once, and becomes one observation that the sinks are handed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from tailgate.errors import Status
from tailgate.ledger import Ledger
from tailgate.observation import Observation
from tailgate.outcome import Ending, Mode, Outcome, decide
from tailgate.protocol.names import OUTCOME, REQUEST_ID
from tailgate_proxy.call import Reply
from tailgate_proxy.exchange import Exchange
from tailgate_proxy.known_models import KnownModels
from tailgate_proxy.steps import Inner

RACE_S = 0.005
"""A client whose timer started at its sending leaves that much before the deadline as seen from our arrival."""

_log = logging.getLogger(__name__)


class Observe:
    """Books what became of each request. The only place that decides an outcome."""

    def __init__(
        self,
        mode: Mode,
        clock: Callable[[], float],
        ledger: Ledger,
        known: KnownModels,
        sinks: Sequence[Callable[[Observation], None]],
    ) -> None:
        """Book into `ledger` and hand each observation to every one of `sinks`; none of them may wait."""
        self._mode = mode
        self._clock = clock
        self._ledger = ledger
        self._known = known
        self._sinks = sinks
        self.stopping = False
        """Set when the proxy ends what is in flight: from then on a cancelled request was cancelled by the proxy."""

    async def __call__(self, exchange: Exchange, inner: Inner) -> Reply:
        """The reply that the client is to have: in enforce, never an answer that is late."""
        self._ledger.arrive()
        try:
            reply = await inner(exchange)
        except asyncio.CancelledError:
            if self.stopping:
                self._book(exchange, Reply(Ending.DRAINING, Status.UNAVAILABLE))
            else:
                self._book(exchange, Reply(Ending.CANCELLED, Status.CANCELLED))
            raise
        except Exception:  # noqa: BLE001 — whatever it was, the request ends in exactly one outcome
            _log.exception("request %s failed inside the proxy", exchange.request_id)
            reply = Reply(Ending.FAULT, Status.INTERNAL, "the proxy failed; its log says why")
        return self._book(exchange, reply)

    def _book(self, exchange: Exchange, reply: Reply) -> Reply:
        now_s = self._clock()
        race_s = RACE_S if reply.ending is Ending.CANCELLED else 0.0
        outcome = decide(reply.ending, self._mode, late=exchange.deadline.passed(now_s + race_s))
        if outcome is Outcome.OK_LATE_DISCARDED:
            late = Reply(reply.ending, Status.DEADLINE_EXCEEDED, "the answer came after the deadline")
            reply = replace(late, version=reply.version, predicted=reply.predicted)
        if reply.ending is Ending.ANSWERED:
            self._known.learn(exchange.envelope.model, reply.version)
        model, version = self._known.labels(exchange.envelope.model, reply.version or exchange.envelope.version)
        observation = Observation(
            request_id=exchange.request_id,
            model=model,
            version=version,
            arrival_unix_s=exchange.call.arrival_unix_s,
            budget_s=exchange.deadline.budget_s,
            latency_s=now_s - exchange.call.arrival_s,
            outcome=outcome,
            predicted=reply.predicted,
            label=exchange.label,
            status=reply.status,
        )
        for sink in self._sinks:
            sink(observation)
        trailers = reply.trailers
        if exchange.id_made:
            trailers += ((REQUEST_ID, exchange.request_id),)
        if reply.status is not Status.OK:
            trailers += ((OUTCOME, outcome.label),)
        return replace(reply, trailers=trailers)
