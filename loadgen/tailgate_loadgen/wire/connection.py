"""One HTTP/2 connection to the target over an asyncio transport, with the calls that are on it.

A request is written when it is begun, not at the end of the loop's turn: its instant is now. The rest of a body that
the target's windows hold back follows as they open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from tailgate.errors import Status
from tailgate.http2.codes import ErrorCode, Role
from tailgate.http2.connection import Connection
from tailgate.http2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    GoAwayReceived,
    HeadersReceived,
    Kind,
    SettingsChanged,
    StreamReset,
    WindowOpened,
)
from tailgate.http2.limits import Limits
from tailgate_loadgen.calls import Ended, Payload
from tailgate_loadgen.tls import reason
from tailgate_loadgen.wire.call import Http2Call

LIMITS: Final = Limits(stream_window=8 << 20, connection_window=256 << 20)
"""An answer is never held back by our windows, unless it is several MB: that would be our delay, not the target's."""

PIECES_FROM: Final = 64 * 1024
"""A body from this size on is written from where it lies; the pieces of a shorter one are sooner copied into one."""

TOO_LONG: Final = Ended(Status.RESOURCE_EXHAUSTED, "the target's answer is longer than is taken")

_INFORMATIONAL: Final = Kind.INFORMATIONAL


class ClientConnection(asyncio.Protocol):
    """One connection."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_change: Callable[[ClientConnection], None],
        urgent: Callable[[], None],
    ) -> None:
        """Before it is connected.

        Args:
            loop: The running one.
            on_change: Told when there may be room for another call, when there never will be, and when it is lost.
            urgent: Done before what was read is looked at, and before each end that it tells of.
        """
        self._loop = loop
        self._on_change = on_change
        self._urgent = urgent
        self._http2 = Connection(Role.CLIENT, LIMITS)
        self._transport: asyncio.Transport | None = None
        self._calls: dict[int, Http2Call] = {}
        self._unsent: dict[int, list[Payload]] = {}  # what is left of bodies
        self._why_lost = "the connection to the target broke"
        self._read_s = 0.0  # when what is looked at was read
        self.settled: asyncio.Future[None] = loop.create_future()
        """Done when the target has said how much it takes; fails if it never will."""
        self.closed: asyncio.Future[None] = loop.create_future()
        """Done when the connection is gone."""

    # -- for the client ------------------------------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether a call can be begun now."""
        return self._http2.can_open and self._transport is not None and not self._transport.is_closing()

    @property
    def retired(self) -> bool:
        """Whether no call can ever be begun again."""
        return self._http2.retired or self._transport is None or self._transport.is_closing()

    def begin(self, call: Http2Call) -> None:
        """Send a call; to be asked only where there is room."""
        http2 = self._http2
        stream_id = call.stream_id = http2.open_stream(call.headers(self._loop.time()))
        call.stream = self
        self._calls[stream_id] = call
        body, call.body = call.body, []
        large = len(body[-1]) >= PIECES_FROM
        if not self._send(stream_id, body):
            self._unsent[stream_id] = body
        self.flush(large=large)

    def give_up(self, call: Http2Call) -> None:
        """Tell the target that nobody waits for a call any more."""
        self._forget(call.stream_id)
        self._http2.reset(call.stream_id, ErrorCode.CANCEL)
        self.flush()
        self._on_change(self)

    def flush(self, *, large: bool = False) -> None:
        """Write what there is to write; `large`: without a copy."""
        if self._transport is None or self._transport.is_closing():
            return
        if large:
            self._transport.writelines(self._http2.pieces_to_send())
        elif data := self._http2.data_to_send():
            self._transport.write(data)

    def close_if_done(self) -> None:
        """Close it where no call is on it and none can come."""
        if not self._calls and self.retired:
            self.close()

    def close(self) -> None:
        """End it, and every call on it, when what there is to write has been written."""
        if self._transport is not None:
            self._transport.close()

    def close_soon(self) -> asyncio.Future[None]:
        """As `close`; done when that has happened."""
        self.close()
        return self.closed

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say what opens the connection."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(0)  # what waits for the end of the turn elsewhere is written at once
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Hand every event on. An answer's time is that of its reading, whatever is done before it is looked at."""
        self._read_s = self._loop.time()
        self._urgent()
        http2 = self._http2
        for event in http2.receive(data):
            self._handle(event)
        http2.forgive()  # whom we ask is no stranger
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits, waits in vain."""
        self._transport = None
        self.closed.set_result(None)
        self._unsent.clear()
        why = self._why_lost if exc is None else f"{self._why_lost}: {reason(exc)}"
        if not self.settled.done():
            self.settled.set_exception(ConnectionError(why))
            self.settled.exception()  # seen, also where nobody waits any more
        calls, self._calls = self._calls, {}
        now_s = self._loop.time()
        for call in calls.values():
            call.end(Ended(Status.UNAVAILABLE, why), now_s)
        self._on_change(self)

    # -- inner ---------------------------------------------------------------------------------------------------------

    def _handle(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            self._take_data(event)
        elif isinstance(event, HeadersReceived):
            self._take_headers(event)
        elif isinstance(event, WindowOpened):
            for stream_id in list(self._unsent) if event.stream_id == 0 else (event.stream_id,):
                self._go_on(stream_id)
            self.flush(large=True)
        elif isinstance(event, StreamReset):
            call = self._forget(event.stream_id)
            if call is not None:
                call.reset(event, self._read_s)
                self._on_change(self)
        elif isinstance(event, SettingsChanged):
            if not self.settled.done():
                self.settled.set_result(None)
            self._on_change(self)
        elif isinstance(event, GoAwayReceived):
            self._on_change(self)
        elif isinstance(event, ConnectionTerminated):
            self._why_lost = f"the target broke the rules of HTTP/2: {event.reason}"
            self.flush()
            self.close()

    def _take_headers(self, event: HeadersReceived) -> None:
        call = self._calls.get(event.stream_id)
        if call is None or event.kind is _INFORMATIONAL:
            return
        if event.end_stream:
            self._urgent()
            self._end(event.stream_id)
            call.closed(event.headers, self._read_s)
            self._on_change(self)
        else:
            call.responded(event.headers)

    def _take_data(self, event: DataReceived) -> None:
        stream_id = event.stream_id
        self._http2.acknowledge(stream_id, len(event.data))
        call = self._calls.get(stream_id)
        if call is None:
            return
        if not call.take(event.data):
            call.give_up(TOO_LONG, self._read_s)
        elif event.end_stream:
            self._urgent()
            self._end(stream_id)
            call.closed(None, self._read_s)
            self._on_change(self)

    def _end(self, stream_id: int) -> None:
        """The target has said its last word, perhaps before it had the whole request: the rest is not sent."""
        del self._calls[stream_id]
        if self._unsent.pop(stream_id, None) is not None:
            self._http2.reset(stream_id, ErrorCode.NO_ERROR)

    def _forget(self, stream_id: int) -> Http2Call | None:
        self._unsent.pop(stream_id, None)
        return self._calls.pop(stream_id, None)

    def _go_on(self, stream_id: int) -> None:
        body = self._unsent.get(stream_id)
        if body is not None and self._send(stream_id, body):
            del self._unsent[stream_id]

    def _send(self, stream_id: int, body: list[Payload]) -> bool:
        """Send what the windows allow, and strike it out; returns whether nothing is left."""
        http2 = self._http2
        while body:
            piece, last = body[0], len(body) == 1
            sent = http2.send_data(stream_id, piece, end_stream=last)
            if sent < len(piece):
                body[0] = memoryview(piece)[sent:]
                return False
            del body[0]
        return True
