"""Plain sockets of clients that say something once and never read."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def connections(address: tuple[str, int], count: int, first_words: bytes = b"") -> AsyncIterator[None]:
    """So many connections, for as long as the block runs; they end without a word."""
    loop = asyncio.get_running_loop()
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            sock = socket.socket()
            sockets.append(sock)
            sock.settimeout(0)
            await loop.sock_connect(sock, address)
            if first_words:
                await loop.sock_sendall(sock, first_words)
        yield
    finally:
        for sock in sockets:
            sock.close()
