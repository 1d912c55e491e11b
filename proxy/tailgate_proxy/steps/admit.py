"""Admit: refuse what must not or cannot be answered, before it costs anything."""

from __future__ import annotations

from tailgate.errors import Overloaded, RequestError, Status, TooLarge
from tailgate.http2.events import Headers
from tailgate.outcome import Ending, Mode
from tailgate_proxy.call import Reply
from tailgate_proxy.exchange import Exchange

_PUSHBACK: Headers = ((b"grpc-retry-pushback-ms", b"100"),)
"""Asks a retrying client for that much patience."""


class Admit:
    """Gates that know how much room there is.

    Attributes:
        draining: Set when the proxy is about to stop: everything is refused from then on.
    """

    def __init__(self, max_in_flight: int) -> None:
        """Let at most so many be in flight."""
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self.draining = False

    def allow(self, max_in_flight: int) -> None:
        """Let so many be in flight from now on; what is in flight stays."""
        self._max_in_flight = max_in_flight

    @property
    def in_flight(self) -> int:
        """Calls that have a place."""
        return self._in_flight

    @property
    def half_full(self) -> bool:
        """Whether half of the places are taken, or more."""
        return 2 * self._in_flight >= self._max_in_flight

    def refuse_while_draining(self, _exchange: Exchange, _now_s: float) -> Reply | None:
        """A proxy that is about to stop takes nothing new."""
        if self.draining:
            return Reply(Ending.DRAINING, Status.UNAVAILABLE, "the proxy is shutting down", trailers=_PUSHBACK)
        return None

    def refuse_beyond_room(self, exchange: Exchange, _now_s: float) -> Reply | None:
        """Take a place among those in flight; `leave` gives it back."""
        if self._in_flight >= self._max_in_flight:
            message = f"{self._max_in_flight} requests are in flight, which is as many as this proxy takes"
            return Reply(Ending.SHED, Status.RESOURCE_EXHAUSTED, message, trailers=_PUSHBACK)
        self._in_flight += 1
        exchange.admitted = True
        return None

    def leave(self, exchange: Exchange) -> None:
        """A call has ended."""
        if exchange.admitted:
            exchange.admitted = False
            self._in_flight -= 1


def refuse_malformed(exchange: Exchange, _now_s: float) -> Reply | None:
    """What is wrong with the headers, in words."""
    if exchange.fault is not None:
        return Reply(Ending.INVALID, exchange.fault.status, str(exchange.fault))
    return None


def refuse_expired(exchange: Exchange, now_s: float) -> Reply | None:
    """A deadline that has passed already is the least urgent of all, not the most.

    It may have passed although there was time, where the proxy could not look for longer than that.
    """
    if exchange.deadline.expired_on_arrival or (
        exchange.route.mode is not Mode.OBSERVE and exchange.deadline.passed(now_s)
    ):
        return Reply(Ending.EXPIRED, Status.DEADLINE_EXCEEDED, "the deadline had passed when the request arrived")
    return None


def reply_to_error(error: RequestError) -> Reply:
    """What is wrong with the message, in words; where it is only too much, with the option that says how much is."""
    if isinstance(error, TooLarge):
        return Reply(Ending.TOO_LARGE, error.status, f"{error} (--max-message-mib)")
    if isinstance(error, Overloaded):
        return Reply(Ending.SHED, error.status, f"{error} (--max-held-mib)")
    return Reply(Ending.INVALID, error.status, str(error))
