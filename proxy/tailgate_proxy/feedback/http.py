"""Labels by HTTP: `POST /v1/feedback` on the admin port, lines of JSON, gzip if you like."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError

from tailgate.labels import Result
from tailgate_proxy.feedback.desk import LabelDesk, Receipt
from tailgate_proxy.feedback.wire import read_line

MAX_LABELS: Final = 10_000
MAX_BYTES: Final = 8 << 20
"""Of a request, unpacked."""
LATER: Final = (Result.UNKNOWN, Result.HANDED_OVER)
"""What only ever becomes of a label some time after it came."""
AT_ONCE: Final = 200
"""Labels taken in before the event loop has its turn again: a fraction of a millisecond."""


def add_feedback(application: web.Application, desk: LabelDesk) -> None:
    """Add the route."""

    async def feedback(request: web.Request) -> web.Response:
        try:
            body = await _read(request)
        except _Refused as refused:
            return web.json_response({"error": str(refused)}, status=refused.status)
        lines = [line for line in body.split(b"\n") if line.strip()]
        if len(lines) > MAX_LABELS:
            error = f"the request has {len(lines)} labels; at most {MAX_LABELS} are taken at once"
            return web.json_response({"error": error}, status=413)
        receipt = Receipt()
        for start in range(0, len(lines), AT_ONCE):
            desk.submit(map(read_line, lines[start : start + AT_ONCE]), receipt)
            await asyncio.sleep(0)
        return web.json_response(_document(receipt))

    application.router.add_post("/v1/feedback", feedback)


class _Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


async def _read(request: web.Request) -> bytes:
    """The body, unpacked: aiohttp undoes gzip and deflate as it comes, so that the bound is on what was packed."""
    body = bytearray()
    try:
        async for piece in request.content.iter_chunked(64 << 10):
            body += piece
            if len(body) > MAX_BYTES:
                raise _Refused(413, f"the request has more than {MAX_BYTES} bytes; give labels in several requests")
    except (web.RequestPayloadError, ContentEncodingError) as error:
        raise _Refused(400, "the body cannot be unpacked; its content-encoding says gzip or deflate") from error
    return bytes(body)


def _document(receipt: Receipt) -> dict[str, Any]:
    return {
        "received": receipt.received,
        **{result.value: receipt.results[result] for result in Result if result not in LATER},
        "pending": receipt.pending,
        "errors": [{"index": index, "request_id": name, "reason": reason} for index, name, reason in receipt.errors],
    }
