"""Forward: what the upstream is told of a call, how long it has, and what its answer is worth."""

from __future__ import annotations

from typing import Final

from tailgate.errors import InvalidRequest, Status
from tailgate.http2.events import Field, Headers
from tailgate.http2.grpc_headers import CONTENT_TYPE, format_grpc_timeout
from tailgate.http2.grpc_messages import PREFIX_BYTES
from tailgate.outcome import Ending
from tailgate.protocol.answers import UNKNOWN_CLASS, Judged, NotAnAnswer, read_answer, require_id
from tailgate.protocol.envelope import read_envelope
from tailgate.protocol.names import MODEL_INFER, REQUEST_ID
from tailgate_proxy.call import Answer, CallFailed, Reply
from tailgate_proxy.exchange import Exchange

MAX_JUDGED_BYTES: Final = 1 << 20
"""Answers larger than this are passed on without looking for a class in them: they hold images or maps, not scores."""

MAX_ID_LENGTH: Final = 256
"""Longest request id that is handed on in a header."""

_REQUEST_ID: Final = REQUEST_ID.encode()

_ENDINGS: Final = {
    Status.UNAVAILABLE: Ending.UNREACHABLE,
    Status.DEADLINE_EXCEEDED: Ending.DEADLINE,
    # What the upstream finds wrong with the request is the client's to mend, not the upstream's failure.
    Status.INVALID_ARGUMENT: Ending.INVALID,
    Status.NOT_FOUND: Ending.INVALID,
    Status.OUT_OF_RANGE: Ending.INVALID,
}


def call_headers(path: bytes, authority: bytes, fields: list[Field], timeout_s: float, *, tls: bool) -> Headers:
    """A request's headers for an upstream; what repeats from call to call stands first."""
    return (
        (b":method", b"POST"),
        (b":scheme", b"https" if tls else b"http"),
        (b":path", path),
        (b":authority", authority),
        (b"te", b"trailers"),
        CONTENT_TYPE,
        *fields,
        (b"grpc-timeout", format_grpc_timeout(timeout_s)),
    )


def forwarded_headers(exchange: Exchange, authority: bytes, timeout_s: float, *, tls: bool = False) -> Headers:
    """What the upstream is told: the client's fields without what is the proxy's own, the request's id, the time left.

    An id that a header cannot carry (it may come from the message, which may hold any text) stays in the message.
    """
    fields, name = exchange.forwarded, exchange.request_id
    if len(name) <= MAX_ID_LENGTH and name.isascii() and name.isprintable() and name == name.strip():
        fields = [*fields, (_REQUEST_ID, name.encode())]
    return call_headers(MODEL_INFER_PATH, authority, fields, timeout_s, tls=tls)


MODEL_INFER_PATH: Final = MODEL_INFER.encode()


def judge(answer: Answer, output: str, stands_for: int = 0, request_id: str = "") -> Reply:
    """The reply for an upstream's answer: with the class it names, or that it is no answer, or none to this request.

    Args:
        answer: Of the upstream.
        output: The one that names the class; empty means the first one.
        stands_for: How many answers it was chosen from for a look at its confidence; 0: it was not.
        request_id: The id in the message that is answered; empty where there is none.
    """
    body = answer.body
    if not answer.repeats_id:
        request_id = ""
    try:
        if len(body) - PREFIX_BYTES <= MAX_JUDGED_BYTES:
            found = read_answer(body, output, at=PREFIX_BYTES, confident=stands_for > 0, request_id=request_id)
        else:  # fields 1 to 3 of an answer are those of a request
            envelope = read_envelope(memoryview(body)[PREFIX_BYTES:])
            require_id(envelope.id, request_id)
            found = Judged(envelope.version, UNKNOWN_CLASS)
    except (NotAnAnswer, InvalidRequest) as error:
        return Reply(Ending.UPSTREAM_INVALID, Status.INTERNAL, f"the upstream's answer is malformed: {error}")
    return Reply(
        Ending.ANSWERED,
        body=body,
        trailers=answer.trailers,
        version=found.version,
        predicted=found.predicted,
        confidence=found.confidence,
        stands_for=stands_for,
    )


def reply_to_failure(failure: CallFailed) -> Reply:
    """The reply for a call that did not end with OK."""
    ending = Ending.SHED if failure.shed else _ENDINGS.get(failure.status, Ending.UPSTREAM_ERROR)
    # An upstream that cancels must not look like a client that left: the client would wait for nothing.
    status = Status.UNAVAILABLE if failure.status is Status.CANCELLED else failure.status
    return Reply(ending, status, failure.message, trailers=failure.trailers)
