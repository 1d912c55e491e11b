"""A TCP proxy between proxy and upstream that does to what passes what networks do: no root, no kernel module.

What it cannot do is lose packets: the kernel behind it acknowledges everything. For that there are network namespaces.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from contextlib import suppress

PIECE = 1 << 14
PIECES = 16
"""So much of each direction waits here; then the sender's window closes."""
_ABORT = struct.pack("ii", 1, 0)


class _Wire:
    """One connection that passes through, both ways."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.near, self.far = near, far
        self.stranded = False

    def reset(self) -> None:
        """Both ends hear a TCP reset."""
        for writer in (self.near, self.far):
            sock: socket.socket | None = writer.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            writer.transport.abort()


class Toxic:
    """In front of one address.

    Attributes:
        latency_s: That everything is late, each way.
        jitter_s: Up to which more is added at random.
        bytes_per_s: That pass, each way; None: all.
    """

    def __init__(self, generator: random.Random) -> None:
        self.latency_s = self.jitter_s = 0.0
        self.bytes_per_s: float | None = None
        self._generator = generator
        self._passes = asyncio.Event()
        self._passes.set()
        self._wires: set[_Wire] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._hole: list[socket.socket] = []
        self._to = ("", 0)
        self._port = 0

    async def start(self, to: str) -> str:
        """Listen, and pass everything on to `to`; returns the address listened on."""
        host, _, port = to.rpartition(":")
        self._to = host, int(port)
        await self._listen()
        return f"127.0.0.1:{self._port}"

    async def stop(self) -> None:
        """Close everything."""
        self._close_hole()
        if self._server is not None:
            self._server.close()
        self.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hold(self) -> None:
        """Let nothing through, either way, and say nothing of it."""
        self._passes.clear()

    def release(self) -> None:
        """Let through again what was held, and everything after it."""
        self._passes.set()

    def strand(self) -> None:
        """Let nothing through any more on the connections there are; new ones work."""
        for wire in self._wires:
            wire.stranded = True

    def reset(self) -> None:
        """Reset every connection."""
        for wire in list(self._wires):
            wire.reset()

    async def vanish(self) -> None:
        """Be a host that is not there: connections end, and whoever connects hears nothing, not even a refusal."""
        assert self._server is not None
        self._server.close()
        self.reset()
        # A queue of pending connections that is full: the kernel drops what else would begin one.
        hole = socket.socket()
        hole.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        hole.bind(("127.0.0.1", self._port))
        hole.listen(0)
        self._hole = [hole]
        for _ in range(4):
            plug = socket.socket()
            plug.settimeout(0)
            plug.connect_ex(("127.0.0.1", self._port))
            self._hole.append(plug)
        await asyncio.sleep(0)

    async def come_back(self) -> None:
        """Be there again."""
        self._close_hole()
        await self._listen()

    def _close_hole(self) -> None:
        for sock in self._hole:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            sock.close()
        self._hole = []

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port, reuse_address=True)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _connected(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        try:
            far_reader, far = await asyncio.open_connection(*self._to)
        except OSError:
            near.transport.abort()
            return
        wire = _Wire(near, far)
        self._wires.add(wire)
        tasks = [asyncio.create_task(self._pass(wire, *way)) for way in ((reader, far), (far_reader, near))]
        self._tasks.update(tasks)
        await asyncio.wait(tasks)
        self._tasks.difference_update(tasks)
        self._wires.discard(wire)
        for writer in (near, far):
            writer.close()

    async def _pass(self, wire: _Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(PIECES)
        taking = asyncio.create_task(self._take(reader, pieces))
        loop = asyncio.get_running_loop()
        try:
            while True:
                due_s, piece = await pieces.get()
                await asyncio.sleep(max(due_s - loop.time(), 0.0))
                await self._passes.wait()
                while wire.stranded:
                    await asyncio.sleep(3600)
                if not piece:
                    writer.close()
                    return
                writer.write(piece)
                await writer.drain()
        except OSError:
            wire.reset()
        finally:
            taking.cancel()

    async def _take(self, reader: asyncio.StreamReader, pieces: asyncio.Queue[tuple[float, bytes]]) -> None:
        loop, free_s = asyncio.get_running_loop(), 0.0
        piece = b"?"
        while piece:
            piece = b""
            with suppress(OSError):
                piece = await reader.read(PIECE)
            taking_s = len(piece) / self.bytes_per_s if self.bytes_per_s else 0.0
            free_s = max(free_s, loop.time()) + taking_s
            late_s = self.latency_s + self._generator.random() * self.jitter_s
            await pieces.put((free_s + late_s, piece))
