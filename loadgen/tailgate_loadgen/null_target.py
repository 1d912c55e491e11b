"""A target that answers every request with the same bytes without looking at it, so that what is measured is who asks.

A program for itself: it prints the port of the loopback interface on which it serves, until it is ended. It stands on
`tailgate.http2`, which costs less for each request than the sender spends, so that the sender is the slower of the two.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from typing import cast

from tailgate.http2.codes import Role
from tailgate.http2.connection import Connection
from tailgate.http2.events import ConnectionTerminated, DataReceived, StreamReset
from tailgate.http2.limits import Limits
from tailgate.pb import inference_pb2 as pb
from tailgate_loadgen.event_loop import run_on_loop

CLASSES = 1000
"""As ImageNet has them: an answer of 4 kB."""

_LIMITS = Limits(max_concurrent_streams=1 << 20, stream_window=8 << 20, connection_window=256 << 20)
_HEAD = ((b":status", b"200"), (b"content-type", b"application/grpc"))
_TRAILERS = ((b"grpc-status", b"0"),)


def canned_answer() -> bytes:
    """Scores of all classes as a serialized ModelInferResponse."""
    answer = pb.ModelInferResponse(raw_output_contents=[struct.pack(f"<{CLASSES}f", 1.0, *[0.0] * (CLASSES - 1))])
    answer.outputs.add(name="scores", datatype="FP32", shape=[1, CLASSES])
    return answer.SerializeToString()


class NullTarget(asyncio.Protocol):
    """One connection: every request that is complete is answered, as far as the client's windows allow."""

    def __init__(self, answer: bytes) -> None:
        """`answer` is what each request gets."""
        self._body = b"\0" + len(answer).to_bytes(4, "big") + answer
        self._connection = Connection(Role.SERVER, _LIMITS)
        self._waiting: deque[int] = deque()
        self._given: int | None = None  # bytes of the answer that the first of them has; None: not even its headers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Read, answer what is complete, write."""
        connection = self._connection
        for event in connection.receive(data):
            if isinstance(event, DataReceived):
                connection.acknowledge(event.stream_id, len(event.data))
                if event.end_stream:
                    self._waiting.append(event.stream_id)
            elif isinstance(event, StreamReset):
                self._forget(event.stream_id)
            elif isinstance(event, ConnectionTerminated):
                self._waiting.clear()
                self._transport.close()
        self._answer()
        connection.forgive()  # who asks here is no stranger
        self._transport.write(connection.data_to_send())

    def _forget(self, stream: int) -> None:
        if stream in self._waiting:
            if self._waiting[0] == stream:
                self._given = None
            self._waiting.remove(stream)

    def _answer(self) -> None:
        connection = self._connection
        while self._waiting:
            stream = self._waiting[0]
            if self._given is None:
                connection.send_headers(stream, _HEAD)
                self._given = 0
            self._given += connection.send_data(stream, memoryview(self._body)[self._given :])
            if self._given < len(self._body):
                return  # goes on when the client has opened its window
            connection.send_headers(stream, _TRAILERS, end_stream=True)
            self._waiting.popleft()
            self._given = None


async def serve() -> None:
    """Serve for ever."""
    answer = canned_answer()
    server = await asyncio.get_running_loop().create_server(lambda: NullTarget(answer), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    run_on_loop(serve())
