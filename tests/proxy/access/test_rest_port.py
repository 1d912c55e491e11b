"""Every path of the REST port: it needs what the gRPC call needs that it stands for."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tailgate.access.tokens import Scope

StartProxy = Any  # defined in conftest.py, which tests do not import
OpenUpstream = Any
Tokens = Any

# One row a route: the scope that it needs, or None where everybody may ask for it.
NEEDS: dict[tuple[str, str], Scope | None] = {
    ("GET", "/v2/health/live"): None,
    ("GET", "/v2/health/ready"): None,
    ("GET", "/v2"): Scope.INFER,
    ("POST", "/v2/repository/index"): Scope.INFER,
    ("GET", "/v2/models/stats"): Scope.INFER,
    **{
        (method, f"/v2/models/{{model}}{version}{what}"): Scope.INFER
        for version in ("", "/versions/{version}")
        for method, what in (
            ("POST", "/infer"),
            ("GET", "/ready"),
            ("GET", "/config"),
            ("GET", "/stats"),
            ("GET", ""),
        )
    },
}
INFER = json.dumps({"inputs": [{"name": "x", "datatype": "UINT8", "shape": [1], "data": [1]}]}).encode()


async def ask(running: Any, method: str, path: str, *authorizations: str) -> tuple[int, list[str]]:
    """The status, and how the server says one may authenticate."""
    url = f"http://{running.proxy.rest}{path.format(model='scripted', version='1')}"
    headers = [("Authorization", one) for one in authorizations]
    body = INFER if path.endswith("/infer") else None
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=headers, data=body) as response,
    ):
        await response.read()
        return response.status, response.headers.getall("WWW-Authenticate", [])


async def test_every_route_that_a_proxy_has_stands_in_the_table(start_proxy: StartProxy) -> None:
    running = await start_proxy(rest="127.0.0.1:0")
    application: web.Application = running.proxy._rest._runner.app
    routes = {(route.method, route.resource.canonical) for route in application.router.routes() if route.resource}
    assert {(method, path) for method, path in routes if method != "HEAD"} == NEEDS.keys()
    assert len(list(application.router.routes())) == len(routes)  # none without a path


@pytest.mark.parametrize(("method", "path"), sorted(NEEDS))
async def test_a_path_takes_the_right_scope_and_nothing_else(
    method: str, path: str, start_proxy: StartProxy, tokens: Tokens, upstream: OpenUpstream
) -> None:
    needed = NEEDS[method, path]
    running = await start_proxy(tokens=str(tokens.path), rest="127.0.0.1:0", forward_metadata="x-from")
    for authorizations in ((), ("",), ("Bearer wrong",), ("Basic x",), (tokens.bearer("infer"), "Bearer wrong")):
        status, ways = await ask(running, method, path, *authorizations)
        assert (status == 401) is (needed is not None), authorizations
        assert ways == (['Bearer realm="tailgate"'] if needed else [])
    for scope in Scope:
        status, ways = await ask(running, method, path, tokens.bearer(scope))
        assert (status == 403) is (needed not in (None, scope)), scope
        assert status != 401
        assert ways == []


async def test_an_inference_is_refused_before_its_body_comes(start_proxy: StartProxy, tokens: Tokens) -> None:
    running = await start_proxy(tokens=str(tokens.path), rest="127.0.0.1:0")
    reader, writer = await asyncio.open_connection(running.proxy.rest.host, running.proxy.rest.port)
    writer.write(b"POST /v2/models/scripted/infer HTTP/1.1\r\nHost: proxy\r\nContent-Length: 1000\r\n\r\n")
    async with asyncio.timeout(60):
        answer = await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"tailgate-outcome: rejected_auth" in answer.lower()


async def test_no_body_is_asked_for_of_who_is_not_let_in(start_proxy: StartProxy, tokens: Tokens) -> None:
    running = await start_proxy(tokens=str(tokens.path), rest="127.0.0.1:0")
    for port, path in (
        (running.proxy.rest, "/v2/models/scripted/infer"),
        (running.proxy.rest, "/v2/repository/index"),
        (running.admin, "/v1/feedback"),
    ):
        for said in (b"100-continue", b"something else"):
            reader, writer = await asyncio.open_connection(port.bare_host, port.port)
            head = f"POST {path} HTTP/1.1\r\nHost: proxy\r\nContent-Length: 1000\r\n".encode()
            writer.write(head + b"Expect: " + said + b"\r\n\r\n")
            async with asyncio.timeout(60):
                assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
            writer.transport.abort()


async def test_a_token_never_reaches_the_upstream_unless_that_is_asked_for_by_name(
    start_proxy: StartProxy, tokens: Tokens, upstream: OpenUpstream
) -> None:
    for forwarded, arrives in (("*", False), ("x-from,authorization", True)):
        running = await start_proxy(tokens=str(tokens.path), rest="127.0.0.1:0", forward_metadata=forwarded)
        url = f"http://{running.proxy.rest}/v2/models/scripted"
        headers = {"Authorization": tokens.bearer("infer"), "X-From": "a client"}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.post(f"{url}/infer", data=INFER) as response:
                assert response.status == 200
            async with session.get(url) as response:
                assert response.status == 200
        assert ["authorization" in metadata for metadata in upstream.metadata] == [arrives] * 2
        upstream.metadata.clear()
