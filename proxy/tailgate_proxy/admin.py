"""The admin port: metrics, health and status over HTTP, apart from the port that serves inference."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client.exposition import choose_encoder

from tailgate.config import Address
from tailgate.errors import ConfigError
from tailgate.snapshot import Snapshot


async def start_admin(
    listen: Address,
    snapshot: Callable[[], Snapshot],
    ready: Callable[[], bool],
    status: Callable[[], dict[str, Any]],
    *,
    extend: Callable[[web.Application], None],
    middlewares: Sequence[Middleware] = (),
) -> tuple[web.AppRunner, int]:
    """Serve until the runner is cleaned up; returns it and the port.

    Args:
        listen: Where.
        snapshot: Takes the metrics, on the event loop, at one instant.
        ready: Whether requests can be served now.
        status: The status document.
        extend: Adds what else is served there.
        middlewares: Asked before any of it.

    Raises:
        ConfigError: The address cannot be bound.
    """

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        # Collected here, where nothing moves meanwhile; put into text elsewhere, since that takes a while.
        text = await asyncio.to_thread(encode, snapshot())
        return web.Response(body=text, headers={"Content-Type": content_type})

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readyz(_request: web.Request) -> web.Response:
        return web.Response(text="ready\n") if ready() else web.Response(text="not ready\n", status=503)

    async def status_json(_request: web.Request) -> web.Response:
        return web.json_response(status())

    application = web.Application(middlewares=middlewares)
    application.router.add_get("/metrics", metrics)
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/status.json", status_json)
    extend(application)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, listen.bare_host, listen.port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(f"--admin {listen} cannot be bound: {error.strerror}") from error
    port: int = runner.addresses[0][1]
    return runner, port
