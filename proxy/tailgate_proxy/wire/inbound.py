"""Clients: every call whose headers reach the socket becomes an ongoing call, stamped then, and gets its reply."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from tailgate.errors import Status
from tailgate.http2.codes import ErrorCode, Role
from tailgate.http2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    HeadersReceived,
    Kind,
    StreamReset,
    WindowOpened,
)
from tailgate.http2.grpc_ending import trailers_only, write_ending
from tailgate.http2.grpc_headers import RESPONSE, http_refusal
from tailgate.http2.limits import Limits
from tailgate_proxy.call import Arrival, Client, Ongoing, Reply
from tailgate_proxy.compression import ACCEPTED
from tailgate_proxy.connection_limits import ConnectionLimits, End, Standing
from tailgate_proxy.held import Held
from tailgate_proxy.wire.answers_held import AnswersHeld
from tailgate_proxy.wire.came import Came
from tailgate_proxy.wire.hang_up import HangUp
from tailgate_proxy.wire.link import Desk, Link
from tailgate_proxy.wire.patience import Patience

Serve = Callable[[bytes, Arrival, Client, int], Ongoing]
"""Makes a call: of its path, how it arrived, who is to have the reply, and on which stream."""

BookGone = Callable[[bytes, Arrival], None]
"""Books a call of a client that has hung up: of its path, and how it arrived."""

_CODES: Final = {
    End.SETTLE_TIMEOUT: ErrorCode.SETTINGS_TIMEOUT,
    End.MIDWAY_TIMEOUT: ErrorCode.ENHANCE_YOUR_CALM,
    End.TOO_MANY: ErrorCode.ENHANCE_YOUR_CALM,
    End.TOO_MANY_OF_PEER: ErrorCode.ENHANCE_YOUR_CALM,
}

_REQUEST: Final = Kind.REQUEST
_OK: Final = Status.OK
_NOTHING: Final = memoryview(b"")

_log = logging.getLogger(__name__)


class Inbound(Link):
    """One client's connection: a `Client` to the calls that come over it."""

    def __init__(
        self,
        serve: Serve,
        desk: Desk,
        *,
        book_gone: BookGone,
        limits: Limits,
        held: Held,
        blind_s: Callable[[float], float],
        connection_limits: ConnectionLimits,
        on_made: Callable[[Inbound], End | None],
        on_lost: Callable[[Inbound], None],
    ) -> None:
        """Serve by `serve`; say when it begins, and when it is over.

        Args:
            serve: Begins a call.
            desk: Shared by all connections.
            book_gone: Told of a call instead of `serve` where nobody waits for it any more.
            limits: Of the connection.
            held: Bound of what waits in the proxy.
            blind_s: For how long, at an instant, nobody had looked.
            connection_limits: How long it may keep us waiting.
            on_made: Asked when the connection is made: why it cannot be taken, or None.
            on_lost: Told when the connection is gone.
        """
        super().__init__(Role.SERVER, limits, desk)
        self._serve = serve
        self._book_gone = book_gone
        self._answers = AnswersHeld(held)
        self._blind_s = blind_s
        self._connection_limits = connection_limits
        self._on_made = on_made
        self._on_lost = on_lost
        self._patience = Patience()
        self._hang_up: HangUp | None = None
        self._hung_up, self._looked_s = False, 0.0  # and when it was last looked
        self._came = Came()
        self.peer = ""
        self.end = End.CLIENT
        self._calls: dict[int, Ongoing] = {}
        self._receiving: set[int] = set()  # streams whose request has not ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the client, or turn it away."""
        name = transport.get_extra_info("peername")
        self.peer = str(name[0]) if isinstance(name, tuple) else ""
        refusal = self._on_made(self)
        self._hang_up = HangUp(transport)
        self._hung_up = self._hang_up.seen()  # while it waited to be taken
        super().connection_made(transport)
        if refusal is not None:
            self.end_for(refusal)

    def check(self, now_s: float) -> None:
        """To be called once a second: end the connection if it has kept us waiting for too long."""
        # What it cannot complete because we do not read is not its fault.
        midway_since_s = self._patience.midway_since_s(now_s, midway=self.http2.midway and not self._paused)
        left = 0 if self._transport is None else self._transport.get_write_buffer_size()
        unread_since_s = self._patience.unread_since_s(now_s, self._written_bytes, left)
        waiting = (unread_since_s, *(unsent.since_s for unsent in self._unsent.values()))
        settled = self.http2.settings_acknowledged
        standing = Standing(
            self.made_s,
            self.heard_s,
            settled=settled,
            midway_since_s=midway_since_s if settled else None,
            waiting_since_s=min((since_s for since_s in waiting if since_s is not None), default=None),
            busy=self.busy,
        )
        end = self._connection_limits.ends(standing, now_s)
        if end is not None:
            self.end_for(end)

    def end_for(self, end: End) -> None:
        """End the connection, for a reason; a client that does not read is not waited for, nor one that had to go a
        while ago, and has not read that.
        """
        if self._transport is not None and self._transport.is_closing():
            self.abort()
            return
        self.end = end
        self.http2.go_away(_CODES.get(end, ErrorCode.NO_ERROR))
        if end in (End.STALL_TIMEOUT, End.ANSWERS_HELD):
            self.abort()
        else:
            self.close()

    @property
    def busy(self) -> bool:
        """Whether a call has not been answered in full."""
        return bool(self._calls or self._unsent)

    def pause_writing(self) -> None:
        """A client that does not read is not read from either: what it asks for would pile up as answers."""
        super().pause_writing()
        if self._transport is not None:
            self._transport.pause_reading()
            self._answers.stop(self._transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """It reads again."""
        self._answers.go_on()
        super().resume_writing()
        if self._transport is not None:
            self._transport.resume_reading()

    def handle(self, event: Event) -> None:
        """Calls begin, go on and end."""
        if isinstance(event, DataReceived):
            stream_id = event.stream_id
            if event.end_stream:
                self._receiving.discard(stream_id)
            call = self._calls.get(stream_id)
            if call is not None:
                call.body(event.data, end=event.end_stream)
            else:  # answered already, perhaps by a frame of the same read: what is left of it is dropped
                self.http2.acknowledge_all(stream_id)
        elif isinstance(event, HeadersReceived):
            self._take_headers(event)
        elif isinstance(event, StreamReset):
            self._abandon(event.stream_id)
        elif isinstance(event, WindowOpened):
            self.send_unsent(event.stream_id)
        elif isinstance(event, ConnectionTerminated):
            self.end = End.PROTOCOL
            _log.debug("%s broke a rule: %s", self.peer, event.reason)

    def stop_all(self) -> None:
        """Answer every call there is, for the proxy stops."""
        for call in list(self._calls.values()):
            call.stop()

    def lost(self) -> None:
        """Nobody is left to answer."""
        self._on_lost(self)
        self._answers.drop()
        for stream_id in list(self._calls):
            self._abandon(stream_id)

    def progress(self, stream_id: int, count: int) -> None:  # noqa: ARG002 — of answers, all alike
        """So much of the answers has left."""
        self._answers.leave(count)

    # -- a Client ------------------------------------------------------------------------------------------------------

    def taken(self, stream_id: int, count: int) -> None:
        """So much of a body is no longer held: the client may send as much more."""
        self.http2.acknowledge(stream_id, count)
        self.flush_soon()

    def answer(self, stream_id: int, reply: Reply) -> None:
        """Put a reply on its stream."""
        self._calls.pop(stream_id, None)
        self.http2.acknowledge_all(stream_id)
        if reply.status is not _OK:
            headers = trailers_only(reply.status, reply.message, reply.trailers)
            if reply.status is Status.UNIMPLEMENTED:
                headers += ((b"grpc-accept-encoding", ACCEPTED),)
            self.http2.send_headers(stream_id, headers, end_stream=True)
        else:
            self.http2.send_headers(stream_id, RESPONSE)
            body = reply.body
            waits = len(body) - self.send(stream_id, body, trailers=write_ending(_OK, "", reply.trailers))
            if waits:
                self._hold_answer(stream_id, waits)
        if stream_id in self._receiving:
            self._receiving.discard(stream_id)
            if stream_id not in self._unsent:
                # Answered before the request was complete: the client may stop sending.
                self.http2.reset(stream_id, ErrorCode.NO_ERROR)
        self.flush_soon()

    # -- inner ---------------------------------------------------------------------------------------------------------

    def _take_headers(self, event: HeadersReceived) -> None:
        if event.kind is _REQUEST:
            self._begin(event)
            return
        self._receiving.discard(event.stream_id)
        call = self._calls.get(event.stream_id)
        if call is not None:  # trailers of a request: they say nothing to us, but that it has ended
            call.body(_NOTHING, end=True)

    def _begin(self, event: HeadersReceived) -> None:
        stream_id, headers = event.stream_id, event.headers
        fields = {name: value for name, value in headers}  # noqa: C416 — compiled, a third of dict()'s time
        refusal = http_refusal(fields)
        if refusal is not None:
            self.http2.send_headers(stream_id, ((b":status", b"%d" % refusal),), end_stream=True)
            return
        came = self._came
        if came.read_s != self.heard_s:
            came.stamp(self.heard_s, self._blind_s(self.heard_s))
        path, arrival = fields.get(b":path", b""), Arrival(headers, fields, came.at_s, came.unix_s)
        if self._gone():
            self._book_gone(path, arrival)
            self.http2.reset(stream_id, ErrorCode.CANCEL)  # nobody is told, but what still comes of it is dropped
            return
        if not event.end_stream:
            self._receiving.add(stream_id)
        call = self._serve(path, arrival, self, stream_id)
        self._calls[stream_id] = call
        call.arrive()
        if event.end_stream and stream_id in self._calls:
            call.body(_NOTHING, end=True)

    def _gone(self) -> bool:
        """Whether the client hung up behind what is being read: its calls are booked, and cost the upstream nothing."""
        if not self._hung_up and self._looked_s != self.heard_s and self._hang_up is not None:
            self._looked_s = self.heard_s  # once for all calls of a read
            self._hung_up = self._hang_up.seen()
            for stream_id in list(self._calls) if self._hung_up else ():
                self._abandon(stream_id)
        return self._hung_up

    def write(self) -> None:
        """Write what there is to send, if there is anybody to read it.

        To write to a socket that its peer has closed would break it, and what was sent over it before could not be read
        any more.
        """
        if self._hung_up:
            self._flush_planned = False
            self._ready.clear()
            self.http2.data_to_send()
        else:
            super().write()

    def _hold_answer(self, stream_id: int, count: int) -> None:
        """Part of an answer has to wait for its client. Where there is no room for that, the client has to go: it is
        one that asks, and does not read.
        """
        if not self._answers.wait(count):
            self.forget(stream_id)
            _log.warning("a client does not read its answers, and there is no room to keep them; it is cut off")
            self._loop.call_soon(self.end_for, End.ANSWERS_HELD)

    def _abandon(self, stream_id: int) -> None:
        self.progress(stream_id, self.forget(stream_id))
        self._receiving.discard(stream_id)
        call = self._calls.pop(stream_id, None)
        if call is not None:
            call.client_left()
