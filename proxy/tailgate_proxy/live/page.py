"""The live page over HTTP: its files, and its events as Server-Sent Events.

The files are read once, so no request waits for a disk, and only what was read can be asked for. The page names
everything it needs relative to itself: it works under any prefix that a reverse proxy puts before it.
"""

from __future__ import annotations

import asyncio
import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

import aiohttp
from aiohttp import web

from tailgate_proxy.live.feed import HEARTBEAT, Feed, Mailbox

STALL_S = 10.0
"""A client that has taken nothing for so long is gone."""

_TYPES: Final = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "txt": "text/plain",
    "LICENSE": "text/plain",
}
_HEADERS: Final = {
    # Nothing from elsewhere, nothing inline, in nobody's frame: names of models come from clients and upstreams.
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class _File(NamedTuple):
    body: bytes
    content_type: str
    etag: str


def add_live(application: web.Application, feed: Feed) -> None:
    """Serve the page at ``/`` and ``/live``, its files and its events below; the feed ends when the application does.

    Args:
        application: Not yet started.
        feed: What the page shows.
    """
    static = _read(files("tailgate_proxy.live") / "static")

    def send(request: web.Request, name: str) -> web.Response:
        file = static.get(name)
        if file is None:
            return web.Response(status=404, text=f"the live page has no file {name}\n")
        # Asked for anew each time, and answered with "not modified": a new proxy never meets its predecessor's script.
        headers = _HEADERS | {"ETag": f'"{file.etag}"', "Cache-Control": "no-cache"}
        if any(tag.value == file.etag for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.body, content_type=file.content_type, charset="utf-8", headers=headers)

    async def page(request: web.Request) -> web.Response:
        return send(request, "index.html")

    async def part(request: web.Request) -> web.Response:
        return send(request, request.match_info["name"])

    async def events(request: web.Request) -> web.StreamResponse:
        return await _stream(request, feed)

    async def stop(_application: web.Application) -> None:
        await feed.close()

    application.router.add_get("/", page)
    application.router.add_get("/live", page)
    application.router.add_get("/live/static/{name:.+}", part)
    application.router.add_get("/live/events", events, allow_head=False)
    application.on_shutdown.append(stop)


async def _stream(request: web.Request, feed: Feed) -> web.StreamResponse:
    transport = request.transport
    if transport is None:
        return web.Response(status=499)  # gone before it was answered
    mailbox = feed.join(transport.abort)
    if mailbox is None:
        why = "the proxy is stopping" if feed.closed else f"{feed.max_clients} clients watch already; close one of them"
        return web.Response(status=503, text=f"{why}\n", headers={"Retry-After": "10"})
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",  # nginx would hold the events back until it has a block of them
        }
    )
    try:
        await response.prepare(request)
        while (message := await _next(mailbox, feed.heartbeat_s)) is not None:
            async with asyncio.timeout(STALL_S):
                await response.write(message)
    except TimeoutError:
        transport.abort()
    except (ConnectionError, aiohttp.ClientConnectionError):
        pass  # a closed tab
    finally:
        feed.leave(mailbox)
    return response


async def _next(mailbox: Mailbox, heartbeat_s: float) -> bytes | None:
    try:
        async with asyncio.timeout(heartbeat_s):
            return await mailbox.get()
    except TimeoutError:
        return HEARTBEAT


def _read(folder: Traversable, prefix: str = "") -> dict[str, _File]:
    """Every file in it and below, by its path from there."""
    found: dict[str, _File] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            found |= _read(entry, f"{prefix}{entry.name}/")
        else:
            body = entry.read_bytes()
            content_type = _TYPES.get(entry.name.rpartition(".")[2], "application/octet-stream")
            found[prefix + entry.name] = _File(body, content_type, hashlib.sha256(body).hexdigest()[:16])
    return found
