"""All that a connection remembers, in one place; the engine that receives and the methods that send share it."""

from __future__ import annotations

from typing import Final

from tailgate.http2.budget import Budget
from tailgate.http2.codes import DEFAULT_WINDOW, MAX_STREAM_ID, PREFACE, ErrorCode, Role, Setting
from tailgate.http2.events import Event
from tailgate.http2.flow import ReceiveWindow, SendWindow
from tailgate.http2.frames import Outbox
from tailgate.http2.hpack_decoder import Decoder
from tailgate.http2.hpack_encoder import Encoder
from tailgate.http2.limits import Limits
from tailgate.http2.settings import PeerSettings
from tailgate.http2.streams import State, Stream, Streams

_ENDED: Final = State.ENDED
_A_STREAM: Final = 8
A_FRAME: Final = 4
"""What a stream and a frame with data are worth in frames of overhead: a window update for stream and connection each,
an acknowledged ping that measures the round trip, and one to spare."""


class ConnectionState:
    """What is remembered, and the few moves that both directions make.

    Attributes:
        role: Which end we are.
        limits: Ours.
        peer: The peer's settings.
        outbox: What waits to be written.
        events: What waits to be told.
        streams: The book of streams.
        send_window: Of the connection.
        receive_window: Of the connection.
        initial_window: Of a stream, as far as the peer has acknowledged ours.
        accept_up_to: The highest stream that is not refused since we go away.
        going_away: Whether we said so.
        peer_going_away: Whether the peer did.
        settings_received: Whether the peer's first settings are there.
        settings_acknowledged: Whether the peer has ours.
        terminated: Whether it is over.
    """

    def __init__(self, role: Role, limits: Limits) -> None:
        """Queue what opens a connection."""
        self.role = role
        self.limits = limits
        self.peer = PeerSettings()
        self.outbox = Outbox()
        self.events: list[Event] = []
        self.streams = Streams()
        self.encoder = Encoder()
        self.decoder = Decoder(limits.max_header_list_bytes)
        self.send_window = SendWindow()
        self.receive_window = ReceiveWindow(limits.connection_window, max(limits.connection_window, DEFAULT_WINDOW))
        self.initial_window = DEFAULT_WINDOW
        self.resets = Budget(limits.resets, "streams opened for nothing")
        self.overhead = Budget(limits.overhead, "frames without work")
        self.accept_up_to = MAX_STREAM_ID
        self.going_away = self.peer_going_away = self.terminated = False
        self.settings_received = self.settings_acknowledged = False
        self._open()

    def _open(self) -> None:
        settings = {
            Setting.INITIAL_WINDOW_SIZE: self.limits.stream_window,
            Setting.MAX_FRAME_SIZE: self.limits.max_frame_bytes,
            Setting.MAX_HEADER_LIST_SIZE: self.limits.max_header_list_bytes,
        }
        if self.role is Role.CLIENT:
            self.outbox.raw(PREFACE)
            settings[Setting.ENABLE_PUSH] = 0
        else:
            settings[Setting.MAX_CONCURRENT_STREAMS] = self.limits.max_concurrent_streams
        self.outbox.settings(settings)
        if self.limits.connection_window > DEFAULT_WINDOW:
            self.outbox.window_update(0, self.limits.connection_window - DEFAULT_WINDOW)

    def open_stream(self, stream_id: int) -> Stream:
        """Enter a stream in the book."""
        stream = Stream(stream_id, self.peer.initial_window_size, self.initial_window)
        self.streams.use(stream_id)
        self.streams.open[stream_id] = stream
        return stream

    def end_if_both(self, stream: Stream) -> None:
        """Strike a stream out of the book once both sides have ended it: work was done."""
        if stream.state is _ENDED:
            self.streams.end(stream)
            self.resets.earn(1)
            self.overhead.earn(_A_STREAM)

    def worked(self, count: int) -> None:
        """A frame, or several, with so many bytes of data went or came; a window update for each KiB is no flood."""
        self.overhead.earn(A_FRAME + (count >> 10))

    def drop(self, stream_id: int, state: State) -> None:
        """A stream is reset or refused: nothing of it is held any longer."""
        self.reopen_connection(self.streams.reset(stream_id, state))

    def refuse(self, stream_id: int, code: int) -> None:
        """Reset a stream."""
        self.outbox.rst_stream(stream_id, code)
        self.drop(stream_id, State.RESET_BY_US)

    def reopen_connection(self, count: int) -> None:
        """So many bytes, of whatever stream, are no longer held."""
        increment = self.receive_window.acknowledge(count)
        if increment:
            self.outbox.window_update(0, increment)

    def reopen(self, stream: Stream, count: int) -> None:
        """So many bytes of a stream are no longer held."""
        if stream.can_receive:
            increment = stream.receive_window.acknowledge(count)
            if increment:
                self.outbox.window_update(stream.id, increment)
        self.reopen_connection(count)

    def terminate(self, code: ErrorCode, reason: str) -> None:
        """End it for the peer's fault."""
        last = self.streams.highest if self.role is Role.SERVER else 0
        self.outbox.goaway(min(last, self.accept_up_to), code, reason.encode()[:256])
        self.terminated = True
        self.streams = Streams()
