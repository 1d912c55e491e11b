"""A client that sends whatever it is told to, byte by byte, and notes what comes back. It keeps no protocol's rules.

It has a plain socket, not a stream: what the other side said last is read even after a write has failed.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import hpack

from fuzz._wire import HEADER_BYTES, PREFACE, frame

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 1, 1, 4, 8, 32
PATIENCE_S: Final = 60.0
"""How long an answer is waited for; it only decides when a test fails."""
INFER: Final = "/inference.GRPCInferenceService/ModelInfer"


def literal(name: bytes, value: bytes) -> bytes:
    """A field that no table knows or keeps; its length may be any."""
    return b"\0" + _string(name) + _string(value)


def request_block(*extra: tuple[bytes, bytes], path: str = INFER) -> bytes:
    """The headers of a gRPC call."""
    fields = ((b":path", path.encode()), (b":authority", b"a"), (b"te", b"trailers"))
    typed = ((b"content-type", b"application/grpc"), *extra)
    return b"\x83\x86" + b"".join(literal(*one) for one in (*fields, *typed))


def framed(message: bytes, flag: int = 0) -> bytes:
    """A message as gRPC puts it into a body."""
    return bytes((flag,)) + len(message).to_bytes(4, "big") + message


def settings(*pairs: tuple[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in pairs))


@dataclass
class Peer:
    """One connection.

    Attributes:
        goaway: Error code of a GOAWAY, once there was one.
        resets: Error code by stream.
        endings: Trailers by stream.
        bodies: What came as DATA, by stream.
        credit: Bytes that WINDOW_UPDATE has allowed beyond the first window, by stream; 0 is the connection.
        pongs: Answers to PING.
        ended: Whether the other side has closed.
    """

    sock: socket.socket
    goaway: int | None = None
    resets: dict[int, int] = field(default_factory=dict)
    endings: dict[int, dict[str, str]] = field(default_factory=dict)
    bodies: dict[int, bytes] = field(default_factory=dict)
    credit: dict[int, int] = field(default_factory=dict)
    pongs: int = 0
    ended: bool = False
    _held: bytes = b""
    _decoder: hpack.Decoder = field(default_factory=hpack.Decoder)
    _reading: asyncio.Task[None] | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def read(self) -> None:
        """Begin to read; without it, nothing is ever taken off the socket."""
        self._reading = asyncio.create_task(self._read())

    async def send(self, content: bytes) -> None:
        """Send, for as long as anybody takes it."""
        with suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(self.sock, content)

    async def call(self, stream_id: int, body: bytes, *extra: tuple[bytes, bytes], end: bool = True) -> None:
        """Begin a call, with what there is of its body."""
        await self.send(frame(HEADERS, END_HEADERS, stream_id, request_block(*extra)))
        await self.send(data(stream_id, body, end=end))

    async def until(self, wanted: Callable[[], object]) -> None:
        """Wait until this holds.

        Raises:
            AssertionError: It does not come to it.
        """
        await self._wait(lambda: self.ended or wanted())
        assert wanted(), f"the connection ended with GOAWAY {self.goaway}"

    async def until_ended(self, *codes: int | None) -> None:
        """Wait until the other side has closed the connection, with one of these codes; none given: with any.

        Raises:
            AssertionError: It does not, or for another reason.
        """
        await self._wait(lambda: self.ended)
        assert not codes or self.goaway in codes, f"GOAWAY {self.goaway}; expected one of {codes}"

    async def until_over(self, *stream_ids: int) -> None:
        """Wait until these streams have ended, or all of the connection."""
        await self._wait(lambda: self.ended or set(stream_ids) <= self.resets.keys() | self.endings.keys())

    async def status(self, stream_id: int) -> int:
        """The gRPC status of a call, once it has one."""
        await self.until(lambda: stream_id in self.endings)
        return int(self.endings[stream_id]["grpc-status"])

    async def answers(self) -> bool:
        """Whether the connection lives: it answers a ping, or else it has ended."""
        before = self.pongs
        await self.send(frame(PING, 0, 0, b"adversar"))
        await self._wait(lambda: self.ended or self.pongs > before)
        return self.pongs > before

    async def alive(self) -> None:
        """The connection still answers, and nothing was said against it.

        Raises:
            AssertionError: It does not.
        """
        assert await self.answers()
        assert self.goaway is None, f"GOAWAY {self.goaway}"

    async def close(self) -> None:
        """Leave without a word."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait((self._reading,))  # the loop must have let go of the socket
        self.sock.close()

    async def _wait(self, wanted: Callable[[], object]) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not wanted():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"nothing came; GOAWAY {self.goaway}, {self.endings}, {self.resets}") from None

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while content := await loop.sock_recv(self.sock, 1 << 16):
                self._held += content
                self._cut()
                self._news.set()
        self.ended = True
        self._news.set()

    def _cut(self) -> None:
        while len(self._held) >= HEADER_BYTES:
            end = HEADER_BYTES + int.from_bytes(self._held[:3], "big")
            if len(self._held) < end:
                return
            kind, flags = self._held[3], self._held[4]
            self._take(kind, flags, int.from_bytes(self._held[5:9], "big"), self._held[HEADER_BYTES:end])
            self._held = self._held[end:]

    def _take(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")
        elif kind == RST_STREAM:
            self.resets[stream_id] = int.from_bytes(payload, "big")
        elif kind == WINDOW_UPDATE:
            self.credit[stream_id] = self.credit.get(stream_id, 0) + int.from_bytes(payload, "big")
        elif kind == PING and flags & ACK:
            self.pongs += 1
        elif kind == DATA:
            self.bodies[stream_id] = self.bodies.get(stream_id, b"") + payload
        elif kind == HEADERS:
            found = {str(name): str(value) for name, value in self._decoder.decode(payload)}
            if flags & END_STREAM:
                self.endings[stream_id] = found


def data(stream_id: int, body: bytes, *, end: bool = True) -> bytes:
    """A body as DATA frames of a length that every peer takes; none for a body of nothing that does not end."""
    cuts = range(0, len(body), 1 << 14) if body or not end else (0,)
    pieces = [body[at : at + (1 << 14)] for at in cuts]
    last = len(pieces) - 1
    return b"".join(
        frame(DATA, END_STREAM if end and n == last else 0, stream_id, piece) for n, piece in enumerate(pieces)
    )


@dataclass(frozen=True)
class Target:
    """What is attacked, and a right request for it.

    Attributes:
        host, port: Where it listens.
        message: A serialized request that is answered with OK.
        large: The same, but the answer is of a megabyte and more.
    """

    host: str
    port: int
    message: bytes
    large: bytes

    @asynccontextmanager
    async def connect(
        self, *pairs: tuple[int, int], preface: bool = True, ack: bool = True, read: bool = True, rcvbuf: int = 0
    ) -> AsyncIterator[Peer]:
        """A connection, with the client's preface and these settings, unless it shall be bare."""
        sock = socket.socket()
        sock.settimeout(0)
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        peer = Peer(sock)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (self.host, self.port))
            if read:
                peer.read()
            if preface:
                await peer.send(PREFACE + settings(*pairs) + (frame(SETTINGS, ACK, 0, b"") if ack else b""))
            yield peer
        finally:
            await peer.close()

    @property
    def body(self) -> bytes:
        """The request as a body."""
        return framed(self.message)


def _string(content: bytes) -> bytes:
    length = len(content)
    if length < 127:
        return bytes((length,)) + content
    rest, encoded = length - 127, bytearray((127,))
    while rest >= 128:
        encoded.append(rest & 127 | 128)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded) + content
