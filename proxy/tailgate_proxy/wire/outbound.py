"""One connection to an upstream: as many calls at once as the upstream allows."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Final

from tailgate.errors import Status
from tailgate.http2.codes import ErrorCode, Role
from tailgate.http2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    GoAwayReceived,
    Headers,
    HeadersReceived,
    Kind,
    SettingsChanged,
    StreamReset,
    WindowOpened,
)
from tailgate.http2.grpc_ending import has_status, read_ending
from tailgate.http2.grpc_messages import PREFIX_BYTES
from tailgate.http2.grpc_status import status_of_reset
from tailgate.http2.limits import Limits
from tailgate.policy.attempts import Result
from tailgate_proxy.call import Answer, Caller, CallFailed
from tailgate_proxy.held import Held
from tailgate_proxy.wire.link import Desk, Link

PING_AFTER_S: Final = 0.5
"""An upstream that owes answers and says nothing for so long is asked whether it is there ..."""
PING_TIMEOUT_S: Final = 1.0
"""... and is given up if it does not say so within this: with `LOOK_S`, two seconds in all."""
LOOK_S: Final = 0.25
"""How often that is looked at."""
MOST_PINGS: Final = 3
"""So many pings without an answer to a call between them, each after twice the silence of the one before: gRPC's own
servers end a connection at the fourth within five minutes ("too_many_pings"). A host that vanishes later is found by
the kernel's keepalive, a process that hangs later at the deadlines of its calls."""

_KEEPALIVE: Final = (
    (socket.TCP_KEEPIDLE, 1),
    (socket.TCP_KEEPINTVL, 1),
    (socket.TCP_KEEPCNT, 2),
    (socket.TCP_USER_TIMEOUT, 2000),  # milliseconds that what was sent may go without an acknowledgement
)

_INFORMATIONAL: Final = Kind.INFORMATIONAL
_RESPONSE: Final = Kind.RESPONSE
_HTTP_OK: Final = (b":status", b"200")


class _Waiting:
    """A call that waits for its answer, and what has come of it: one message, with its prefix."""

    __slots__ = ("bytes", "caller", "http_error", "pieces")

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.pieces: list[bytes] = []
        self.bytes = 0
        self.http_error: Headers | None = None  # of a response that is none of gRPC's


