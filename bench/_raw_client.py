"""A gRPC client on python-h2, with a log of its own: what was asked, when it reached the socket, and how it ended.

It does what a gRPC library hides or forbids: leave in the middle of everything, read slowly or not at all, wait past a
deadline to see what comes, and know of every call whether its headers reached the socket.
"""

from __future__ import annotations

import asyncio
import fcntl
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import numpy as np

from tailgate.errors import Status
from tailgate.outcome import decide_at_client
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.protocol.names import MODEL_INFER, REQUEST_ID
from tailgate.trace.format import OBSERVATION, RECORD, Records, request_key

FRAME, STREAM_WINDOW, CONNECTION_WINDOW = 1 << 14, 1 << 20, 1 << 24
SIOCOUTQNSD = 0x894B  # of linux/sockios.h
REMEMBERED = 1000
"""Calls that may be taken back as not delivered when a connection is closed; far fewer fit into a socket's buffer."""


@dataclass(eq=False)
class Asked:
    """One call, as its client knows it. Instants are on the monotonic clock.

    Attributes:
        request_id: Its id.
        budget_s: What its ``grpc-timeout`` said.
        sent_s: Right before its headers were given to the socket.
        sent_unix_s: The same on the wall clock.
        reached: Whether they were given to the kernel; of a client that left, whether the other side's kernel had them.
        cancelled: Whether its client changed its mind.
        status: How it ended; None while it has not.
        ended_s: When.
        answer: The message, if it ended with OK, and the call did not say what it expects.
        right: Whether the answer was what the call expects; None where there is none, or nothing was expected.
    """

    request_id: str
    budget_s: float
    sent_s: float
    sent_unix_s: float
    reached: bool = False
    cancelled: bool = False
    status: Status | None = None
    ended_s: float = 0.0
    answer: bytes = b""
    right: bool | None = None

    @property
    def late(self) -> bool:
        """Whether it ended after its deadline, by this client's clock."""
        return self.ended_s - self.sent_s > self.budget_s


@dataclass(eq=False)
class _Stream:
    asked: Asked
    unsent: memoryview
    expects: Callable[[bytes], bool] | None
    answer: bytearray = field(default_factory=bytearray)
    timer: asyncio.TimerHandle | None = None


