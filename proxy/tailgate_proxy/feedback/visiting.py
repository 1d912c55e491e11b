"""Unix sockets between the workers of one proxy, over which labels find requests that another worker has seen.

Every worker listens on a socket of its own, in a folder that only their user may enter. A worker to which a label came
that it cannot place connects to all others, and stays connected; before that there is no connection, and nothing at all
is said of requests. What is said, and what it means, is for `tailgate.visiting`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tailgate.visiting import FromHome, FromHost, Sharing, Visits
from tailgate_proxy.feedback.desk import LabelDesk
from tailgate_proxy.feedback.visiting_wire import Garbled, Hello, from_home, from_host, hello, read, write

GATHER_S: Final = 0.01
"""What comes within so long is said at once."""

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
"""Between two attempts to reach a worker, doubling: as long as its own restarts take at most."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Siblings:
    """The workers of one proxy.

    Attributes:
        folder: Where their sockets are.
        number: Which of them this one is, from 0.
        count: How many there are.
    """

    folder: Path
    number: int
    count: int

    @property
    def others(self) -> list[int]:
        """All but this one."""
        return [number for number in range(self.count) if number != self.number]

    def socket(self, number: int) -> Path:
        """The socket of one of them."""
        return self.folder / str(number)


class Visiting:
    """One worker's conversations about labels with all others."""

    def __init__(self, desk: LabelDesk, siblings: Siblings) -> None:
        """Nothing is bound or said before `start`."""
        self._desk = desk
        self._siblings = siblings
        self._life = secrets.randbits(64)
        self._stirred = {number: asyncio.Event() for number in siblings.others}
        self._sharing = Sharing(desk.join, {number: event.set for number, event in self._stirred.items()})
        self._server: asyncio.AbstractServer | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen for the others, and speak to them when there is something to say."""
        path = self._siblings.socket(self._siblings.number)
        try:
            path.unlink(missing_ok=True)  # an earlier life's
            self._server = await asyncio.start_unix_server(self._accept, path)
        except OSError as error:
            _log.error("%s cannot be bound, so labels that other workers get do not come here: %s", path, error)
        for number in self._siblings.others:
            self._spawn(self._be_home(number))

    async def close(self) -> None:
        """Say no more; labels that were under way wait here."""
        if self._server is not None:
            self._server.close()
            self._siblings.socket(self._siblings.number).unlink(missing_ok=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._spawn(self._be_host(reader, writer))

    def _spawn(self, talk: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(talk)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _be_home(self, number: int) -> None:
        """Have a link to this host whenever it is needed, for ever."""
        stirred, pause_s = self._stirred[number], FIRST_PAUSE_S
        while True:
            await stirred.wait()
            if not self._sharing.homes[number].needed:
                stirred.clear()
                continue
            if await self._talk_to_host(number):
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _talk_to_host(self, number: int) -> bool:
        """One link, from its beginning to its end; returns whether it came about."""
        home = self._sharing.homes[number]
        try:
            reader, writer = await asyncio.open_unix_connection(self._siblings.socket(number))
        except OSError:
            return False  # it is being started again
        met = False
        try:
            writer.write(write(Hello(self._siblings.number, self._life)))
            host = hello(await read(reader))
            home.met(host.life, host.taken, self._desk.now_s())
            met = True
            await _converse(
                reader, writer, home.message, self._stirred[number], lambda body: home.heard(from_host(body))
            )
        except (EOFError, OSError):
            pass  # it has ended
        except Garbled as error:
            _log.warning("worker %d says what is no message: %s", number, error)
        finally:
            home.lost()
            self._stirred[number].set()
            writer.close()
        return met

    async def _be_host(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One link, from its beginning to its end."""
        stirred = asyncio.Event()
        visits: Visits | None = None
        try:
            home = hello(await read(reader))
            if home.worker not in self._sharing.homes:
                raise Garbled(f"there is no other worker {home.worker}")
            visits = self._sharing.host.met(home.worker, home.life, stirred.set)
            writer.write(write(Hello(self._siblings.number, self._life, visits.taken)))
            hear = visits.heard
            await _converse(
                reader, writer, visits.message, stirred, lambda body: hear(from_home(body), self._desk.now_s())
            )
        except (EOFError, OSError):
            pass  # it has ended
        except Garbled as error:
            _log.warning("what another worker says is no message: %s", error)
        finally:
            if visits is not None:
                visits.lost()
            writer.close()


async def _converse(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    message: Callable[[], FromHome | FromHost | None],
    stirred: asyncio.Event,
    hear: Callable[[bytes], None],
) -> None:
    """Say what there is to say when stirred, and hear what comes, until either fails."""
    speaking = asyncio.create_task(_keep_speaking(writer, message, stirred))
    speaking.add_done_callback(lambda _: writer.close())  # which ends the listening, too
    try:
        while True:
            hear(await read(reader))
            await asyncio.sleep(0)  # a message is work enough for one turn of the loop
    finally:
        speaking.cancel()
        await asyncio.wait([speaking])


async def _keep_speaking(
    writer: asyncio.StreamWriter, message: Callable[[], FromHome | FromHost | None], stirred: asyncio.Event
) -> None:
    while True:
        await stirred.wait()
        await asyncio.sleep(GATHER_S)
        stirred.clear()
        while (news := message()) is not None:
            writer.write(write(news))
            try:
                await writer.drain()  # a worker that does not read makes nothing pile up but what waits anyhow
            except OSError:
                return
            await asyncio.sleep(0)
