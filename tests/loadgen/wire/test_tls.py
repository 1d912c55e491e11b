"""What both clients promise over TLS: whom they talk to, what they show, and that they talk to nobody else."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import h2.events
import numpy as np
import pytest

from tailgate.errors import Status, UsageError
from tailgate_loadgen.calls import CLIENTS, ClientName, Ended, ask
from tailgate_loadgen.credentials import Credentials
from tailgate_loadgen.event_loop import run_on_loop
from tailgate_loadgen.target import open_client
from tailgate_loadgen.tls import Tls

if TYPE_CHECKING:
    from tests.loadgen.conftest import Authority
    from tests.loadgen.wire.conftest import Context, RawConnection

Serve = Callable[..., Any]


@pytest.fixture(params=CLIENTS)
def client_name(request: pytest.FixtureRequest) -> ClientName:
    name: ClientName = request.param
    return name


async def echo(body: bytes, _context: Context) -> bytes:
    return body


def grpc_credentials(pair: tuple[Path, Path], clients: Authority | None = None) -> grpc.ServerCredentials:
    """A server's, which asks clients for certificates if it is given an authority."""
    cert, key = (path.read_bytes() for path in pair)
    ca = None if clients is None else clients.ca.read_bytes()
    return grpc.ssl_server_credentials([(key, cert)], ca, require_client_auth=clients is not None)


