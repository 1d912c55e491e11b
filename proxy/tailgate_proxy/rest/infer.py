"""Inferences over HTTP: a request of aiohttp's becomes a call, and its end an answer."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from aiohttp import StreamReader, web

from tailgate.errors import InvalidRequest
from tailgate.protocol.rest.statuses import CLIENT_LEFT
from tailgate_proxy.connection_limits import End
from tailgate_proxy.expect import ask_for_body
from tailgate_proxy.pipeline import Pipeline
from tailgate_proxy.rest.answers import infer_answer
from tailgate_proxy.rest.call import InferCall
from tailgate_proxy.rest.connection import RestConnection

SMALL_ANSWER_BYTES: Final = 64 * 1024
"""An answer up to this size is sent even where there is no room to hold it: it goes where every connection has room."""


_log = logging.getLogger(__name__)


class Infer:
    """Handles them."""

    def __init__(self, pipeline: Pipeline, max_json_bytes: int) -> None:
        """Handle by a pipeline; no JSON may be longer."""
        self.pipeline = pipeline
        self._max_json_bytes = max_json_bytes

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request, from its headers to its answer."""
        connection = request.protocol
        assert isinstance(connection, RestConnection)
        call = self._begin(request, connection)
        connection.call, connection.busy = call, True
        try:
            if call.arrive(request.content_length):
                await self._receive(request, call)
            reply = await call.reply
            connection.call = None
            if reply is None:
                return web.Response(status=CLIENT_LEFT)  # goes nowhere
            response = infer_answer(call, reply)
            if self.pipeline.admit.draining:
                response.force_close()
            await self._send(request, response, connection)
            return response
        finally:
            connection.call, connection.busy = None, False
            if not call.reply.done():  # cut short: whatever it was, the request has its end
                call.left()

    def _begin(self, request: web.Request, connection: RestConnection) -> InferCall:
        at_s = connection.arrived_s
        unix_s = time.time() - (self.pipeline.clock() - at_s)
        target = request.match_info["model"], request.match_info.get("version", "")
        return InferCall(self.pipeline, target, request.raw_headers, (at_s, unix_s), self._max_json_bytes)

    async def _receive(self, request: web.Request, call: InferCall) -> None:
        """Read the body, until it is whole or the call has ended."""
        content = request.content
        await ask_for_body(request)
        if content.is_eof():  # as of nearly every small request: it came in one piece
            while not content.at_eof() and call.take(content.read_nowait()):
                pass
            call.complete()
            return
        reading = asyncio.get_running_loop().create_task(_read(content, call))
        try:
            await asyncio.wait((reading, call.reply), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not reading.done():  # nobody else can read what is left of it meanwhile
                reading.cancel()
                await asyncio.wait((reading,))

    async def _send(self, request: web.Request, response: web.Response, connection: RestConnection) -> None:
        """Send an answer. It counts as held until the client has read it, but for what is always on its way."""
        size = response.content_length or 0
        counted = size if self.pipeline.held.take(size) else 0
        if not counted and size > SMALL_ANSWER_BYTES:
            _log.warning("there is no room to keep the answer of %d bytes for %s; it is cut off", size, connection.peer)
            connection.end_for(End.ANSWERS_HELD)
            return
        try:
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError:
            pass  # it left meanwhile, and has its outcome
        finally:
            self.pipeline.held.give_back(counted)


async def _read(content: StreamReader, call: InferCall) -> None:
    try:
        while piece := await content.readany():
            if not call.take(piece):
                return
    except ConnectionError:
        return  # the connection says so itself
    except Exception as error:  # noqa: BLE001 — aiohttp's of all kinds: chunks that are none, too few bytes
        call.refuse(InvalidRequest(f"the request's body could not be read: {' '.join(str(error).split())}"))
        return
    call.complete()
