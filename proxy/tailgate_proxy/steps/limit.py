"""Limit: until when a call may go on, and what ends it then."""

from __future__ import annotations

import zlib
from typing import Final

from tailgate.deadline import Deadline
from tailgate.errors import Status
from tailgate.outcome import Ending, Mode
from tailgate_proxy.call import Reply
from tailgate_proxy.exchange import Exchange
from tailgate_proxy.steps.observe import RACE_S

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


def extended(exchange: Exchange, patience_s: float) -> Deadline:
    """When a call ends that runs on unseen."""
    return Deadline(exchange.deadline.start_s, exchange.deadline.budget_s + patience_s)


def upstream_over(exchange: Exchange, now_s: float) -> bool:
    """Whether the time that the upstream was told has passed, by its clock or by ours."""
    return now_s + RACE_S > exchange.told_until_s


def over(exchange: Exchange, now_s: float) -> bool:
    """Whether a call's time is up, with or without its timer's turn; the upstream may say so a moment early."""
    return upstream_over(exchange, now_s) or patience(exchange).passed(now_s + RACE_S)


def defaults_now(exchange: Exchange, now_s: float) -> bool:
    """Whether it is time for the configured answer."""
    return exchange.route.mode is Mode.DEFAULT_ANSWER and exchange.deadline.passed(now_s)


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
