"""One HTTP/2 connection over an asyncio transport: bytes read go in, events come out; written is once a turn."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import cast

from tailgate.http2.codes import Role
from tailgate.http2.connection import Connection
from tailgate.http2.events import ConnectionTerminated, Event, Headers
from tailgate.http2.limits import Limits

FORGIVE_S = 1.0
"""How often the budgets against floods are filled."""


class Link(asyncio.Protocol, ABC):
    """What both roles share. A subclass handles the events."""

    def __init__(self, role: Role, limits: Limits) -> None:
        """Before the connection is made."""
        self.http2 = Connection(role, limits)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._flush_planned = False
        self._paused = False
        self._forgiven_s = self._loop.time()
        self._unsent: dict[int, tuple[memoryview, Headers | None]] = {}

    @abstractmethod
    def handle(self, event: Event) -> None:
        """What an event means to this role."""

    @abstractmethod
    def lost(self) -> None:
        """The connection is gone, however that came about."""

    # -- asyncio.Protocol ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say what opens the connection."""
        self._transport = cast(asyncio.Transport, transport)
        self.flush_soon()

    def data_received(self, data: bytes) -> None:
        """Hand every event on; what they give to send leaves at the end of the turn."""
        now_s = self._loop.time()
        if now_s - self._forgiven_s >= FORGIVE_S:
            self._forgiven_s = now_s
            self.http2.forgive()
        for event in self.http2.receive(data):
            self.handle(event)
            if isinstance(event, ConnectionTerminated):
                self.close()
        self.flush_soon()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — asyncio's signature
        """The end."""
        self._transport = None
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

    def send_body(self, stream_id: int, body: bytes, trailers: Headers | None) -> None:
        """Send a body, as fast as windows and the peer's reading allow; then trailers, or without them the end."""
        self._unsent[stream_id] = (memoryview(body), trailers)
        self.send_unsent(stream_id)

    def send_unsent(self, stream_id: int) -> None:
        """Go on with one stream that waits for room, or with 0 with all."""
        for waiting in list(self._unsent) if stream_id == 0 else [stream_id] if stream_id in self._unsent else []:
            if self._paused:
                break
            rest, trailers = self._unsent[waiting]
            taken = self.http2.send_data(waiting, rest, end_stream=trailers is None)
            if taken < len(rest):
                self._unsent[waiting] = (rest[taken:], trailers)
                continue
            del self._unsent[waiting]
            if trailers is not None:
                self.http2.send_headers(waiting, trailers, end_stream=True)
        self.flush_soon()

    def forget(self, stream_id: int) -> None:
        """Nothing more is to be sent on a stream."""
        self._unsent.pop(stream_id, None)

    def flush_soon(self) -> None:
        """Write what there is to send at the end of this turn of the loop, all in one."""
        if not self._flush_planned:
            self._flush_planned = True
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Send what is left and close."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close without waiting for the peer to read."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        self._flush_planned = False
        if self._transport is None or self._transport.is_closing():
            return
        data = self.http2.data_to_send()
        if data:
            self._transport.write(data)