class Outbound(Link):
    """One connection, with the calls that are on it: a `Leg` to each of them."""

    def __init__(
        self,
        authority: bytes,
        desk: Desk,
        *,
        limits: Limits,
        max_message_bytes: int,
        held: Held,
        on_change: Callable[[Outbound], None],
        tls: bool = False,
    ) -> None:
        """Before it is connected; `on_change` is told when there may be room for another call, or none ever more."""
        super().__init__(Role.CLIENT, limits, desk)
        self._authority = authority
        self._tls = tls
        self._max_answer_bytes = max_message_bytes + PREFIX_BYTES
        self._held = held
        self._on_change = on_change
        self._waiting: dict[int, _Waiting] = {}
        self._settled: asyncio.Future[None] = self._loop.create_future()
        self._pinged_s: float | None = None
        self._pings = 0
        self._room = sys.maxsize  # calls at once: fewer than the upstream's limit after it refused one all the same
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have the kernel watch for a host that vanishes: it looks after a second, and gives up two later."""
        connected: socket.socket | None = transport.get_extra_info("socket")
        if connected is not None and connected.family in (socket.AF_INET, socket.AF_INET6):
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE:
                connected.setsockopt(socket.IPPROTO_TCP, option, value)
        super().connection_made(transport)

    @property
    def usable(self) -> bool:
        """Whether another call can be begun on it."""
        return len(self._waiting) < self._room and self.connected and self.http2.can_open

    @property
    def choked(self) -> bool:
        """Whether the upstream lets no body of any call come over it for now."""
        return self.http2.choked

    @property
    def calls(self) -> int:
        """How many are on it."""
        return len(self._waiting)

    async def settled(self) -> None:
        """Wait until the upstream has said what it takes: before that, calls might be more than it takes.

        Raises:
            ConnectionError: The connection broke before.
        """
        await self._settled

    @property
    def retired(self) -> bool:
        """Whether no call can ever be begun on it again."""
        return not self.connected or self.http2.retired

    def begin(self, caller: Caller) -> None:
        """Begin a call; to be asked only of a usable connection."""
        stream_id = self.http2.open_stream(caller.headers(self._authority, tls=self._tls))
        self._waiting[stream_id] = _Waiting(caller)
        if self._watch is None:
            self.heard_s = self._loop.time()
            self._watch = self._loop.call_later(LOOK_S, self._look)
        if not self._flush_planned:
            self.flush_soon()
        caller.begun(self, stream_id)

    def cancel(self, stream_id: int) -> None:
        """Nobody wants the answer any more."""
        if self._drop(stream_id) is not None:
            self.flush_soon()
            self._on_change(self)

    def handle(self, event: Event) -> None:
        """Answers come, or the reasons why not."""
        if isinstance(event, HeadersReceived):
            self._take_headers(event)
        elif isinstance(event, DataReceived):
            self._take_data(event)
        elif isinstance(event, StreamReset):
            text = event.reason or f"the upstream reset the stream with code {event.code}"
            status = status_of_reset(event.code)
            if event.retryable or event.code == ErrorCode.ENHANCE_YOUR_CALM:
                self._room = max(len(self._waiting) - 1, 1)
            result = Result.REFUSED if event.retryable else None
            self._fail(event.stream_id, CallFailed(status, text, retryable=event.retryable, result=result))
        elif isinstance(event, WindowOpened):
            self.send_unsent(event.stream_id)
        elif isinstance(event, SettingsChanged | GoAwayReceived | ConnectionTerminated):
            if isinstance(event, SettingsChanged) and not self._settled.done():
                self._settled.set_result(None)
            self._on_change(self)

    def progress(self, stream_id: int, count: int) -> None:
        """So much of a body has left."""
        waiting = self._waiting.get(stream_id)
        if waiting is not None:
            waiting.caller.left(count)

    def lost(self) -> None:
        """Whoever waits, waits in vain."""
        if self._watch is not None:
            self._watch.cancel()
        if not self._settled.done():
            self._settled.set_exception(ConnectionError("it closed the connection before it said what it takes"))
            self._settled.exception()  # seen, also where nobody waits any more
        text = "the connection to the upstream broke"
        for stream_id in list(self._waiting):
            self._fail(stream_id, CallFailed(Status.UNAVAILABLE, text, result=Result.LOST))
        self._on_change(self)

    # -- inner ---------------------------------------------------------------------------------------------------------

    def _take_headers(self, event: HeadersReceived) -> None:
        self._pings = 0
        if event.end_stream and event.kind is not _INFORMATIONAL:
            self._finish(event.stream_id, event.headers)
        elif event.kind is _RESPONSE and event.headers[0] != _HTTP_OK:
            waiting = self._waiting.get(event.stream_id)
            if waiting is not None:
                waiting.http_error = event.headers

    def _take_data(self, event: DataReceived) -> None:
        stream_id, size = event.stream_id, len(event.data)
        waiting = self._waiting.get(stream_id)
        self.http2.acknowledge(stream_id, size)
        if waiting is None:
            return
        waiting.bytes += size
        if waiting.bytes > self._max_answer_bytes:
            waiting.bytes -= size
            text = f"the upstream's answer has more than {self._max_answer_bytes - PREFIX_BYTES} bytes"
            self._fail(stream_id, CallFailed(Status.RESOURCE_EXHAUSTED, text, result=Result.LIMIT))
        elif not self._held.take(size):
            waiting.bytes -= size
            text = f"the proxy holds {self._held.bytes} bytes, about as many as it may (--max-held-mib)"
            self._fail(stream_id, CallFailed(Status.RESOURCE_EXHAUSTED, text, shed=True, result=Result.LIMIT))
        else:
            waiting.pieces.append(event.data.tobytes())
            if event.end_stream:
                self._fail(stream_id, _without_trailers(waiting.http_error))

    def _finish(self, stream_id: int, headers: Headers) -> None:
        waiting = self._drop(stream_id)
        if waiting is None:
            return
        pieces, caller = waiting.pieces, waiting.caller
        ending = read_ending(headers)
        if ending.status is not Status.OK:
            caller.failed(CallFailed(ending.status, ending.message, ending.fields, said=has_status(headers)))
        else:
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            if len(body) < PREFIX_BYTES or body[0] or int.from_bytes(body[1:PREFIX_BYTES]) != len(body) - PREFIX_BYTES:
                text = "the upstream's answer is not one plain message"
                caller.failed(CallFailed(Status.INTERNAL, text, result=Result.INVALID))
            else:
                caller.answered(Answer(body, ending.fields))
        self._room += 1
        self._on_change(self)

    def _fail(self, stream_id: int, failure: CallFailed) -> None:
        waiting = self._drop(stream_id)
        if waiting is not None:
            waiting.caller.failed(failure)
            self._on_change(self)

    def _drop(self, stream_id: int) -> _Waiting | None:
        """Forget a call; what was held for its answer is free. A stream that either side has not ended ends here: one
        that was answered before its request was whole, for one. It would count against the upstream's limit for ever.
        """
        if self._unsent:
            self.forget(stream_id)
        waiting = self._waiting.pop(stream_id, None)
        if waiting is not None:
            self._held.give_back(waiting.bytes)
            self.http2.reset(stream_id, ErrorCode.CANCEL)
        return waiting

    def _look(self) -> None:
        """Whether the upstream is still there; looked at for as long as it owes an answer."""
        self._watch = None
        if not self._waiting or not self.connected:
            self._pinged_s = None
            return
        now_s = self._loop.time()
        if self._pinged_s is not None:
            if self.heard_s >= self._pinged_s:
                self._pinged_s = None
            elif now_s - self._pinged_s >= PING_TIMEOUT_S:
                self.abort()
                return
        elif self._pings < MOST_PINGS and now_s - self.heard_s >= PING_AFTER_S * 2**self._pings:
            self._pings += 1
            self._pinged_s = now_s
            self.http2.ping()
            self.flush_soon()
        self._watch = self._loop.call_later(LOOK_S, self._look)


def _without_trailers(http_error: Headers | None) -> CallFailed:
    """How a call failed whose response ended as no response of gRPC's does."""
    if http_error is None:
        return CallFailed(Status.INTERNAL, "the upstream's answer has no status")
    ending = read_ending(http_error)
    return CallFailed(ending.status, f"the upstream answered with {ending.message}")
