"""A client's connection, over a transport in memory: an answer that comes before all of its request has."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from tailgate.http2.codes import Role
from tailgate.http2.connection import Connection
from tailgate.http2.events import DataReceived, Event, HeadersReceived
from tailgate.http2.grpc_messages import frame_message
from tailgate.http2.limits import Limits
from tailgate.outcome import Ending
from tailgate_proxy.call import Arrival, Client, Reply
from tailgate_proxy.connection_limits import ConnectionLimits
from tailgate_proxy.held import Held
from tailgate_proxy.wire.inbound import Inbound
from tailgate_proxy.wire.link import Desk

REQUEST = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/s/m"), (b"content-type", b"application/grpc"))
WINDOW = 65_535
FRAME_BYTES = 20_000


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.ends = socket.socketpair()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.ends[0] if name == "socket" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        for end in self.ends:
            end.close()


class AnsweredEarly:
    """A call that is answered when the first of its body is here: an `Ongoing`."""

    def __init__(self, client: Client, stream_id: int, answer: bytes) -> None:
        self.client = client
        self.stream_id = stream_id
        self.answer = answer
        self.pieces = 0

    def arrive(self) -> None:
        """Its model is not known yet."""

    def body(self, piece: memoryview, *, end: bool) -> None:
        self.pieces += 1
        assert not end
        assert len(piece) <= FRAME_BYTES
        self.client.answer(self.stream_id, Reply(Ending.DEFAULTED, body=self.answer))

    def client_left(self) -> None:
        raise AssertionError("it has an answer")

    def stop(self) -> None:
        raise AssertionError("it has an answer")


class Served:
    """A client's connection, and the client's end of it."""

    def __init__(self, answer: bytes) -> None:
        self.calls: list[AnsweredEarly] = []
        self.desk = Desk(asyncio.get_running_loop())
        self.answer = answer
        self.inbound = Inbound(
            self.serve,
            self.desk,
            book_gone=lambda *_: None,
            limits=Limits(stream_window=WINDOW, connection_window=WINDOW),
            held=Held(1 << 30),
            blind_s=lambda _: 0.0,
            connection_limits=ConnectionLimits(),
            on_made=lambda _: None,
            on_lost=lambda _: None,
        )
        self.transport = Transport()
        self.inbound.connection_made(self.transport)
        self.http2 = Connection(Role.CLIENT, Limits(stream_window=WINDOW, connection_window=WINDOW))

    def serve(self, path: bytes, arrival: Arrival, client: Client, stream_id: int) -> AnsweredEarly:
        assert (path, arrival.fields) == (b"/s/m", REQUEST)
        self.calls.append(AnsweredEarly(client, stream_id, self.answer))
        return self.calls[-1]

    async def exchange(self) -> list[Event]:
        """All that either has to say, each time in one read; what the client hears, its answers taken at once."""
        said: list[Event] = []
        while True:
            data = self.http2.data_to_send()
            self.desk.buffer[: len(data)] = data
            if data:
                self.inbound.buffer_updated(len(data))
            await asyncio.sleep(0)
            if not self.transport.written:
                return said
            written, self.transport.written = bytes(self.transport.written), bytearray()
            for event in self.http2.receive(written):
                said.append(event)
                if isinstance(event, DataReceived):
                    self.http2.acknowledge(event.stream_id, len(event.data))


@pytest.mark.parametrize("answer_bytes", [10, 3 * WINDOW])
@pytest.mark.parametrize("frames", [1, 2, 3])
async def test_an_answer_before_the_end_of_its_request_comes_whole_and_the_connection_goes_on(
    frames: int, answer_bytes: int
) -> None:
    answer = frame_message(bytes(answer_bytes))
    served = Served(answer)
    await served.exchange()
    for number in range(4):  # more than the windows, if what is dropped were not acknowledged
        stream_id = served.http2.open_stream(REQUEST)
        for frame in range(frames):
            assert served.http2.send_data(stream_id, bytes(FRAME_BYTES), end_stream=frame == 2) == FRAME_BYTES
        said = [event for event in await served.exchange() if isinstance(event, (HeadersReceived, DataReceived))]
        assert b"".join(bytes(event.data) for event in said if isinstance(event, DataReceived)) == answer
        ending = said[-1]
        assert isinstance(ending, HeadersReceived)
        assert ending.end_stream
        assert (len(served.calls), served.calls[-1].pieces) == (number + 1, 1)
    served.inbound.connection_lost(None)
    served.transport.close()