def context_of(pair: tuple[Path, Path], alpn: str | None = "h2") -> ssl.SSLContext:
    """A server's, of the standard library."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    if alpn:
        context.set_alpn_protocols([alpn])
    return context


def over(authority: Authority, **more: Any) -> Credentials:
    return Credentials(tls=Tls(ca=authority.ca, **more))


async def sentence(target: str, credentials: Credentials) -> str:
    """What our own client says instead of connecting."""
    with pytest.raises(UsageError) as caught:
        async with open_client("http2", target, credentials):
            pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


def answer(connection: RawConnection, event: h2.events.Event) -> None:
    if isinstance(event, h2.events.StreamEnded):
        connection.answer(event.stream_id, b"answer")


async def test_calls_reach_a_target_over_tls_with_their_metadata_and_the_token(
    client_name: ClientName, serve: Serve, authority: Authority
) -> None:
    seen: list[dict[str, str]] = []

    async def handler(body: bytes, context: Context) -> bytes:
        seen.append({name: str(value) for name, value in context.invocation_metadata() or ()})
        return body[::-1]

    target = await serve(handler, credentials=grpc_credentials(authority.issue()))
    credentials = Credentials("tg_secret", tls=Tls(ca=authority.ca))
    async with open_client(client_name, target.address, credentials) as client:
        for number in "12":
            ended = await ask(client, b"que", b"stion", 60, (("x-request-id", number),))
            assert ended == Ended(Status.OK, "", b"noitseuq")
    assert [(one["x-request-id"], one["authorization"]) for one in seen] == [
        ("1", "Bearer tg_secret"),
        ("2", "Bearer tg_secret"),
    ]


@pytest.mark.parametrize("server_name", [None, "model.example"])
async def test_requests_are_addressed_to_whom_the_certificate_is_for(
    client_name: ClientName, server_name: str | None, serve_raw: Serve, authority: Authority
) -> None:
    asked: list[dict[bytes, bytes]] = []

    def note(connection: RawConnection, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            asked.append({bytes(name): bytes(value) for name, value in event.headers})
        answer(connection, event)

    target = await serve_raw(note, tls=context_of(authority.issue(server_name or "127.0.0.1")))
    async with open_client(client_name, target.address, over(authority, server_name=server_name)) as client:
        assert await ask(client, b"q", b"", 60) == Ended(Status.OK, "", b"answer")
    (headers,) = asked
    assert headers[b":scheme"] == b"https"
    assert headers[b":authority"] == (server_name or target.address).encode()
    assert b"authorization" not in headers


async def test_a_target_that_asks_for_a_certificate_gets_ours(
    client_name: ClientName, serve: Serve, authority: Authority
) -> None:
    target = await serve(echo, credentials=grpc_credentials(authority.issue(), clients=authority))
    cert, key = authority.issue("client.example")
    async with open_client(client_name, target.address, over(authority, cert=cert, key=key)) as client:
        assert (await ask(client, b"a", b"b", 60)).answer == b"ab"


async def test_without_a_bundle_the_systems_authorities_are_trusted(
    client_name: ClientName, serve: Serve, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
    target = await serve(echo, credentials=grpc_credentials(authority.issue()))
    async with open_client(client_name, target.address, Credentials(tls=Tls())) as client:
        assert (await ask(client, b"a", b"b", 60)).answer == b"ab"


async def test_a_socket_in_the_file_system_is_called_over_tls_as_localhost(
    client_name: ClientName, serve: Serve, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # such a path is short
    await serve(echo, "unix:s", grpc_credentials(authority.issue("localhost")))
    async with open_client(client_name, "unix:s", over(authority)) as client:
        assert (await ask(client, b"a", b"b", 60)).answer == b"ab"


async def test_a_target_whose_certificate_is_wrong_is_told_nothing(
    client_name: ClientName, serve: Serve, authority: Authority, stranger: Authority
) -> None:
    told: list[bytes] = []

    async def keep(body: bytes, _context: Context) -> bytes:
        told.append(body)
        return body

    for issuer, host in ((stranger, "127.0.0.1"), (authority, "elsewhere.example")):
        target = await serve(keep, credentials=grpc_credentials(issuer.issue(host)))
        try:
            async with open_client(client_name, target.address, over(authority)) as client:
                assert (await ask(client, b"q", b"", 60)).status is Status.UNAVAILABLE
        except UsageError:
            assert client_name == "http2"
    assert told == []


async def test_why_a_handshake_failed_is_one_sentence_with_what_to_look_at(
    serve: Serve, serve_raw: Serve, authority: Authority, stranger: Authority
) -> None:
    remedy = (
        "; start it, or give the right address with --target, or what fits its certificate with --ca, --cert or "
        "--server-name"
    )

    async def said_of(target: Any, credentials: Credentials) -> str:
        said = await sentence(target.address, credentials)
        begin = f"target {target.address} cannot be reached over TLS: "
        assert said.startswith(begin)
        assert said.endswith(remedy)
        return said.removeprefix(begin).removesuffix(remedy)

    theirs = await serve(echo, credentials=grpc_credentials(stranger.issue()))
    assert (await said_of(theirs, over(authority))).startswith("certificate verify failed: ")
    named = await serve(echo, credentials=grpc_credentials(authority.issue("model.example")))
    assert "IP address mismatch" in await said_of(named, over(authority))
    assert "Hostname mismatch" in await said_of(named, over(authority, server_name="other.example"))
    unspoken = await serve_raw(answer, tls=context_of(authority.issue(), alpn=None))
    assert await said_of(unspoken, over(authority)) == "it did not agree on HTTP/2 (ALPN h2)"
    clear = await serve_raw(answer)
    assert await said_of(clear, over(authority))
    strict = context_of(authority.issue())
    strict.load_verify_locations(authority.ca)
    strict.verify_mode = ssl.CERT_REQUIRED
    shy = await serve_raw(answer, tls=strict)
    assert "the connection to the target broke" in await said_of(shy, over(authority))


async def test_a_connection_over_tls_that_breaks_is_opened_again(serve_raw: Serve, authority: Authority) -> None:
    def break_the_first(connection: RawConnection, event: h2.events.Event) -> None:
        if len(target.connections) == 1 and isinstance(event, h2.events.StreamEnded):
            connection.transport.abort()
        else:
            answer(connection, event)

    target = await serve_raw(break_the_first, tls=context_of(authority.issue()))
    async with open_client("http2", target.address, over(authority)) as client:
        assert (await ask(client, b"q", b"", 60)).status is Status.UNAVAILABLE
        async with asyncio.timeout(120):
            while (ended := await ask(client, b"q", b"", 60)).status is not Status.OK:
                await asyncio.sleep(0.1)
        assert ended.answer == b"answer"
    assert len(target.connections) == 2


def test_large_requests_and_answers_cross_tls_whole_on_the_loop_that_runs_are_sent_on(
    client_name: ClientName, authority: Authority
) -> None:
    generator = np.random.default_rng(0)
    messages = [generator.bytes(size) for size in (1, 16_000, 16_384, 65_535, *[600_000] * 6)]

    async def exchange() -> list[Ended]:
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)])
        method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ModelInfer": method}),)
        )
        port = server.add_secure_port("127.0.0.1:0", grpc_credentials(authority.issue()))
        await server.start()
        async with open_client(client_name, f"127.0.0.1:{port}", over(authority)) as client:
            ended = await asyncio.gather(*(ask(client, one[:100], memoryview(one)[100:], 120) for one in messages))
        await server.stop(None)
        return ended

    assert run_on_loop(exchange()) == [Ended(Status.OK, "", message) for message in messages]
