"""One HTTP/2 connection over an asyncio transport: bytes read go in, events come out; written is once a turn.

All connections of a proxy read into one buffer, for each read is dealt with before the next. So a body that is passed
on is never copied into an object of its own: its pieces are views of the buffer, and go from there into what the other
connection writes. A connection that was given such a view is *lent* it, and has to have done with it before the buffer
is read into again; that is what `Desk.settle` sees to.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, cast

from tailgate.http2.codes import Role
from tailgate.http2.connection import Connection
from tailgate.http2.events import ConnectionTerminated, Event, Headers
from tailgate.http2.limits import Limits
from tailgate_proxy.wire.unsent import Unsent

FORGIVE_S: Final = 1.0
"""How often the budgets against floods are filled."""

PAUSE_S: Final = 0.0005
"""A loop that did nothing for so long was waiting for its sockets."""

READ_BYTES: Final = 256 * 1024
WRITE_AFTER_S: Final = 0.001
"""A turn of the loop that reads for longer than this writes in between."""
WRITE_AT_ONCE: Final = 64 * 1024
"""What is more than this is written before the end of the turn, rather than copied to be kept until then."""

STALL_S: Final = 0.005
"""A timer that is overdue by more than this says that the loop did not wait, but could not go on."""

_log = logging.getLogger(__name__)


class Desk:
    """What the connections of one event loop share.

    Attributes:
        loop: The loop.
        buffer: What is read into.
        between_reads: Called with the instant after each read, if there is anybody to call: a turn of the loop reads
            all there is, and whoever has to be on time cannot wait for that.
        overdue_s: By how much a timer that has its turn after the reads is overdue at an instant; None: there is none.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Nothing is lent."""
        self.loop = loop
        self.buffer = memoryview(bytearray(READ_BYTES))
        self._borrowers: list[Link] = []
        self._to_write: list[Link] = []
        self._planned = False
        self._turns_s = (loop.time(), loop.time())
        self._active_s = 0.0
        self._since_s: float | None = None  # when the first read of this turn, or since the last write, was done
        self.between_reads: Callable[[float], None] | None = None
        self.overdue_s: Callable[[float], float] | None = None

    def write_soon(self, link: Link) -> None:
        """Have a connection write at the end of this turn of the loop."""
        if not self._planned:
            self._planned = True
            self.loop.call_soon(self._end_turn)
        self._to_write.append(link)

    def begin_read(self, now_s: float) -> None:
        """A connection has been read from. Where the loop had done nothing for a while it was waiting for just this,
        unless it stood still: then a timer is overdue.
        """
        if now_s - self._active_s >= PAUSE_S and (self.overdue_s is None or self.overdue_s(now_s) < STALL_S):
            self._turns_s = (now_s, now_s)

    def blind_s(self, now_s: float) -> float:
        """For how long before now nobody may have looked at the sockets: since the turn before this one began, but not
        longer than since the loop last waited for them.
        """
        return now_s - self._turns_s[0] if now_s - self._active_s < PAUSE_S else 0.0

    def _end_turn(self) -> None:
        self._planned = False
        self._write()
        self._since_s = None
        self._active_s = now_s = self.loop.time()
        self._turns_s = self._turns_s[1], now_s

    def _write(self) -> None:
        """Have every connection write that wants to. One that fails is ended, and costs no other anything."""
        links, self._to_write = self._to_write, []
        for link in links:
            try:
                link.write()
            except Exception:  # noqa: BLE001 — whatever it was, the others have to write, too
                _log.exception("a connection could not be written to, and is ended")
                link.abort()

    def lend(self, link: Link) -> None:
        """A connection was given a view of the buffer to send."""
        self._borrowers.append(link)

    def settle(self) -> None:
        """The buffer is about to be read into again."""
        if self._borrowers:
            for link in self._borrowers:
                link.settle()
            self._borrowers.clear()
        self._active_s = now_s = self.loop.time()
        try:
            if self.between_reads is not None:
                self.between_reads(now_s)
        except Exception:  # noqa: BLE001 — this connection has done nothing wrong
            _log.exception("what was due between two reads failed")
        if self._since_s is None:
            self._since_s = now_s
        elif self._to_write and now_s - self._since_s >= WRITE_AFTER_S:
            self._since_s = now_s
            self._write()


class Link(asyncio.BufferedProtocol, ABC):
    """What both roles share. A subclass handles the events."""

    def __init__(self, role: Role, limits: Limits, desk: Desk) -> None:
        """Before the connection is made."""
        self.http2 = Connection(role, limits)
        self._desk = desk
        self._loop = desk.loop
        self._transport: asyncio.Transport | None = None
        self._flush_planned = False
        self._borrowing = False
        self._paused = False
        self._ready: list[bytes] = []  # taken from the connection, to be written at the end of the turn
        self._written_bytes = 0  # given to the transport, which may not have got rid of all of it
        self._unsent: dict[int, Unsent] = {}
        self.made_s = self.heard_s = self._forgiven_s = self._loop.time()

    @abstractmethod
    def handle(self, event: Event) -> None:
        """What an event means to this role."""

    @abstractmethod
    def lost(self) -> None:
        """The connection is gone, however that came about."""

    @abstractmethod
    def progress(self, stream_id: int, count: int) -> None:
        """So much has left of what waited on a stream."""

    # -- asyncio.BufferedProtocol --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say what opens the connection. A peer that speaks TLS but did not agree on HTTP/2 there speaks something else
        (RFC 9113 §3.2).
        """
        self._transport = cast(asyncio.Transport, transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            self.abort()
            return
        self.flush_soon()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 — asyncio's signature
        """Where the next bytes go."""
        return self._desk.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Hand every event on; what they give to send leaves at the end of the turn."""
        self.heard_s = now_s = self._loop.time()
        self._desk.begin_read(now_s)
        if now_s - self._forgiven_s >= FORGIVE_S:
            self._forgiven_s = now_s
            self.http2.forgive()
        try:
            for event in self.http2.receive(self._desk.buffer[:nbytes]):
                self.handle(event)
                if type(event) is ConnectionTerminated:
                    self.close()
        finally:  # also where that failed: what others were lent has to be theirs before the buffer is read into again
            self._desk.settle()
        self.flush_soon()

    def eof_received(self) -> bool:
        """The peer will say no more; nor do we."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — asyncio's signature
        """The end."""
        self._transport = None
        self._ready.clear()
        self._unsent.clear()
        self.lost()

    def pause_writing(self) -> None:
        """The peer reads too slowly: no more data is given to the transport until it has caught up."""
        self._paused = True

    def resume_writing(self) -> None:
        """It has."""
        self._paused = False
        self.send_unsent(0)

    # -- for the roles -------------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether there is somebody to talk to."""
        return self._transport is not None and not self._transport.is_closing() and not self.http2.terminated

    def send(
        self, stream_id: int, data: bytes | memoryview, *, end: bool = False, trailers: Headers | None = None
    ) -> int:
        """Send a piece of a body, which may change as soon as this returns; returns how much of it has left.

        The rest is kept, and `progress` says when it goes. With trailers the stream ends after them.
        """
        size, sent, unsent = len(data), 0, self._unsent.get(stream_id)
        if unsent is None and not self._paused:
            sent = self.http2.send_data(stream_id, data, end_stream=end)
            if not self._borrowing and sent and type(data) is memoryview:
                self._borrowing = True
                self._desk.lend(self)
            if sent == size:
                if trailers is not None:
                    self.http2.send_headers(stream_id, trailers, end_stream=True)
                self.flush_soon()
                return sent
        if unsent is None:
            unsent = self._unsent[stream_id] = Unsent(stream_id, self._loop.time())
        rest = memoryview(data)[sent:]
        unsent.add(memoryview(bytes(rest)) if type(data) is memoryview else rest, end=end, trailers=trailers)
        if sent:
            self.flush_soon()
        return sent

    def send_unsent(self, stream_id: int) -> None:
        """Go on with one stream that waits for room, or with 0 with all, those that came first before the others."""
        for waiting in list(self._unsent) if stream_id == 0 else [stream_id] if stream_id in self._unsent else []:
            if self._paused or self.http2.choked:
                break
            unsent = self._unsent.get(waiting)
            if unsent is not None:
                left = unsent.go_on(self.http2, self._loop.time())
                if unsent.gone:
                    del self._unsent[waiting]
                if left:
                    self.progress(waiting, left)
        self.flush_soon()

    def forget(self, stream_id: int) -> int:
        """Nothing more is to be sent on a stream; returns how much of what waited is dropped."""
        unsent = self._unsent.pop(stream_id, None)
        return 0 if unsent is None else unsent.bytes

    def flush_soon(self) -> None:
        """Write what there is to send at the end of this turn of the loop, all in one."""
        if not self._flush_planned:
            self._flush_planned = True
            self._desk.write_soon(self)

    def settle(self) -> None:
        """Have done with what is lent."""
        self._borrowing = False
        data = self.http2.data_to_send()
        self._ready.append(data)
        if len(data) >= WRITE_AT_ONCE:
            self.write()
        else:
            self.flush_soon()

    def close(self) -> None:
        """Send what is left and close."""
        self.write()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close without waiting for the peer to read."""
        if self._transport is not None:
            self._transport.abort()

    def write(self) -> None:
        """Write what there is to send."""
        self._flush_planned = False
        if self._transport is None or self._transport.is_closing():
            return
        data = self.http2.data_to_send()
        if self._ready:
            self._ready.append(data)
            data = b"".join(self._ready) if len(self._ready) > 1 else self._ready[0]
            self._ready.clear()
        if data:
            self._written_bytes += len(data)
            self._transport.write(data)
