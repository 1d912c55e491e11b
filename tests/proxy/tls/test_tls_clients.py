"""Clients of a proxy that serves over TLS: those who should be are served, everybody else fails closed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest
from prometheus_client.parser import text_string_to_metric_families

Authority = Any  # defined in conftest.py, which tests do not import
ScriptedUpstream = Any
StartProxy = Any
Connect = Any


async def samples(running: Any) -> dict[str, float]:
    """What /metrics says, by name and labels."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{running.admin}/metrics") as response:
        text = await response.text()
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def is_unavailable(call: Awaitable[bytes]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def read_all(running: Any, context: ssl.SSLContext | None) -> bytes:
    """Whatever the proxy says to one who only listens, until it closes or has said something."""
    reader, writer = await asyncio.open_connection(running.address.host, running.address.port, ssl=context)
    try:
        return await reader.read(1)
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


async def test_a_client_that_trusts_the_authority_is_served(
    authority: Authority, server_options: Any, start_proxy: StartProxy, connect: Connect
) -> None:
    running = await start_proxy(**server_options)
    infer = connect(running.address, authority)
    answers = await asyncio.gather(*(infer(f"1/{n}") for n in range(20)))
    assert len(answers) == 20
    assert (await samples(running))["tailgate_tls_handshake_failures_total server"] == 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_every_version_agrees_on_http2_and_a_forward_secret_aead_suite_and_is_never_resumed(
    version: ssl.TLSVersion, trusting: Callable[[], ssl.SSLContext], server_options: Any, start_proxy: StartProxy
) -> None:
    running = await start_proxy(**server_options)
    context = trusting()
    context.minimum_version = context.maximum_version = version
    reader, writer = await asyncio.open_connection(running.address.host, running.address.port, ssl=context)
    made = writer.get_extra_info("ssl_object")
    assert made.selected_alpn_protocol() == "h2"
    name, protocol, _ = made.cipher()
    assert name.startswith("TLS_") or (name.startswith("ECDHE-") and ("GCM" in name or "POLY1305" in name))
    assert protocol.replace(".", "_") == version.name
    assert made.compression() is None
    assert (await reader.readexactly(9))[3] == 4  # SETTINGS opens an HTTP/2 connection
    assert made.session is None or not made.session.has_ticket
    writer.transport.abort()


async def test_suites_that_http2_forbids_are_refused(
    trusting: Callable[[], ssl.SSLContext], server_options: Any, start_proxy: StartProxy
) -> None:
    running = await start_proxy(**server_options)
    context = trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await read_all(running, context)


@pytest.mark.parametrize("offered", [None, ["http/1.1"]])
async def test_a_client_that_does_not_agree_on_http2_hears_not_one_byte(
    offered: list[str] | None, authority: Authority, server_options: Any, start_proxy: StartProxy
) -> None:
    running = await start_proxy(**server_options)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority.pem.decode())
    if offered:
        context.set_alpn_protocols(offered)
    assert await read_all(running, context) == b""
    assert (await samples(running))["tailgate_tls_handshake_failures_total server"] == 1


async def test_a_client_in_the_clear_is_never_served(
    upstream: ScriptedUpstream, server_options: Any, start_proxy: StartProxy, connect: Connect
) -> None:
    running = await start_proxy(**server_options)
    await is_unavailable(connect(running.address, None)("1/clear"))
    assert upstream.started == []
    seen = await samples(running)
    assert seen["tailgate_received_total"] == 0
    assert seen["tailgate_tls_handshake_failures_total server"] >= 1


@pytest.mark.parametrize("wrong", ["authority", "name", "expired", "not yet valid"])
async def test_a_client_refuses_a_proxy_whose_certificate_is_wrong(
    *,
    wrong: str,
    authority: Authority,
    issue_wrong: Callable[[str], Any],
    tmp_path: Path,
    start_proxy: StartProxy,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
) -> None:
    issued = issue_wrong(wrong)
    cert, key = issued.write(tmp_path, "proxy")
    running = await start_proxy(tls_cert=cert, tls_key=key)
    warned = [record.message for record in caplog.records if "peers will not take it" in record.message]
    assert len(warned) == (wrong in {"expired", "not yet valid"})
    await is_unavailable(connect(running.address, authority)("1/a"))
    seen = await samples(running)
    assert seen["tailgate_received_total"] == 0
    assert seen["tailgate_tls_certificate_expiry_timestamp_seconds server"] == (
        issued.certificate.not_valid_after_utc.timestamp()
    )


async def test_with_an_authority_for_clients_only_its_own_are_served(
    *,
    authority: Authority,
    issue_wrong: Callable[[str], Any],
    upstream: ScriptedUpstream,
    tmp_path: Path,
    server_options: Any,
    start_proxy: StartProxy,
    connect: Connect,
) -> None:
    running = await start_proxy(**server_options, tls_client_ca=authority.write(tmp_path, "ca"))
    for shown in (None, *map(issue_wrong, ("authority", "expired", "not yet valid"))):
        await is_unavailable(connect(running.address, authority, shown)("1/wrong"))
    assert upstream.started == []
    seen = await samples(running)
    assert seen["tailgate_received_total"] == 0
    assert seen["tailgate_tls_handshake_failures_total server"] >= 4
    assert await connect(running.address, authority, authority.issue())("1/right")
    assert upstream.started == ["1/right"]