class RawClient(asyncio.Protocol):
    """One connection; make it with `connect`.

    Attributes:
        log: Every call, in the order they were made.
        connected: Whether calls can be made.
    """

    def __init__(self, log: list[Asked], *, reads: bool = True) -> None:
        """Log into `log`; without `reads`, never open a window for answers beyond the first 64 KiB."""
        self.log = log
        self.connected = False
        self._reads = reads
        self._loop = asyncio.get_running_loop()
        self._http2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self._streams: dict[int, _Stream] = {}
        self._head = b""
        self._written = 0
        self._in_buffer: list[Asked] = []
        self._ends: deque[tuple[int, Asked]] = deque(maxlen=REMEMBERED)
        self._left = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def in_flight(self) -> int:
        """Calls that have not ended."""
        return len(self._streams)

    async def idle(self) -> None:
        """Wait until every call has ended."""
        await self._idle.wait()

    def call(
        self,
        request_id: str,
        message: bytes,
        budget_s: float,
        *,
        gives_up: bool = True,
        expects: Callable[[bytes], bool] | None = None,
    ) -> Asked:
        """Begin a call; without `gives_up` its client waits for as long as it takes. An answer that `expects` has
        judged is not kept.
        """
        asked = Asked(request_id, budget_s, time.monotonic(), time.time())
        self.log.append(asked)
        stream_id = self._http2.get_next_available_stream_id()
        headers = (
            (":method", "POST"), (":scheme", "http"), (":path", MODEL_INFER), (":authority", "localhost"),
            ("te", "trailers"), ("content-type", "application/grpc"),
            ("grpc-timeout", f"{round(budget_s * 1e6)}u"), (REQUEST_ID, request_id),
        )  # fmt: skip
        self._http2.send_headers(stream_id, headers)
        framed = memoryview(struct.pack(">BI", 0, len(message)) + message)
        stream = _Stream(asked, framed, expects)
        if gives_up:
            stream.timer = self._loop.call_later(budget_s, self._give_up, stream_id, Status.DEADLINE_EXCEEDED)
        self._streams[stream_id] = stream
        self._idle.clear()
        self._in_buffer.append(asked)
        self._head += self._http2.data_to_send()
        self._ends.append((self._written + len(self._head), asked))
        self._send_body(stream_id, stream)
        self._flush()
        return asked

    def cancel(self, asked: Asked) -> None:
        """Change one's mind about a call; nothing happens if it has ended."""
        for stream_id, stream in self._streams.items():
            if stream.asked is asked:
                asked.cancelled = True
                self._give_up(stream_id, Status.CANCELLED)
                return

    def vanish(self, *, politely: bool) -> None:
        """Be gone: after what is written has been given to the kernel, or at once and with a TCP reset.

        What a closed socket has not delivered yet its kernel drops as soon as the other side says anything, for nobody
        is there to hear it (RFC 1122, 4.2.2.13): calls in there cannot have been seen.
        """
        self._left = True
        delivered = self._written - self._transport.get_write_buffer_size() - self._undelivered()
        for end, asked in self._ends:
            asked.reached &= end <= delivered
        self._transport.close() if politely else self._transport.abort()

    def _undelivered(self) -> int:
        """Bytes in the kernel that it has not sent; on the loopback interface what is sent has arrived."""
        answer = fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), SIOCOUTQNSD, bytes(4))
        return int.from_bytes(answer, sys.byteorder)

    # -- asyncio -------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(0)
        self.connected = True
        self._http2.initiate_connection()
        if self._reads:
            self._http2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW})
            self._http2.increment_flow_control_window(CONNECTION_WINDOW)
        self._flush()

    def resume_writing(self) -> None:
        self._mark_reached()

    def data_received(self, data: bytes) -> None:
        for event in self._http2.receive_data(data):
            self._handle(event)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — asyncio's signature
        self.connected = False
        for stream_id in list(self._streams):
            self._end(stream_id, Status.CANCELLED if self._left else Status.UNAVAILABLE)

    # -- inner ---------------------------------------------------------------------------------------------------------

    def _handle(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.DataReceived):
            if event.stream_id in self._streams:
                self._streams[event.stream_id].answer += event.data or b""
            if self._reads:
                with suppress(h2.exceptions.StreamClosedError):
                    self._http2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
        elif isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            for name, value in event.headers or ():
                if name == b"grpc-status":
                    self._end(event.stream_id or 0, Status(int(value)))
        elif isinstance(event, h2.events.StreamReset):
            refused = event.error_code == h2.errors.ErrorCodes.REFUSED_STREAM
            self._end(event.stream_id, Status.UNAVAILABLE if refused else Status.CANCELLED)
        elif isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
            # Settings may open the windows of all streams, of which no other event tells.
            waiting = (
                (event.stream_id,)
                if isinstance(event, h2.events.WindowUpdated) and event.stream_id
                else tuple(self._streams)
            )
            for stream_id in waiting:
                stream = self._streams.get(stream_id)
                if stream is not None and stream.unsent:
                    self._send_body(stream_id, stream)

    def _send_body(self, stream_id: int, stream: _Stream) -> None:
        # A stream may be closed before the event that says so has been looked at.
        with suppress(h2.exceptions.StreamClosedError):
            while stream.unsent:
                room = min(self._http2.local_flow_control_window(stream_id), self._http2.max_outbound_frame_size, FRAME)
                if room <= 0:
                    return
                piece, stream.unsent = stream.unsent[:room], stream.unsent[room:]
                self._http2.send_data(stream_id, bytes(piece), end_stream=not stream.unsent)

    def _give_up(self, stream_id: int, status: Status) -> None:
        if stream_id in self._streams:
            self._end(stream_id, status)
            with suppress(h2.exceptions.StreamClosedError):
                self._http2.reset_stream(stream_id, h2.errors.ErrorCodes.CANCEL)
            self._flush()

    def _end(self, stream_id: int, status: Status) -> None:
        stream = self._streams.pop(stream_id, None)
        if stream is None:
            return
        if stream.timer is not None:
            stream.timer.cancel()
        asked = stream.asked
        asked.status, asked.ended_s = status, time.monotonic()
        if status is Status.OK and stream.expects is None:
            asked.answer = bytes(stream.answer[5:])
        elif status is Status.OK and stream.expects is not None:
            asked.right = stream.expects(bytes(stream.answer[5:]))
        if not self._streams:
            self._idle.set()

    def _flush(self) -> None:
        if not self._transport.is_closing():
            data, self._head = self._head + self._http2.data_to_send(), b""
            self._written += len(data)
            self._transport.write(data)
            self._mark_reached()

    def _mark_reached(self) -> None:
        if not self._left and not self._transport.get_write_buffer_size():
            for asked in self._in_buffer:
                asked.reached = True
            self._in_buffer.clear()


async def connect(address: str, log: list[Asked], *, reads: bool = True) -> RawClient:
    """A connection to an address HOST:PORT."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: RawClient(log, reads=reads), host, int(port))
    return client


def records(log: Sequence[Asked]) -> Records:
    """The log as the records of a trace, to be reconciled with the proxy's."""
    rows = np.zeros(len(log), RECORD)
    for row, asked in zip(rows, log, strict=True):
        assert asked.status is not None, f"{asked.request_id} has not ended"
        row["kind"], row["status"] = OBSERVATION, asked.status
        row["outcome"] = decide_at_client(asked.status, late=asked.late)
        row["arrival_unix_s"], row["budget_s"] = asked.sent_unix_s, asked.budget_s
        row["latency_s"] = asked.ended_s - asked.sent_s
        row["pass_index"] = row["sample"] = row["predicted"] = row["label"] = UNKNOWN_CLASS
        row["request_id"] = request_key(asked.request_id)
    return rows
