"""The client that benchmarks and overload tests count by knows which of its calls the other side can have seen."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from bench._raw_client import Asked, connect
from tailgate.protocol.names import REQUEST_ID

pytestmark = pytest.mark.beside_others  # a few calls of one process

WIDE = 1 << 24


async def until_acknowledged(taken: socket.socket, server: h2.connection.H2Connection) -> None:
    """Offer windows that never fill, so that only the sockets' buffers do, until the client has heard of them."""
    server.initiate_connection()
    server.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: WIDE})
    server.increment_flow_control_window(WIDE)
    loop, acknowledged = asyncio.get_running_loop(), 0
    while acknowledged < 2:
        await loop.sock_sendall(taken, server.data_to_send())
        events = server.receive_data(await loop.sock_recv(taken, 1 << 16))
        acknowledged += sum(isinstance(event, h2.events.SettingsAcknowledged) for event in events)


@pytest.mark.parametrize(("size", "all_fit"), [(100, True), (150_000, False)])
async def test_of_a_client_that_left_just_those_calls_count_as_reached_that_the_other_side_s_kernel_had(
    size: int, all_fit: bool
) -> None:
    log: list[Asked] = []
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        client = await connect(f"127.0.0.1:{listening.getsockname()[1]}", log)
        taken, _ = listening.accept()
        with taken:
            taken.setblocking(False)
            await until_acknowledged(taken, server)
            for number in range(10):
                client.call(f"call-{number}", bytes(size), 5.0)
            client.vanish(politely=True)
            await asyncio.sleep(0)  # the transport closes in the loop's next turn
            taken.send(
                server.data_to_send() or bytes.fromhex("000008060000000000") + bytes(8)
            )  # a PING: nobody is there
            received = bytearray()
            with suppress(BlockingIOError, ConnectionResetError):
                while piece := taken.recv(1 << 20):
                    received += piece
    events = server.receive_data(bytes(received))
    seen = [
        dict(event.headers)[REQUEST_ID.encode()] for event in events if isinstance(event, h2.events.RequestReceived)
    ]
    reached = [asked.request_id.encode() for asked in log if asked.reached]
    assert reached == seen[: len(reached)]
    assert len(reached) > 0
    assert (len(reached) == 10) == all_fit
