"""Calls of a client that has hung up before anybody looked are booked, and cost the upstream nothing."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import aiohttp
import h2.config
import h2.connection
import pytest

from tailgate.protocol.envelope import RequestFrame
from tailgate.protocol.names import MODEL_INFER
from tailgate_proxy.connection_limits import BACKLOG
from tailgate_proxy.passage import Passage
from tailgate_proxy.wire.hang_up import HangUp

RunningProxy = Any  # defined in conftest.py, which tests do not import
ScriptedUpstream = Any
StartProxy = Any

FRAME = RequestFrame("scripted", "image", "UINT8", (1, 4))


class Blunt:
    """A client that sends, and leaves the rest to the kernel: nobody else has a turn meanwhile."""

    def __init__(self, running: RunningProxy) -> None:
        self.sock = socket.create_connection((running.address.host, running.address.port))
        self.http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.http2.initiate_connection()

    def ask(self, *ids: str, metadata: tuple[tuple[str, str], ...] = ()) -> None:
        for name in ids:
            stream_id = self.http2.get_next_available_stream_id()
            self.http2.send_headers(
                stream_id,
                [(":method", "POST"), (":scheme", "http"), (":path", MODEL_INFER), (":authority", "proxy"),
                 ("te", "trailers"), ("content-type", "application/grpc"), *metadata],
            )  # fmt: skip
            body = FRAME.build(name, b"abcd")
            self.http2.send_data(stream_id, b"\0" + len(body).to_bytes(4, "big") + body, end_stream=True)
        self.sock.sendall(self.http2.data_to_send())

    def hang_up(self) -> None:
        self.sock.close()


def longest_line(port: int) -> int:
    """How many connections may wait at the socket of this process that listens on a port, until they are taken."""
    for file in list(Path("/proc/self/fd").iterdir()):
        if not file.is_socket():
            continue
        with socket.socket(fileno=os.dup(int(file.name))) as found:
            listens = found.family == socket.AF_INET and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            if listens and found.getsockname()[1] == port:
                told = found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
                return int.from_bytes(told[28:32], sys.byteorder)  # tcpi_sacked: of one that listens, its backlog
    raise AssertionError(f"nobody listens on port {port}")


async def ended(running: RunningProxy, count: int) -> dict[str, int]:
    """The outcomes, once so many calls have ended."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"http://{running.admin}/status.json") as response:
                document: dict[str, Any] = json.loads(await response.text())
            if document["received"] >= count and not document["in_flight"]:
                return {name: booked for name, booked in document["outcomes"].items() if booked}
            await asyncio.sleep(0.01)


async def test_calls_of_a_client_that_is_gone_already_are_booked_and_never_reach_the_upstream(
    start_proxy: StartProxy, upstream: ScriptedUpstream
) -> None:
    running = await start_proxy()
    client = Blunt(running)
    client.ask(*(f"1/gone-{number}" for number in range(10)))
    client.hang_up()
    assert await ended(running, 10) == {"client_cancelled": 10}
    await running.infer("1/after")
    assert upstream.started == ["1/after"]


async def test_nothing_is_kept_of_a_call_whose_client_is_gone_already(start_proxy: StartProxy) -> None:
    def calls_on_their_way() -> int:
        gc.collect()
        return sum(isinstance(one, Passage) for one in gc.get_objects())

    running, before = await start_proxy(), calls_on_their_way()
    client = Blunt(running)
    client.ask(*(f"1/gone-{number}" for number in range(10)))
    client.hang_up()
    assert await ended(running, 10) == {"client_cancelled": 10}
    assert calls_on_their_way() == before  # also not until the deadline, half a minute away


async def test_what_refuses_a_call_at_its_arrival_is_its_outcome_also_where_its_client_is_gone(
    start_proxy: StartProxy, upstream: ScriptedUpstream
) -> None:
    running = await start_proxy(max_in_flight=3)
    client = Blunt(running)
    client.ask("1/malformed", metadata=(("grpc-timeout", "soon"),))
    client.ask("1/expired", metadata=(("grpc-timeout", "0n"),))
    client.ask(*(f"1/gone-{number}" for number in range(10)))
    client.hang_up()
    booked = await ended(running, 12)
    assert booked == {"rejected_invalid": 1, "expired_on_arrival": 1, "client_cancelled": 10}
    await running.infer("1/after")  # each has given back its place
    assert upstream.started == ["1/after"]


async def test_nothing_is_said_to_a_client_that_hung_up_before_it_was_taken(start_proxy: StartProxy) -> None:
    running = await start_proxy()
    client = Blunt(running)
    client.ask("1/gone")
    client.sock.shutdown(socket.SHUT_WR)
    assert await ended(running, 1) == {"client_cancelled": 1}
    client.sock.setblocking(False)
    async with asyncio.timeout(60):
        assert await asyncio.get_running_loop().sock_recv(client.sock, 1000) == b""
    client.hang_up()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how long the line of a listening socket may be")
@pytest.mark.parametrize("option", ["listen", "rest"])
async def test_the_line_of_connections_that_nobody_has_seen_yet_is_short(start_proxy: StartProxy, option: str) -> None:
    running = await start_proxy(rest="127.0.0.1:0")
    address = running.address if option == "listen" else running.proxy.rest
    assert longest_line(address.port) == BACKLOG <= 256


async def test_hanging_up_ends_what_was_asked_before_too(start_proxy: StartProxy, upstream: ScriptedUpstream) -> None:
    running = await start_proxy()
    client = Blunt(running)
    client.ask("hold/first")
    async with asyncio.timeout(60):
        while not upstream.started:
            await asyncio.sleep(0.01)
    client.ask("1/second")
    client.hang_up()
    assert await ended(running, 2) == {"client_cancelled": 2}
    async with asyncio.timeout(60):
        while not upstream.cancelled:
            await asyncio.sleep(0.01)
    assert upstream.started == upstream.cancelled == ["hold/first"]


async def test_a_client_that_stays_has_not_hung_up() -> None:
    class Transport(asyncio.BaseTransport):
        def __init__(self, sock: socket.socket) -> None:
            super().__init__({"socket": sock})

    ours, theirs = socket.socketpair()
    with ours, theirs:
        hang_up = HangUp(Transport(ours))
        theirs.send(b"one more")
        assert not hang_up.seen()
        theirs.close()
        assert hang_up.seen()
        assert ours.recv(100) == b"one more"
