"""Every path of the admin port: who is let in, with what, and that health is for everybody."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tailgate.access.tokens import Scope

StartProxy = Any  # defined in conftest.py, which tests do not import
Tokens = Any

# One row a route: any of these scopes is enough; none: everybody may ask for it.
NEEDS: dict[tuple[str, str], set[Scope]] = {
    ("GET", "/healthz"): set(),
    ("GET", "/readyz"): set(),
    ("GET", "/metrics"): {Scope.METRICS, Scope.ADMIN},
    ("GET", "/status.json"): {Scope.ADMIN},
    ("POST", "/v1/feedback"): {Scope.LABEL},
    ("GET", "/"): {Scope.ADMIN},
    ("GET", "/live"): {Scope.ADMIN},
    ("GET", "/live/static/{name}"): {Scope.ADMIN},
    ("GET", "/live/events"): {Scope.ADMIN},
}
ROUTES = sorted(NEEDS)
NOWHERE = [("GET", "/nowhere"), ("POST", "/metrics"), ("GET", "/v1/feedback"), ("DELETE", "/"), ("GET", "/live/../x")]


async def ask(running: Any, method: str, path: str, authorization: str | None = None) -> tuple[int, list[str]]:
    """The status, and how the server says one may authenticate."""
    url = f"http://{running.admin}{path.replace('{name}', 'page.js')}"
    headers = {} if authorization is None else {"Authorization": authorization}
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as response:
        return response.status, [one.split()[0] for one in response.headers.getall("WWW-Authenticate", [])]


def basic(bearer: str, user: str = "somebody") -> str:
    return "Basic " + b64encode(f"{user}:{bearer.removeprefix('Bearer ')}".encode()).decode()


async def test_every_route_that_a_proxy_has_stands_in_the_table(start_proxy: StartProxy, tokens: Tokens) -> None:
    running = await start_proxy(tokens=str(tokens.path))
    application: web.Application = running.proxy._admin.app
    routes = {(route.method, route.resource.canonical) for route in application.router.routes() if route.resource}
    assert {(method, path) for method, path in routes if method != "HEAD"} == NEEDS.keys()
    assert len(list(application.router.routes())) == len(routes)  # none without a path


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_path_takes_the_right_scope_and_nothing_else(
    method: str, path: str, start_proxy: StartProxy, tokens: Tokens
) -> None:
    needed = NEEDS[method, path]
    running = await start_proxy(tokens=str(tokens.path))
    reads = ["Bearer", "Basic"] if method == "GET" else ["Bearer"]
    for authorization in (None, "", "Bearer wrong", basic("wrong"), "Digest x"):
        assert await ask(running, method, path, authorization) == ((401, reads) if needed else (200, []))
    for scope in Scope:
        bearer = tokens.bearer(scope)
        expected: tuple[int, list[str]] = (200 if scope in needed or not needed else 403, [])
        assert await ask(running, method, path, bearer) == expected
        if method == "GET":
            assert await ask(running, method, path, basic(bearer)) == expected
            assert await ask(running, "HEAD", path, bearer) in (expected, (405, []), (403, []))


async def test_a_browser_can_be_made_to_send_no_label(start_proxy: StartProxy, tokens: Tokens) -> None:
    running = await start_proxy(tokens=str(tokens.path))
    for scope in Scope:
        assert await ask(running, "POST", "/v1/feedback", basic(tokens.bearer(scope))) == (401, ["Bearer"])


@pytest.mark.parametrize(("method", "path"), NOWHERE)
async def test_strangers_do_not_find_out_what_is_there(
    method: str, path: str, start_proxy: StartProxy, tokens: Tokens
) -> None:
    running = await start_proxy(tokens=str(tokens.path))
    assert (await ask(running, method, path))[0] == 401
    assert (await ask(running, method, path, tokens.bearer("infer")))[0] == 403
    assert (await ask(running, method, path, tokens.bearer("admin")))[0] in (404, 405)


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_an_open_admin_port_is_open_for_reading_and_not_for_labels(
    method: str, path: str, start_proxy: StartProxy, tokens: Tokens
) -> None:
    running = await start_proxy(tokens=str(tokens.path), admin_open=True)
    assert (await ask(running, method, path))[0] == (401 if path == "/v1/feedback" else 200)


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_tokens_everybody_may_read_and_label(method: str, path: str, start_proxy: StartProxy) -> None:
    running = await start_proxy()
    assert await ask(running, method, path) == (200, [])


async def test_a_refusal_says_why_and_never_repeats_the_token(start_proxy: StartProxy, tokens: Tokens) -> None:
    running = await start_proxy(tokens=str(tokens.path))
    url = f"http://{running.admin}/status.json"
    async with aiohttp.ClientSession() as session:
        for headers, sentence in (
            ({}, "a token is needed; send it as 'authorization: Bearer TOKEN'"),
            ({"Authorization": "Bearer tg_wrong"}, "the token is not known here; ask for a new one"),
            ({"Authorization": tokens.bearer("infer")}, "the token of 'infer' has scope infer, and this needs admin"),
        ):
            async with session.get(url, headers=headers) as response:
                assert await response.json() == {"error": sentence}


async def test_a_refused_body_is_not_read(start_proxy: StartProxy, tokens: Tokens) -> None:
    running = await start_proxy(tokens=str(tokens.path))
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            yield b" " * 65536
            sent += 65536

    url = f"http://{running.admin}/v1/feedback"
    async with aiohttp.ClientSession() as session, session.post(url, data=endless()) as response:
        assert response.status == 401
    assert sent < 64 << 20  # what sockets hold, and no more: the answer did not wait for the rest
