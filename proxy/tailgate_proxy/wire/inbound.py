"""Clients: every call whose headers reach the socket becomes a `Call`, stamped then, and gets its reply."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from tailgate.errors import InvalidRequest, Overloaded, RequestError, Status
from tailgate.http2 import grpc_headers
from tailgate.http2.codes import ErrorCode, Role
from tailgate.http2.events import (
    DataReceived,
    Event,
    Headers,
    HeadersReceived,
    Kind,
    StreamReset,
    WindowOpened,
)
from tailgate.http2.grpc_messages import MessageReader, frame_message
from tailgate.http2.limits import Limits
from tailgate.protocol.names import MODEL_INFER, SERVICE
from tailgate_proxy.answer import Answer, CallFailed
from tailgate_proxy.call import Call, Handler, Metadata
from tailgate_proxy.wire.compression import ACCEPTED, decompress
from tailgate_proxy.wire.held import Held
from tailgate_proxy.wire.link import Link

PassOn = Callable[[str, Call], Awaitable[Answer]]
"""Answers a call other than ModelInfer by its path, or raises `RequestError` or `CallFailed`."""

_STREAMING = f"/{SERVICE}/ModelStreamInfer"

_log = logging.getLogger(__name__)


class Body:
    """The one message of a unary request, while it comes."""

    def __init__(self, encoding: str, max_bytes: int, held: Held) -> None:
        """Nothing has come yet; what comes counts as held until `release`."""
        self._encoding = encoding
        self._max_bytes = max_bytes
        self._held = held
        self._size = 0
        self.ended = False
        """Whether the client has said that nothing more comes."""
        self._reader = MessageReader(max_bytes)
        self._message: bytes | None = None
        self._compressed = False
        self._whole: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def receive(self) -> bytes:
        """The message, once its stream has ended."""
        return await self._whole

    def feed(self, piece: memoryview, *, end: bool) -> None:
        """Take a piece of the body; after a fault, what follows is dropped."""
        self.ended = end
        if self._whole.done():
            return
        try:
            if not self._held.take(len(piece)):
                raise Overloaded(f"the proxy holds {self._held.bytes} bytes of requests, about as many as it may")
            self._size += len(piece)
            for message in self._reader.feed(piece):
                if self._message is not None:
                    raise InvalidRequest("the request has more than one message; this call takes one")
                self._message, self._compressed = message
            if end:
                self._whole.set_result(self._finish())
        except RequestError as error:
            self._whole.set_exception(error)
            self._whole.exception()  # seen, also if the call has ended meanwhile

    def release(self) -> None:
        """The call has ended; what was held for it is free."""
        self._held.give_back(self._size)
        self._size = 0

    def _finish(self) -> bytes:
        if self._message is None or not self._reader.idle:
            raise InvalidRequest("the request ended before its message was complete")
        return decompress(self._message, self._encoding, self._max_bytes) if self._compressed else self._message


class Inbound(Link):
    """One client's connection."""

    def __init__(
        self,
        handler: Handler,
        pass_on: PassOn,
        *,
        limits: Limits,
        max_message_bytes: int,
        held: Held,
        on_lost: Callable[[Inbound], None],
    ) -> None:
        """Serve ModelInfer by `handler` and the service's other unary methods by `pass_on`; say when it is over."""
        super().__init__(Role.SERVER, limits)
        self._held = held
        self._on_lost = on_lost
        self._handler = handler
        self._pass_on = pass_on
        self._max_message_bytes = max_message_bytes
        self._bodies: dict[int, Body] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    @property
    def busy(self) -> bool:
        """Whether a call has not been answered in full."""
        return bool(self._tasks or self._unsent)

    def pause_writing(self) -> None:
        """A client that does not read is not read from either: what it asks for would pile up as answers."""
        super().pause_writing()
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        if self._transport is not None:
            self._transport.resume_reading()

    def handle(self, event: Event) -> None:
        """Calls begin, go on and end."""
        if isinstance(event, DataReceived):
            body = self._bodies.get(event.stream_id)
            if body is not None:
                body.feed(event.data, end=event.end_stream)
            self.http2.acknowledge(event.stream_id, len(event.data))
        elif isinstance(event, HeadersReceived):
            self._begin(event) if event.kind is Kind.REQUEST else self._end_of_body(event.stream_id)
        elif isinstance(event, StreamReset):
            self._abandon(event.stream_id)
        elif isinstance(event, WindowOpened):
            self.send_unsent(event.stream_id)

    def refuse_all(self, status: Status, message: str) -> None:
        """Answer every call there is with this, and end its work."""
        for stream_id, task in list(self._tasks.items()):
            task.cancel()
            self._answer(stream_id, status, message, b"", ())

    def lost(self) -> None:
        """Nobody is left to answer."""
        self._on_lost(self)
        for stream_id in list(self._tasks):
            self._abandon(stream_id)

    def _begin(self, event: HeadersReceived) -> None:
        arrival_s, stream_id = self._loop.time(), event.stream_id
        refusal = grpc_headers.http_refusal(event.headers)
        if refusal is not None:
            self.http2.send_headers(stream_id, ((b":status", b"%d" % refusal),), end_stream=True)
            return
        try:
            head = grpc_headers.read_request(event.headers)
        except InvalidRequest as error:
            self._refuse(stream_id, error.status, str(error))
            return
        body = Body(head.encoding, self._max_message_bytes, self._held)
        self._bodies[stream_id] = body
        if event.end_stream:
            body.feed(memoryview(b""), end=True)
        call = Call(body.receive, head.metadata, arrival_s, time.time(), head.timeout)
        if head.path == MODEL_INFER:
            work = self._infer(stream_id, call)
        elif head.path.startswith(f"/{SERVICE}/") and head.path != _STREAMING:
            work = self._other(stream_id, head.path, call)
        else:
            del self._bodies[stream_id]
            self._refuse(stream_id, Status.UNIMPLEMENTED, f"{head.path} is not offered here")
            return
        self._tasks[stream_id] = self._loop.create_task(work)

    def _end_of_body(self, stream_id: int) -> None:
        body = self._bodies.get(stream_id)
        if body is not None:  # trailers of a request: they say nothing to us, but that it has ended
            body.feed(memoryview(b""), end=True)

    async def _infer(self, stream_id: int, call: Call) -> None:
        reply = await self._handler(call)
        self._answer(stream_id, reply.status, reply.message, reply.body, reply.trailers)

    async def _other(self, stream_id: int, path: str, call: Call) -> None:
        try:
            answer = await self._pass_on(path, call)
        except RequestError as error:
            self._answer(stream_id, error.status, str(error), b"", ())
        except CallFailed as failure:
            self._answer(stream_id, failure.status, failure.message, b"", failure.trailers)
        else:
            self._answer(stream_id, Status.OK, "", answer.body, answer.trailers)

    def _answer(self, stream_id: int, status: Status, message: str, body: bytes, metadata: Metadata) -> None:
        """Put a reply on its stream."""
        request = self._bodies.pop(stream_id)
        request.release()
        del self._tasks[stream_id]
        if status is not Status.OK:
            self._refuse(stream_id, status, message, metadata)
            if not request.ended:
                # Answered before the request was complete: the client may stop sending.
                self.http2.reset(stream_id, ErrorCode.NO_ERROR)
        else:
            self.http2.send_headers(stream_id, grpc_headers.RESPONSE)
            self.send_body(stream_id, frame_message(body), _trailers(status, message, metadata))
        self.flush_soon()

    def _refuse(self, stream_id: int, status: Status, message: str, metadata: Metadata = ()) -> None:
        headers = grpc_headers.RESPONSE + _trailers(status, message, metadata)
        if status is Status.UNIMPLEMENTED:
            headers += ((b"grpc-accept-encoding", ACCEPTED),)
        self.http2.send_headers(stream_id, headers, end_stream=True)
        self.flush_soon()

    def _abandon(self, stream_id: int) -> None:
        self.forget(stream_id)
        body, task = self._bodies.pop(stream_id, None), self._tasks.pop(stream_id, None)
        if body is not None:
            body.release()
        if task is not None:
            # Not at once: a call whose headers and reset come together must have begun, or nobody would book it.
            self._loop.call_soon(task.cancel)


def _trailers(status: Status, message: str, metadata: Metadata) -> Headers:
    """Trailers; metadata that cannot be sent, which an upstream may have let through, is left out."""
    try:
        return grpc_headers.trailers(status, message, metadata)
    except InvalidRequest as error:
        _log.warning("trailing metadata left out: %s", error)
        return grpc_headers.trailers(status, message)
