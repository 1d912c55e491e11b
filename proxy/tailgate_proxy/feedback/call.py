"""Labels by gRPC: `tailgate.feedback.Feedback`, one batch or a stream of them, and a receipt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tailgate.errors import InvalidRequest, RequestError, Status, TooLarge
from tailgate.http2.grpc_messages import PREFIX_BYTES, frame_message
from tailgate.labels import Result
from tailgate.outcome import Ending
from tailgate.pb.tailgate import feedback_pb2 as pb
from tailgate_proxy.call import Arrival, Client, Reply
from tailgate_proxy.compression import open_message
from tailgate_proxy.feedback.desk import LabelDesk, Receipt
from tailgate_proxy.feedback.wire import SUBMIT, SUBMIT_STREAM, read_batch
from tailgate_proxy.held import Held

PATHS: Final = frozenset((SUBMIT.encode(), SUBMIT_STREAM.encode()))
MAX_BATCH_BYTES: Final = 4 << 20
"""Longest message, as gRPC's own servers take it."""


class FeedbackCall:
    """One call. It is no arrival of the product's kind, so it is not observed."""

    def __init__(
        self, arrival: Arrival, client: Client, stream_id: int, desk: LabelDesk, held: Held, *, stream: bool
    ) -> None:
        """Take batches for this desk: exactly one, or with `stream` as many as come. What is there of one that is not
        complete counts as held.
        """
        self._encoding = arrival.by_name.get(b"grpc-encoding", b"identity").decode("latin-1")
        self._client: Client | None = client
        self._stream_id = stream_id
        self._desk = desk
        self._held = held
        self._stream = stream
        self._body = bytearray()
        self._batches = 0
        self._receipt = Receipt()

    def arrive(self) -> None:
        """The headers are here."""

    def body(self, piece: memoryview, *, end: bool) -> None:
        """A piece of the body came: every batch that is complete is taken in at once."""
        if self._client is None:
            return
        self._client.taken(self._stream_id, len(piece))
        if not self._held.take(len(piece)):
            self._answer(Reply(Ending.SHED, Status.RESOURCE_EXHAUSTED, self._held.refusal))
            return
        self._body += piece
        try:
            while (message := self._next()) is not None:
                self._batches += 1
                if self._batches > 1 and not self._stream:
                    raise InvalidRequest("Submit takes one LabelBatch; use SubmitStream for several")
                self._desk.submit(read_batch(open_message(message, self._encoding, MAX_BATCH_BYTES)), self._receipt)
            if end:
                if self._body or (not self._batches and not self._stream):
                    raise InvalidRequest("the request ended before its message was complete")
                self._answer(Reply(Ending.ANSWERED, body=frame_message(_message_of(self._receipt))))
        except RequestError as error:
            self._answer(Reply(Ending.INVALID, error.status, str(error)))

    def client_left(self) -> None:
        """Nobody waits any more; what was taken in stays."""
        self._let_go()

    def stop(self) -> None:
        """The proxy stops."""
        self._answer(Reply(Ending.DRAINING, Status.UNAVAILABLE, "the proxy is shutting down"))

    def _next(self) -> bytes | None:
        """The next message with its prefix, once it is complete."""
        body = self._body
        if len(body) < PREFIX_BYTES:
            return None
        size = int.from_bytes(body[1:PREFIX_BYTES])
        if size > MAX_BATCH_BYTES:
            raise TooLarge(f"a batch of labels has {size} bytes; at most {MAX_BATCH_BYTES} are taken")
        if len(body) < PREFIX_BYTES + size:
            return None
        message = bytes(body[: PREFIX_BYTES + size])
        del body[: PREFIX_BYTES + size]
        self._held.give_back(len(message))
        return message

    def _answer(self, reply: Reply) -> None:
        client = self._client
        self._let_go()
        if client is not None:
            client.answer(self._stream_id, reply)

    def _let_go(self) -> None:
        """It is over."""
        self._client = None
        self._held.give_back(len(self._body))
        self._body.clear()


def feedback_call(desk: LabelDesk, held: Held) -> Callable[[bytes, Arrival, Client, int], FeedbackCall]:
    """Makes such calls of their paths."""

    def make(path: bytes, arrival: Arrival, client: Client, stream_id: int) -> FeedbackCall:
        return FeedbackCall(arrival, client, stream_id, desk, held, stream=path == SUBMIT_STREAM.encode())

    return make


def _message_of(receipt: Receipt) -> bytes:
    results = receipt.results
    message = pb.LabelReceipt(
        received=receipt.received,
        joined=results[Result.JOINED],
        duplicate=results[Result.DUPLICATE],
        correction=results[Result.CORRECTION],
        conflict=results[Result.CONFLICT],
        pending=receipt.pending,
        too_late=results[Result.LATE],
        rejected=results[Result.REJECTED],
    )
    for index, name, reason in receipt.errors:
        message.errors.add(index=index, request_id=name, reason=reason)
    return message.SerializeToString()
