"""The border between gRPC and everything else: bytes in, bytes out, every exception turned into one status here.

Handlers get the raw body, because a deserializer that fails inside gRPC answers UNKNOWN and is seen by nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import Message

from tailgate.errors import InternalError, RequestError, TooLarge, Unavailable
from tailgate_server.requests import parse

_log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[bytes, bytes]
Handler = Callable[[Any, Context], Awaitable[Message]]
"""From a request message and its context to the answer; raises `RequestError` to refuse."""

MAX_METADATA_BYTES = 16 * 1024
"""Most metadata of one call. gRPC holds its own limit only once the client has acknowledged it, so it is held here."""

_METADATA_OVERHEAD = 32
"""Bytes that HTTP/2 counts for each header beside its name and value."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Border:
    """Wraps handlers, and counts the calls inside them."""

    def __init__(self) -> None:
        """Nobody is inside."""
        self.in_flight = 0

    def guard(self, handler: Handler, request_type: type[Message]) -> Callable[[bytes, Context], Awaitable[bytes]]:
        """The handler as gRPC calls it."""

        async def behaviour(body: bytes, context: Context) -> bytes:
            self.in_flight += 1
            try:
                return await _answer(handler, request_type, body, context)
            except RequestError as refusal:
                return await context.abort(_CODES[refusal.status], str(refusal))
            finally:
                self.in_flight -= 1

        return behaviour


async def _answer(handler: Handler, request_type: type[Message], body: bytes, context: Context) -> bytes:
    """The handler's answer, or a `RequestError` whatever it raised; only the end of the call itself passes through."""
    try:
        _check_metadata(context)
        answer = await handler(parse(body, request_type), context)
        return answer.SerializeToString()
    except RequestError:
        raise
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise  # the client left, or its deadline passed: nobody waits for an answer
        # Something this call waited for was cancelled. Let through, the client would wait for ever.
        raise Unavailable("the request was dropped because the server is stopping") from error
    except Exception as error:
        _log.exception("%s failed", request_type.DESCRIPTOR.name)
        raise InternalError("an unexpected error; the server's log says which") from error


def _check_metadata(context: Context) -> None:
    size = sum(len(key) + len(value) + _METADATA_OVERHEAD for key, value in context.invocation_metadata() or ())
    if size > MAX_METADATA_BYTES:
        raise TooLarge(f"the call's metadata has {size} bytes; at most {MAX_METADATA_BYTES} are taken")
