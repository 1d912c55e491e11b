"""Clients over HTTP of a proxy that serves over TLS: the same certificate, and HTTP/1.1 whatever else they offer."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest

Authority = Any  # defined in conftest.py, which tests do not import
StartProxy = Any

BODY = json.dumps(
    {"id": "3/a", "inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 4], "data": [1, 2, 3, 4]}]}
)


def trusting(authority: Authority, shown: tuple[str, str] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.pem.decode())
    if shown is not None:
        context.load_cert_chain(*shown)
    return context


async def infer(running: Any, context: ssl.SSLContext) -> int:
    url = f"https://{running.proxy.rest}/v2/models/scripted/infer"
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session, session.post(url, data=BODY) as response:
        assert (await response.json())["id"] == "3/a"
        return response.status


async def test_a_client_over_http_that_trusts_the_authority_is_served(
    authority: Authority, stranger: Authority, server_options: Any, start_proxy: StartProxy
) -> None:
    running = await start_proxy(rest="127.0.0.1:0", **server_options)
    assert await infer(running, trusting(authority)) == 200
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await infer(running, trusting(stranger))
    with pytest.raises(aiohttp.ClientError):
        async with aiohttp.ClientSession() as session:
            await session.post(f"http://{running.proxy.rest}/v2/models/scripted/infer", data=BODY)
    assert running.proxy._ledger.received == 1


@pytest.mark.parametrize(
    ("offered", "chosen"), [(["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"), ([], None)]
)
async def test_http_1_1_is_spoken_whatever_else_a_client_offers(
    authority: Authority, server_options: Any, start_proxy: StartProxy, offered: list[str], chosen: str | None
) -> None:
    running = await start_proxy(rest="127.0.0.1:0", **server_options)
    context = trusting(authority)
    if offered:
        context.set_alpn_protocols(offered)
    reader, writer = await asyncio.open_connection(
        running.proxy.rest.bare_host, running.proxy.rest.port, ssl=context, server_hostname="127.0.0.1"
    )
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == chosen
    writer.write(b"GET /v2/health/ready HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (await reader.readuntil(b"\r\n")) == b"HTTP/1.1 200 OK\r\n"
    writer.close()
    await writer.wait_closed()


async def test_where_clients_must_show_a_certificate_those_over_http_must_too(
    authority: Authority, server_options: Any, start_proxy: StartProxy, tmp_path: Path
) -> None:
    known = authority.write(tmp_path, "clients")
    running = await start_proxy(rest="127.0.0.1:0", tls_client_ca=known, **server_options)
    assert await infer(running, trusting(authority, authority.issue().write(tmp_path, "client"))) == 200
    with pytest.raises(aiohttp.ClientError):
        await infer(running, trusting(authority))
    assert running.proxy._ledger.received == 1


async def test_a_new_certificate_comes_into_use_for_clients_over_http_too(
    authority: Authority, server_options: Any, start_proxy: StartProxy, tmp_path: Path
) -> None:
    running = await start_proxy(rest="127.0.0.1:0", **server_options)
    renewed = authority.issue()
    renewed.write(tmp_path, "proxy")

    async def serial() -> int:
        _, writer = await asyncio.open_connection(
            running.proxy.rest.bare_host, running.proxy.rest.port, ssl=trusting(authority), server_hostname="127.0.0.1"
        )
        from cryptography import x509

        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return x509.load_der_x509_certificate(shown).serial_number

    async with asyncio.timeout(60):
        while await serial() != renewed.serial:
            await asyncio.sleep(0.2)
