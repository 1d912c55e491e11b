"""Limit: until when a call may go on, and what ends it then."""

from __future__ import annotations

import zlib
from typing import Final

from tailgate.deadline import Deadline
from tailgate.errors import Status
from tailgate.outcome import Ending, Mode
from tailgate_proxy.call import Reply
from tailgate_proxy.exchange import Exchange

PATIENCE_S: Final = 60.0
"""How much longer than its deadline an upstream may take in observe mode, where nothing else ends its work."""

_TOO_LATE: Final = "the deadline passed before the upstream answered"


def patience(exchange: Exchange) -> Deadline:
    """When the client's wait ends: at the deadline, or in observe mode once nobody is left to take an answer."""
    if exchange.route.mode is not Mode.OBSERVE:
        return exchange.deadline
    if exchange.grpc_budget_s is not None:
        return Deadline(exchange.arrival_s, exchange.grpc_budget_s)
    return Deadline(exchange.arrival_s, max(exchange.deadline.budget_s, 0.0) + PATIENCE_S)


def next_limit(exchange: Exchange) -> Deadline:
    """The next instant at which something has to be done: the deadline, or where that has been seen to, the end."""
    return exchange.deadline if not exchange.due else patience(exchange)


def end_if_over(exchange: Exchange, now_s: float) -> Reply | None:
    """What ends a call whose limit has passed already: the deadline of its model became known only now."""
    return reply_at_limit(exchange) if patience(exchange).passed(now_s) else None


def runs_on(exchange: Exchange, share: float) -> bool:
    """Whether a late call is one of the share that runs on unseen; always the same for the same id."""
    if share <= 0.0 or exchange.route.mode is not Mode.ENFORCE:
        return False
    return zlib.crc32(exchange.request_id.encode()) < share * 2**32


def reply_at_limit(exchange: Exchange) -> Reply:
    """What the client is given when its wait ends."""
    default = exchange.route.default
    if exchange.route.mode is Mode.DEFAULT_ANSWER and default is not None:
        return Reply(Ending.DEFAULTED, body=default.body(exchange.envelope.id))
    return Reply(Ending.DEADLINE, Status.DEADLINE_EXCEEDED, _TOO_LATE)
