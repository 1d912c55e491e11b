"""Upstreams that are called over TLS: only the right one is ever told a request."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest

Authority = Any  # defined in conftest.py, which tests do not import
StartProxy = Any
StartUpstream = Any


@pytest.fixture
def trust(authority: Authority, tmp_path: Path) -> dict[str, object]:
    """Options of a proxy that calls its upstream over TLS."""
    return {"upstream_tls": True, "upstream_ca": authority.write(tmp_path, "upstream-ca")}


async def fails_closed(running: Any) -> None:
    """A call gets UNAVAILABLE and is booked as such."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.infer("1/closed")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert ("tailgate-outcome", "upstream_unavailable") in list(caught.value.trailing_metadata())
    lines = await scrape(running)
    booked = [line for line in lines if line.startswith("tailgate_requests_total") and "upstream_unavailable" in line]
    assert sum(float(line.rpartition(" ")[2]) for line in booked) == 1
    assert "tailgate_received_total 1.0" in lines


async def scrape(running: Any) -> list[str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{running.admin}/metrics") as response:
        return (await response.text()).splitlines()


async def metric(running: Any, name: str) -> float:
    return float(next(line for line in await scrape(running) if line.startswith(name)).rpartition(" ")[2])


async def test_calls_reach_an_upstream_over_tls(
    authority: Authority, trust: Any, start_upstream: StartUpstream, start_proxy: StartProxy
) -> None:
    upstream = await start_upstream(authority.issue())
    running = await start_proxy(upstream=str(upstream.address), **trust)
    assert await running.infer("1/tls")
    assert upstream.finished == ["1/tls"]


async def test_the_name_to_expect_can_be_another_than_the_address(
    authority: Authority, trust: Any, start_upstream: StartUpstream, start_proxy: StartProxy
) -> None:
    upstream = await start_upstream(authority.issue("model.example"))
    right = await start_proxy(upstream=str(upstream.address), upstream_server_name="model.example", **trust)
    assert await right.infer("1/named")
    await fails_closed(await start_proxy(upstream=str(upstream.address), upstream_server_name="other.example", **trust))


async def test_an_upstream_that_asks_for_a_certificate_gets_ours(
    authority: Authority, trust: Any, tmp_path: Path, start_upstream: StartUpstream, start_proxy: StartProxy
) -> None:
    upstream = await start_upstream(authority.issue(), clients=authority)
    cert, key = authority.issue("proxy.example").write(tmp_path, "client")
    running = await start_proxy(upstream=str(upstream.address), upstream_cert=cert, upstream_key=key, **trust)
    assert await running.infer("1/mutual")


@pytest.mark.parametrize("wrong", ["nothing", "authority", "expired", "not yet valid"])
async def test_an_upstream_that_refuses_our_certificate_is_unavailable(
    *,
    wrong: str,
    authority: Authority,
    issue_wrong: Callable[[str], Any],
    trust: Any,
    tmp_path: Path,
    start_upstream: StartUpstream,
    start_proxy: StartProxy,
) -> None:
    upstream = await start_upstream(authority.issue(), clients=authority)
    options = dict(trust)
    if wrong != "nothing":
        options["upstream_cert"], options["upstream_key"] = issue_wrong(wrong).write(tmp_path, "client")
    await fails_closed(await start_proxy(upstream=str(upstream.address), **options))
    assert upstream.started == []


@pytest.mark.parametrize("wrong", ["authority", "name", "expired", "not yet valid"])
async def test_an_upstream_whose_certificate_is_wrong_is_told_nothing(
    *,
    wrong: str,
    issue_wrong: Callable[[str], Any],
    trust: Any,
    start_upstream: StartUpstream,
    start_proxy: StartProxy,
) -> None:
    upstream = await start_upstream(issue_wrong(wrong))
    await fails_closed(await start_proxy(upstream=str(upstream.address), **trust))
    assert upstream.started == []


async def test_why_an_upstream_is_refused_is_counted_each_time_and_said_once(
    issue_wrong: Callable[[str], Any],
    trust: Any,
    start_upstream: StartUpstream,
    start_proxy: StartProxy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    upstream = await start_upstream(issue_wrong("name"))
    running = await start_proxy(upstream=str(upstream.address), **trust)
    while await metric(running, 'tailgate_tls_handshake_failures_total{side="upstream"}') < 3:
        await asyncio.sleep(0.01)
    said = [record.message for record in caplog.records if "certificate verify failed" in record.message]
    assert len(said) == 1
    assert said[0].startswith("TLS handshake (upstream) failed: certificate verify failed: IP address mismatch")


async def test_without_a_bundle_only_the_systems_authorities_are_trusted(
    authority: Authority, start_upstream: StartUpstream, start_proxy: StartProxy
) -> None:
    upstream = await start_upstream(authority.issue())
    await fails_closed(await start_proxy(upstream=str(upstream.address), upstream_tls=True))
    assert upstream.started == []


@asynccontextmanager
async def serving(context: ssl.SSLContext | None) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers nothing and keeps what it is told."""
    told: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.append(await reader.read(1000))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", told
    finally:
        server.close()
        await server.wait_closed()


async def test_an_upstream_in_the_clear_hears_a_tls_greeting_and_nothing_else(
    trust: Any, start_proxy: StartProxy
) -> None:
    async with serving(None) as (address, told):
        await fails_closed(await start_proxy(upstream=address, **trust))
    assert told
    assert all(words[:2] == b"\x16\x03" for words in told)  # a handshake record of TLS


@pytest.mark.parametrize("offered", [None, ["http/1.1"]])
async def test_an_upstream_that_does_not_agree_on_http2_is_told_nothing(
    offered: list[str] | None, authority: Authority, trust: Any, tmp_path: Path, start_proxy: StartProxy
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue().write(tmp_path, "upstream"))
    if offered:
        context.set_alpn_protocols(offered)
    async with serving(context) as (address, told):
        await fails_closed(await start_proxy(upstream=address, **trust))
    assert not any(told)


async def test_of_upstreams_with_several_names_each_must_have_its_own(
    authority: Authority, trust: Any, start_upstream: StartUpstream, start_proxy: StartProxy
) -> None:
    upstream = await start_upstream(authority.issue("127.0.0.1"))
    port = upstream.address.port
    running = await start_proxy(upstream=f"127.0.0.1:{port},localhost:{port}", **trust)
    members = {member.name: member for member in running.proxy._pools.by_name["default"].membership.members}
    for number in range(20):
        assert await running.infer(f"1/{number}")
    assert members[f"127.0.0.1:{port}"].upstream.connected
    assert not members[f"localhost:{port}"].upstream.connected
    assert len(upstream.finished) == 20
