"""Admit: refuse what must not or cannot be answered, before it costs anything."""

from __future__ import annotations

from tailgate.errors import Status
from tailgate.outcome import Ending
from tailgate_proxy.call import Metadata, Reply
from tailgate_proxy.exchange import Exchange
from tailgate_proxy.steps import Inner

_PUSHBACK: Metadata = (("grpc-retry-pushback-ms", "100"),)
"""Asks a retrying client for that much patience."""


class Admit:
    """Lets requests through while there is room and time."""

    def __init__(self, max_in_flight: int) -> None:
        """Let at most so many be in flight behind this step."""
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self.draining = False
        """Set when the proxy is about to stop: everything is refused from then on."""

    async def __call__(self, exchange: Exchange, inner: Inner) -> Reply:
        """The inner reply, or the refusal."""
        refusal = self._refusal(exchange)
        if refusal is not None:
            return refusal
        self._in_flight += 1
        try:
            return await inner(exchange)
        finally:
            self._in_flight -= 1

    def _refusal(self, exchange: Exchange) -> Reply | None:
        if self.draining:
            return Reply(Ending.DRAINING, Status.UNAVAILABLE, "the proxy is shutting down", trailers=_PUSHBACK)
        if exchange.fault is not None:
            return Reply(Ending.INVALID, exchange.fault.status, str(exchange.fault))
        if exchange.deadline.expired_on_arrival:
            return Reply(Ending.EXPIRED, Status.DEADLINE_EXCEEDED, "the deadline had passed when the request arrived")
        if self._in_flight >= self._max_in_flight:
            message = f"{self._max_in_flight} requests are in flight, which is as many as this proxy takes"
            return Reply(Ending.SHED, Status.RESOURCE_EXHAUSTED, message, trailers=_PUSHBACK)
        return None
