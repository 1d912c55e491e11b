"""Labels by HTTP: `POST /v1/feedback` on the admin port, lines of JSON, gzip if you like."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError

from tailgate.labels import Result
from tailgate_proxy.expect import ask_for_body, expect_nothing
from tailgate_proxy.feedback.desk import LabelDesk, Receipt
from tailgate_proxy.feedback.wire import MAX_LABELS, read_line

MAX_LINES: Final = 2 * MAX_LABELS
"""Of a request, empty ones among them."""
MAX_BYTES: Final = 8 << 20
"""Of a request, unpacked."""
LATER: Final = (Result.UNKNOWN, Result.HANDED_OVER)
"""What only ever becomes of a label some time after it came."""
AT_ONCE: Final = 200
AT_ONCE_BYTES: Final = 32 << 10
"""Labels taken in before the event loop has its turn again: a fraction of a millisecond, or one that is very long."""


def add_feedback(application: web.Application, desk: LabelDesk) -> None:
    """Add the route."""

    async def feedback(request: web.Request) -> web.Response:
        try:
            body = await _read(request)
        except _Refused as refused:
            return web.json_response({"error": str(refused)}, status=refused.status)
        lines = body.split(b"\n", MAX_LINES)
        labels = [line for line in lines if line.strip()]
        if len(labels) > MAX_LABELS or len(lines) > MAX_LINES:
            error = f"the request has more than {MAX_LABELS} labels, or than {MAX_LINES} lines; give it in several"
            return web.json_response({"error": error}, status=413)
        receipt = Receipt()
        for some in _portions(labels):
            desk.submit(map(read_line, some), receipt)
            await asyncio.sleep(0)
        return web.json_response(_document(receipt))

    application.router.add_post("/v1/feedback", feedback, expect_handler=expect_nothing)


class _Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


async def _read(request: web.Request) -> bytes:
    """The body, unpacked: aiohttp undoes gzip and deflate as it comes, so that the bound is on what was packed."""
    body = bytearray()
    await ask_for_body(request)
    try:
        async for piece in request.content.iter_chunked(64 << 10):
            body += piece
            if len(body) > MAX_BYTES:
                raise _Refused(413, f"the request has more than {MAX_BYTES} bytes; give labels in several requests")
    except (web.RequestPayloadError, ContentEncodingError) as error:
        raise _Refused(400, "the body cannot be unpacked; its content-encoding says gzip or deflate") from error
    return bytes(body)


def _portions(lines: list[bytes]) -> Iterator[list[bytes]]:
    """What is taken in at once."""
    some: list[bytes] = []
    size = 0
    for line in lines:
        some.append(line)
        size += len(line)
        if len(some) >= AT_ONCE or size >= AT_ONCE_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def _document(receipt: Receipt) -> dict[str, Any]:
    return {
        "received": receipt.received,
        **{result.value: receipt.results[result] for result in Result if result not in LATER},
        "pending": receipt.pending,
        "errors": [{"index": index, "request_id": name, "reason": reason} for index, name, reason in receipt.errors],
    }
