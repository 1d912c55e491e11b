"""Forward: the bytes go to the upstream as they came, with what is left of the budget; its answer is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tailgate.errors import InvalidRequest, Status
from tailgate.outcome import Ending, Mode
from tailgate.protocol.answers import UNKNOWN_CLASS, NotAnAnswer, predicted_class
from tailgate.protocol.envelope import read_envelope
from tailgate.protocol.names import DEADLINE_MS, LABEL, MODEL_INFER, REQUEST_ID
from tailgate_proxy.answer import CallFailed
from tailgate_proxy.call import Metadata, Reply
from tailgate_proxy.exchange import Exchange
from tailgate_proxy.steps import Inner
from tailgate_proxy.upstream import Upstream

MAX_JUDGED_BYTES = 1 << 20
"""Answers larger than this are passed on without looking for a class in them: they hold images or maps, not scores."""

PATIENCE_S = 60.0
"""How much longer than its deadline an upstream may take in observe mode, where nothing else ends its work."""

MAX_ID_LENGTH = 256
"""Longest request id that is handed on in a header."""

_OWN = frozenset({LABEL, DEADLINE_MS, REQUEST_ID})
_HOP_BY_HOP = frozenset(
    {"user-agent", "te", "content-type", "connection", "transfer-encoding", "upgrade", "keep-alive"}
)

_ENDINGS = {
    Status.UNAVAILABLE: Ending.UNREACHABLE,
    Status.DEADLINE_EXCEEDED: Ending.DEADLINE,
    # What the upstream finds wrong with the request is the client's to mend, not the upstream's failure.
    Status.INVALID_ARGUMENT: Ending.INVALID,
    Status.NOT_FOUND: Ending.INVALID,
    Status.OUT_OF_RANGE: Ending.INVALID,
}


class Forward:
    """The innermost step: there is nothing after it but the upstream."""

    def __init__(self, mode: Mode, clock: Callable[[], float], upstream: Upstream) -> None:
        """Forward to `upstream`."""
        self._mode = mode
        self._clock = clock
        self._upstream = upstream

    async def __call__(self, exchange: Exchange, _inner: Inner) -> Reply:
        """The upstream's answer, or how it failed."""
        metadata = forwarded_metadata(exchange)
        timeout_s = self._timeout_s(exchange)
        if timeout_s <= 0:
            return Reply(Ending.DEADLINE, Status.DEADLINE_EXCEEDED, "the deadline passed before forwarding")
        try:
            answer = await self._upstream.call(MODEL_INFER, exchange.body, timeout_s, metadata)
        except CallFailed as failure:
            ending = _ENDINGS.get(failure.status, Ending.UPSTREAM_ERROR)
            # An upstream that cancels must not look like a client that left: the client would wait for nothing.
            status = Status.UNAVAILABLE if failure.status is Status.CANCELLED else failure.status
            return Reply(ending, status, failure.message, trailers=failure.trailers)
        return replace(judge(answer.body, exchange.output), trailers=answer.trailers)

    def _timeout_s(self, exchange: Exchange) -> float:
        now_s = self._clock()
        if self._mode is Mode.ENFORCE:
            return exchange.deadline.remaining_s(now_s)
        # Nobody is left to take an answer after the client's own gRPC timeout; before it, any answer is wanted.
        if exchange.grpc_budget_s is not None:
            return exchange.grpc_budget_s - (now_s - exchange.call.arrival_s)
        return max(exchange.deadline.remaining_s(now_s), 0.0) + PATIENCE_S


def forwarded_metadata(exchange: Exchange) -> Metadata:
    """What the upstream is told: the client's metadata without what is the proxy's own, and the request's id.

    An id that a header cannot carry (it may come from the message, which may hold any text) stays in the message.
    """
    kept = passed_on(exchange.call.metadata)
    name = exchange.request_id
    if len(name) > MAX_ID_LENGTH or not (name.isascii() and name.isprintable()):
        return kept
    return (*kept, (REQUEST_ID, name))


def passed_on(metadata: Metadata) -> Metadata:
    """Metadata without what is the proxy's own or belongs to one connection."""
    return tuple(
        (key, value)
        for key, value in metadata
        if key not in _OWN and key not in _HOP_BY_HOP and not key.startswith("grpc-")
    )


def judge(body: bytes, output: str) -> Reply:
    """The reply for an upstream's bytes: the answer with the class it names, or that it is no answer."""
    try:
        version = read_envelope(body).version  # fields 1 to 3 of an answer are those of a request
        predicted = predicted_class(body, output) if len(body) <= MAX_JUDGED_BYTES else UNKNOWN_CLASS
    except (NotAnAnswer, InvalidRequest) as error:
        return Reply(Ending.UPSTREAM_INVALID, Status.INTERNAL, f"the upstream's answer is malformed: {error}")
    return Reply(Ending.ANSWERED, body=body, version=version, predicted=predicted)
