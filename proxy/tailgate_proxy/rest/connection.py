"""One client's connection over HTTP/1.1: aiohttp's, which also says when something came, and when it is gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from itertools import islice
from typing import Any, Final

from aiohttp import web

from tailgate_proxy.connection_limits import ConnectionLimits, End, Standing
from tailgate_proxy.rest.call import InferCall
from tailgate_proxy.wire.unsent import PROGRESS_BYTES

LEAST_BLIND_S: Final = 0.005
"""What is less is the ordinary length of a turn of the loop."""

_NO_REPLY: Final = "the request could not be read"

_log = logging.getLogger(__name__)


class RestConnection(web.RequestHandler):
    """One connection.

    Attributes:
        arrived_s: When the first byte of the request came that is being handled, or was last.
        peer: The client's address.
        end: Why it ended, once it has.
        call: The inference that is on it, if one is.
        busy: Whether a request is.
    """

    __slots__ = (
        "_blind_s",
        "_came_s",
        "_first_s",
        "_heard_s",
        "_limits",
        "_made_s",
        "_on_lost",
        "_on_made",
        "_receiving",
        "_silent",
        "_stamps",
        "_waiting_bytes",
        "_waiting_since_s",
        "arrived_s",
        "busy",
        "call",
        "end",
        "peer",
    )

    def __init__(
        self,
        manager: web.Server,
        limits: ConnectionLimits,
        blind_s: Callable[[float], float],
        on_made: Callable[[RestConnection], End | None],
        on_lost: Callable[[RestConnection], None],
        **options: Any,
    ) -> None:
        """Of this server.

        Args:
            manager: aiohttp's, which handles the requests.
            limits: How long it may keep us waiting.
            blind_s: For how long, at an instant, nobody had looked.
            on_made: Asked when the connection is made: why it cannot be taken, or None.
            on_lost: Told when it is gone.
            options: aiohttp's.
        """
        super().__init__(manager, **options)
        self.peer = ""
        self.end = End.CLIENT
        self.call: InferCall | None = None
        self.busy = False
        self._limits = limits
        self._blind_s = blind_s
        self._on_made = on_made
        self._on_lost = on_lost
        self._made_s = self._heard_s = self._came_s = self.arrived_s = self._loop.time()
        self._silent = True
        self._stamps: dict[int, float] = {}  # when each request came that waits for its turn, by its message's identity
        self._first_s: float | None = None  # when something of the next request came first
        self._receiving = False  # whether a request's body is still on its way
        self._waiting_since_s: float | None = None  # since when its answers wait without progress
        self._waiting_bytes = 0

    def check(self, now_s: float) -> None:
        """To be called once a second: end the connection if it has kept us waiting for too long."""
        transport = self.transport
        if transport is None:
            return
        waiting = transport.get_write_buffer_size()
        if not waiting:
            self._waiting_since_s = None
        elif self._waiting_since_s is None or waiting <= self._waiting_bytes - PROGRESS_BYTES:
            self._waiting_since_s, self._waiting_bytes = now_s, waiting
        standing = Standing(
            self._made_s,
            self._heard_s,
            settled=not self._silent,
            midway_since_s=None if self.busy else self._first_s,
            waiting_since_s=self._waiting_since_s,
            busy=self.busy,
        )
        end = self._limits.ends(standing, now_s)
        if end is not None:
            self.end_for(end)

    def end_for(self, end: End) -> None:
        """End the connection, for a reason; a client that does not read is not waited for."""
        self.end = end
        if self.transport is None:
            return
        if end in (End.STALL_TIMEOUT, End.ANSWERS_HELD):
            self.transport.abort()
        else:
            self.transport.close()

    def _body_ended(self) -> None:
        self._receiving = False

    # -- aiohttp's and asyncio's side ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the client, or turn it away."""
        name = transport.get_extra_info("peername")
        self.peer = str(name[0]) if isinstance(name, tuple) else ""
        refusal = self._on_made(self)
        super().connection_made(transport)
        if refusal is not None:
            self.end_for(refusal)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nobody is left to answer."""
        if self.call is not None:
            self.call.left()
        self._on_lost(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Something came; or nothing did, where aiohttp looks again at what it has."""
        if data:
            self._heard_s = self._loop.time()
            # As over gRPC: of the instants at which it may have come the earliest counts.
            blind_s = self._blind_s(self._heard_s)
            self._came_s = self._heard_s - (blind_s if blind_s >= LEAST_BLIND_S else 0.0)
            self._silent = False
            # Empty lines between requests are nobody's (RFC 9112, 2.2).
            if self._first_s is None and not self._receiving and data.strip(b"\r\n"):
                self._first_s = self._came_s
        known = self._request_count
        super().data_received(data)
        if self._request_count > known:
            self._stamp(self._request_count - known)

    def _stamp(self, count: int) -> None:
        """The headers of so many requests are here, just now. Each has a clock of its own from then on, for whomever it
        is and however long others keep it waiting; what comes after the last one's body is the next one.
        """
        new = list(islice(self._messages, len(self._messages) - count, None))
        for message, _ in new:
            self._stamps[id(message)] = self._came_s if self._first_s is None else self._first_s
            self._first_s = None
        self._receiving = True
        new[-1][1].on_eof(self._body_ended)

    async def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> tuple[web.StreamResponse, bool]:
        """It is a request's turn. One that aiohttp found where nothing was heard came no later than the one before."""
        self.arrived_s = self._stamps.pop(id(request._message), self.arrived_s)
        return await super()._handle_request(request, start_time, request_handler)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What came is no HTTP, or what was made of it failed; ends the connection, too."""
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("a request over HTTP failed inside the proxy", exc_info=exc)
            message = "the proxy failed; its log says why"
        else:
            self.end = End.PROTOCOL
            _log.debug("%s sent what is no HTTP: %s", self.peer, message)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        response = web.json_response({"error": message or _NO_REPLY}, status=status)
        response.force_close()
        return response
