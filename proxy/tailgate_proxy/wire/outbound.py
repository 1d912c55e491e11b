"""One connection to an upstream: unary calls in bytes, as many at once as the upstream allows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tailgate.errors import RequestError, Status
from tailgate.http2 import grpc_headers
from tailgate.http2.codes import ErrorCode, Role
from tailgate.http2.events import (
    DataReceived,
    Event,
    Headers,
    HeadersReceived,
    Kind,
    PingAcknowledged,
    StreamReset,
    WindowOpened,
)
from tailgate.http2.grpc_messages import MessageReader, frame_message
from tailgate.http2.grpc_status import status_of_reset
from tailgate.http2.limits import Limits
from tailgate_proxy.answer import Answer, CallFailed
from tailgate_proxy.call import Metadata
from tailgate_proxy.wire.link import Link

PING_AFTER_S = 1.0
"""An upstream that owes answers and says nothing for so long is asked whether it is there ..."""
PING_TIMEOUT_S = 2.0
"""... and is given up if it does not say so within this."""


@dataclass(slots=True)
class _Waiting:
    """A call that waits for its answer."""

    reader: MessageReader
    answer: asyncio.Future[Answer]
    message: bytes | None = None
    problem: str = ""
    headers: Headers = field(default=())


class Outbound(Link):
    """One connection, with the calls that are on it."""

    def __init__(self, authority: str, limits: Limits, max_message_bytes: int) -> None:
        """Before it is connected."""
        super().__init__(Role.CLIENT, limits)
        self._authority = authority
        self._max_message_bytes = max_message_bytes
        self._waiting: dict[int, _Waiting] = {}
        self._heard_s = self._loop.time()
        self._pinged_s: float | None = None
        self._watch: asyncio.TimerHandle | None = None

    @property
    def usable(self) -> bool:
        """Whether another call can be begun on it."""
        return self.connected and self.http2.can_open

    async def call(self, method: str, body: bytes, timeout_s: float, metadata: Metadata) -> Answer:
        """One call. If the caller is cancelled, so is the call at the upstream.

        Raises:
            CallFailed: It did not end with OK.
        """
        try:
            headers = grpc_headers.request_headers(method, self._authority, timeout_s, metadata)
        except RequestError as error:
            raise CallFailed(error.status, str(error)) from error
        stream_id = self.http2.open_stream(headers)
        waiting = _Waiting(MessageReader(self._max_message_bytes), self._loop.create_future())
        self._waiting[stream_id] = waiting
        self.send_body(stream_id, frame_message(body), None)
        if self._watch is None:
            self._heard_s = self._loop.time()
            self._watch = self._loop.call_later(PING_AFTER_S, self._look)
        try:
            return await waiting.answer
        finally:
            if self._waiting.pop(stream_id, None) is not None:  # no answer came: it is not wanted any more
                self.forget(stream_id)
                self.http2.reset(stream_id, ErrorCode.CANCEL)
                self.flush_soon()

    def data_received(self, data: bytes) -> None:
        """The upstream lives."""
        self._heard_s = self._loop.time()
        super().data_received(data)

    def handle(self, event: Event) -> None:
        """Answers come, or the reasons why not."""
        if isinstance(event, DataReceived):
            self._take_data(event)
        elif isinstance(event, HeadersReceived):
            self._take_headers(event)
        elif isinstance(event, StreamReset):
            status = status_of_reset(event.code)
            text = event.reason or f"the upstream reset the stream with code {event.code}"
            self._fail(event.stream_id, CallFailed(status, text, retryable=event.retryable))
        elif isinstance(event, WindowOpened):
            self.send_unsent(event.stream_id)
        elif isinstance(event, PingAcknowledged):
            self._pinged_s = None

    def lost(self) -> None:
        """Whoever waits, waits in vain."""
        if self._watch is not None:
            self._watch.cancel()
        for stream_id in list(self._waiting):
            self._fail(stream_id, CallFailed(Status.UNAVAILABLE, "the connection to the upstream broke"))

    def _take_headers(self, event: HeadersReceived) -> None:
        waiting = self._waiting.get(event.stream_id)
        if waiting is None or event.kind is Kind.INFORMATIONAL:
            return
        if event.kind is Kind.RESPONSE:
            waiting.headers = event.headers
        if event.end_stream:
            self._finish(event.stream_id, waiting, event.headers)

    def _take_data(self, event: DataReceived) -> None:
        waiting = self._waiting.get(event.stream_id)
        if waiting is not None:
            try:
                for message in waiting.reader.feed(event.data):
                    if waiting.message is not None or message.compressed:
                        waiting.problem = "the upstream's answer is not one plain message"
                    waiting.message = message.data
            except RequestError as error:
                self._drop(event.stream_id, CallFailed(error.status, f"the upstream's answer: {error}"))
        self.http2.acknowledge(event.stream_id, len(event.data))
        if event.end_stream and event.stream_id in self._waiting:
            self._fail(event.stream_id, CallFailed(Status.INTERNAL, "the upstream's answer has no status"))

    def _finish(self, stream_id: int, waiting: _Waiting, headers: Headers) -> None:
        try:
            ending = grpc_headers.read_ending(headers)
        except RequestError as error:
            self._fail(stream_id, CallFailed(Status.INTERNAL, f"the upstream's trailers: {error}"))
            return
        if ending.status is not Status.OK:
            self._fail(stream_id, CallFailed(ending.status, ending.message, ending.metadata))
        elif waiting.message is None or waiting.problem or not waiting.reader.idle:
            problem = waiting.problem or "the upstream's answer has no complete message"
            self._fail(stream_id, CallFailed(Status.INTERNAL, problem))
        else:
            del self._waiting[stream_id]
            if not waiting.answer.done():
                waiting.answer.set_result(Answer(waiting.message, ending.metadata))

    def _drop(self, stream_id: int, failure: CallFailed) -> None:
        """End a call that the upstream has not ended."""
        self._fail(stream_id, failure)
        self.http2.reset(stream_id, ErrorCode.CANCEL)

    def _fail(self, stream_id: int, failure: CallFailed) -> None:
        self.forget(stream_id)
        waiting = self._waiting.pop(stream_id, None)
        if waiting is not None and not waiting.answer.done():
            waiting.answer.set_exception(failure)

    def _look(self) -> None:
        """Whether the upstream is still there; looked at for as long as it owes an answer."""
        self._watch = None
        if not self._waiting or not self.connected:
            self._pinged_s = None
            return
        now_s = self._loop.time()
        if self._pinged_s is not None and now_s - self._pinged_s >= PING_TIMEOUT_S and self._heard_s < self._pinged_s:
            self.abort()
            return
        if self._pinged_s is None and now_s - self._heard_s >= PING_AFTER_S:
            self._pinged_s = now_s
            self.http2.ping()
            self.flush_soon()
        elif self._pinged_s is not None and self._heard_s >= self._pinged_s:
            self._pinged_s = None
        self._watch = self._loop.call_later(PING_AFTER_S, self._look)
