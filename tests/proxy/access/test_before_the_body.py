"""A stranger is refused by the headers alone: no body is waited for, and none is held."""

from __future__ import annotations

import asyncio
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest

from tailgate.protocol.names import MODEL_INFER, SERVICE
from tailgate_proxy.feedback.wire import SUBMIT

StartProxy = Any  # defined in conftest.py, which tests do not import
OpenUpstream = Any
Tokens = Any


async def first_headers(running: Any, path: str, *fields: tuple[str, str]) -> dict[str, str]:
    """What comes back when nothing but headers was sent, and their stream left open."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
    reader, writer = await asyncio.open_connection(running.address.host, running.address.port)
    client.initiate_connection()
    client.send_headers(
        1,
        [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "proxy"), ("te", "trailers"),
         ("content-type", "application/grpc"), *fields],
    )  # fmt: skip
    writer.write(client.data_to_send())
    try:
        async with asyncio.timeout(60):
            while True:
                for event in client.receive_data(await reader.read(65536)):
                    if isinstance(event, h2.events.ResponseReceived):
                        return {str(name): str(value) for name, value in event.headers or ()}
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("path", [MODEL_INFER, f"/{SERVICE}/RepositoryModelLoad", SUBMIT])
async def test_the_answer_comes_when_only_the_headers_did(
    path: str, start_proxy: StartProxy, tokens: Tokens, upstream: OpenUpstream
) -> None:
    running = await start_proxy(tokens=str(tokens.path))
    for fields, status in (
        ((), "16"),
        ((("authorization", "Bearer wrong"),), "16"),
        ((("authorization", tokens.bearer("metrics")),), "7"),
    ):
        headers = await first_headers(running, path, *fields)
        assert headers["grpc-status"] == status
        assert "secret" not in headers["grpc-message"]
    assert upstream.paths == []


async def test_a_stranger_is_told_of_nothing_else_that_is_wrong(start_proxy: StartProxy, tokens: Tokens) -> None:
    running = await start_proxy(tokens=str(tokens.path), max_in_flight=1)
    wrong = (("tailgate-label", "no number"), ("grpc-timeout", "soon"), ("tailgate-deadline-ms", "0"))
    headers = await first_headers(running, MODEL_INFER, *wrong)
    assert (headers["grpc-status"], headers["tailgate-outcome"]) == ("16", "rejected_auth")
    headers = await first_headers(running, MODEL_INFER, *wrong, ("authorization", tokens.bearer("infer")))
    assert (headers["grpc-status"], headers["tailgate-outcome"]) == ("3", "rejected_invalid")


async def test_a_proxy_that_drains_says_so_to_everybody(start_proxy: StartProxy, tokens: Tokens) -> None:
    running = await start_proxy(tokens=str(tokens.path))
    running.proxy._admit.draining = True
    headers = await first_headers(running, MODEL_INFER)
    running.proxy._admit.draining = False
    assert (headers["grpc-status"], headers["tailgate-outcome"]) == ("14", "draining")


async def test_strangers_take_no_place_from_others(start_proxy: StartProxy, tokens: Tokens) -> None:
    running = await start_proxy(tokens=str(tokens.path), max_in_flight=1)
    for _ in range(5):
        await first_headers(running, MODEL_INFER)
    assert await running.infer("1/a", authorization=tokens.bearer("infer"))
