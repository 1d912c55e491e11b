"""The toxic does to connections what it says, and nothing to what it lets through."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from faults.toxic import Toxic

pytestmark = pytest.mark.beside_others  # a few connections, with a minute for each

PATIENCE_S = 60.0


async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@pytest.fixture
async def toxic() -> AsyncIterator[tuple[Toxic, int]]:
    """In front of a server that repeats whatever it is told."""
    server = await asyncio.start_server(repeat, "127.0.0.1", 0)
    toxic = Toxic(random.Random(1))
    address = await toxic.start(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    yield toxic, int(address.rpartition(":")[2])
    await toxic.stop()
    server.close()
    await asyncio.sleep(0.05)


class Talk:
    """A connection to it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port: int) -> Talk:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def says_back(self, words: bytes) -> bool:
        self.writer.write(words)
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readexactly(len(words)) == words

    async def close(self) -> None:
        self.writer.transport.abort()
        await asyncio.sleep(0)


async def test_every_byte_passes_in_order_however_late_and_narrow_the_way(toxic: tuple[Toxic, int]) -> None:
    harm, port = toxic
    talk = await Talk.to(port)
    harm.latency_s, harm.jitter_s, harm.bytes_per_s = 0.01, 0.05, 2e6
    assert await talk.says_back(random.Random(2).randbytes(300_000))
    harm.latency_s, harm.jitter_s, harm.bytes_per_s = 0.0, 0.0, None
    assert await talk.says_back(b"again")
    await talk.close()


async def test_what_is_held_passes_once_it_is_released(toxic: tuple[Toxic, int]) -> None:
    harm, port = toxic
    talk = await Talk.to(port)
    assert await talk.says_back(b"before")
    harm.hold()
    talk.writer.write(b"held")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(talk.reader.read(4), 0.3)
    harm.release()
    assert await asyncio.wait_for(talk.reader.readexactly(4), PATIENCE_S) == b"held"
    await talk.close()


async def test_a_reset_is_one(toxic: tuple[Toxic, int]) -> None:
    harm, port = toxic
    talk = await Talk.to(port)
    assert await talk.says_back(b"before")
    harm.reset()
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(talk.reader.readexactly(1), PATIENCE_S)
    await talk.close()


async def test_stranded_connections_are_silent_and_new_ones_work(toxic: tuple[Toxic, int]) -> None:
    harm, port = toxic
    old = await Talk.to(port)
    assert await old.says_back(b"before")
    harm.strand()
    old.writer.write(b"lost")
    new = await Talk.to(port)
    assert await new.says_back(b"after")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(old.reader.read(4), 0.3)
    await old.close()
    await new.close()


async def test_a_host_that_is_away_does_not_even_refuse_and_may_come_back(toxic: tuple[Toxic, int]) -> None:
    harm, port = toxic
    await harm.vanish()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 0.5)
    await harm.come_back()
    talk = await Talk.to(port)
    assert await talk.says_back(b"back")
    await talk.close()
