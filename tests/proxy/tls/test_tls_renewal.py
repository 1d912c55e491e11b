"""Certificates that are replaced while the proxy runs."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from tailgate_proxy.tls import sides
from tailgate_proxy.tls.renewal import Watch

Authority = Any  # defined in conftest.py, which tests do not import
StartProxy = Any
Connect = Any
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "LOOK_INTERVAL_S", 0.01)


async def serial(running: Any, context: ssl.SSLContext | None = None) -> int:
    """Of the certificate that a new connection is shown."""
    if context is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection(running.address.host, running.address.port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return x509.load_der_x509_certificate(shown).serial_number


async def metric(running: Any, name: str) -> float:
    async with aiohttp.ClientSession() as session, session.get(f"http://{running.admin}/metrics") as response:
        lines = (await response.text()).splitlines()
    return float(next(line for line in lines if line.startswith(name)).rpartition(" ")[2])


async def until(running: Any, name: str, count: float) -> None:
    while await metric(running, name) < count:
        await asyncio.sleep(0.01)


RELOADS = 'tailgate_tls_reloads_total{side="server"}'
FAILURES = 'tailgate_tls_reload_failures_total{side="server"}'
EXPIRY = 'tailgate_tls_certificate_expiry_timestamp_seconds{role="server"}'


async def test_new_connections_see_the_new_certificate_and_old_ones_live_on(
    authority: Authority, stranger: Authority, tmp_path: Path, start_proxy: StartProxy, connect: Connect
) -> None:
    first, second = authority.issue(), stranger.issue(ends=60 * DAY)
    cert, key = first.write(tmp_path, "proxy")
    running = await start_proxy(tls_cert=cert, tls_key=key)
    infer = connect(running.address, authority)
    assert await infer("1/before")
    assert await serial(running) == first.serial
    second.write(tmp_path, "proxy")
    await until(running, RELOADS, 1)
    assert await serial(running) == second.serial
    assert await metric(running, EXPIRY) == second.certificate.not_valid_after_utc.timestamp()
    assert await infer("1/after")  # it trusts only the first one's authority: no new connection could be made
    with pytest.raises(grpc.aio.AioRpcError):
        await connect(running.address, authority)("1/new")
    assert await connect(running.address, stranger)("1/new")


async def test_a_half_written_pair_leaves_the_old_one_in_use_until_it_is_whole(
    authority: Authority, tmp_path: Path, start_proxy: StartProxy, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = authority.issue(), authority.issue(ends=60 * DAY)
    cert, key = first.write(tmp_path, "proxy")
    running = await start_proxy(tls_cert=cert, tls_key=key)
    for content in (second.cert_pem, second.cert_pem[:200], b""):
        Path(cert).write_bytes(content)
        await until(running, FAILURES, 3 + await metric(running, FAILURES))
        assert await serial(running) == first.serial
    Path(cert).unlink()
    await until(running, FAILURES, 3 + await metric(running, FAILURES))
    assert await metric(running, EXPIRY) == first.certificate.not_valid_after_utc.timestamp()
    said = [record.message.rpartition("in use: ")[2] for record in caplog.records if "stay in use" in record.message]
    assert said == [
        f"--tls-key {key} is not the key of --tls-cert {cert}; give the two that belong together",
        f"--tls-cert {cert} does not begin with a certificate in PEM",
        f"--tls-cert {cert} cannot be read: No such file or directory",
    ]
    assert await metric(running, RELOADS) == 0
    second.write(tmp_path, "proxy")
    await until(running, RELOADS, 1)
    assert await serial(running) == second.serial


@pytest.mark.parametrize("wrong", [{"starts": -2 * DAY, "ends": -DAY}, {"starts": DAY}])
async def test_a_certificate_that_is_not_valid_now_replaces_none(
    wrong: Any, authority: Authority, tmp_path: Path, start_proxy: StartProxy
) -> None:
    first = authority.issue()
    cert, key = first.write(tmp_path, "proxy")
    running = await start_proxy(tls_cert=cert, tls_key=key)
    authority.issue(**wrong).write(tmp_path, "proxy")
    await until(running, FAILURES, 2)
    assert await serial(running) == first.serial


async def test_a_folder_that_is_swapped_by_its_link_is_noticed(
    authority: Authority, tmp_path: Path, start_proxy: StartProxy
) -> None:
    """As Kubernetes does it: files are links into a folder that is itself a link, which is replaced."""
    first, second = authority.issue(), authority.issue()
    first.write(tmp_path / "version-1", "tls")
    second.write(tmp_path / "version-2", "tls")
    (tmp_path / "data").symlink_to("version-1")
    for name in ("tls.pem", "tls.key"):
        (tmp_path / name).symlink_to(Path("data") / name)
    running = await start_proxy(tls_cert=str(tmp_path / "tls.pem"), tls_key=str(tmp_path / "tls.key"))
    assert await serial(running) == first.serial
    (tmp_path / "data-new").symlink_to("version-2")
    (tmp_path / "data-new").rename(tmp_path / "data")
    await until(running, RELOADS, 1)
    assert await serial(running) == second.serial


async def test_a_pair_of_another_kind_leaves_nothing_of_the_old_one(
    authority: Authority, trusting: Callable[[], ssl.SSLContext], tmp_path: Path, start_proxy: StartProxy
) -> None:
    first = authority.issue(key=rsa.generate_private_key(65537, 2048))
    second = authority.issue()
    cert, key = first.write(tmp_path, "proxy")
    running = await start_proxy(tls_cert=cert, tls_key=key)
    old_fashioned = trusting()  # takes a certificate with an RSA key, where one is to be had
    old_fashioned.maximum_version = ssl.TLSVersion.TLSv1_2
    old_fashioned.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256")
    assert await serial(running, old_fashioned) == first.serial
    second.write(tmp_path, "proxy")
    await until(running, RELOADS, 1)
    assert await serial(running, old_fashioned) == second.serial


async def test_an_authority_for_clients_is_forgotten_once_it_is_replaced(
    *,
    authority: Authority,
    stranger: Authority,
    server_options: Any,
    tmp_path: Path,
    start_proxy: StartProxy,
    connect: Connect,
) -> None:
    bundle = authority.write(tmp_path, "clients")
    running = await start_proxy(**server_options, tls_client_ca=bundle)
    old, new = authority.issue(), stranger.issue()
    assert await connect(running.address, authority, old)("1/old")
    Path(bundle).write_bytes(stranger.pem[:-100])
    await until(running, FAILURES, 2)
    assert await connect(running.address, authority, old)("1/half")
    stranger.write(tmp_path, "clients")
    await until(running, RELOADS, 1)
    assert await connect(running.address, authority, new)("1/new")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await connect(running.address, authority, old)("1/gone")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_an_upstream_that_changes_its_authority_is_reached_again(
    authority: Authority, stranger: Authority, tmp_path: Path, start_upstream: Any, start_proxy: StartProxy
) -> None:
    bundle = authority.write(tmp_path, "upstream-ca")
    cert, key = authority.issue().write(tmp_path, "client")
    upstream = await start_upstream(authority.issue(), clients=authority)
    running = await start_proxy(
        upstream=str(upstream.address), upstream_tls=True, upstream_ca=bundle, upstream_cert=cert, upstream_key=key
    )
    assert await running.infer("1/before")
    roles = {
        role: await metric(running, f'tailgate_tls_certificate_expiry_timestamp_seconds{{role="{role}"}}')
        for role in ("upstream_client", "upstream_ca")
    }
    assert roles["upstream_ca"] == authority.certificate.not_valid_after_utc.timestamp() > roles["upstream_client"]
    await upstream.stop()
    stranger.issue().write(tmp_path, "client")
    stranger.write(tmp_path, "upstream-ca")
    await until(running, 'tailgate_tls_reloads_total{side="upstream"}', 1)
    again = await start_upstream(stranger.issue(), clients=stranger, address=upstream.address)
    await until(running, f'tailgate_upstream_up{{upstream="{upstream.address}"}}', 1)
    assert await running.infer("1/after")
    assert again.finished == ["1/after"]


@given(st.lists(st.sampled_from([b"a", b"b", b"c", None]), max_size=30))
def test_files_are_due_when_they_are_new_and_two_looks_agree(found: list[bytes | None]) -> None:
    watch = Watch((b"a",))
    before: bytes | None = b"a"
    for now in found:
        assert watch.due((now,)) == (now == before and now != b"a")
        before = now
