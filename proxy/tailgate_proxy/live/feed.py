"""One snapshot a second, made once for all who watch, and what each of them has yet to be sent.

Nothing runs while nobody watches. Here lives who gets what and when; HTTP must not live here, nor what a snapshot says.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

INTERVAL_S = 1.0
"""Between two snapshots."""

HEARTBEAT_S = 15.0
"""The longest silence towards a client: whoever stands between ends connections that say nothing for a minute."""

MAX_CLIENTS = 100
"""Clients that watch at once. A proxy's time is for requests, not for tabs that somebody forgot."""

WAITING = 2
"""Messages that wait for a client. Each says everything, so only the newest counts for one that comes too late."""

CLOSING_S = 0.5
"""How long a client may take to hear that the proxy stops."""

HEARTBEAT: Final = b": nothing new\n\n"
STOPPING: Final = b"event: stopping\ndata: {}\n\n"

_log = logging.getLogger(__name__)


class Mailbox:
    """What one client has yet to be sent: when it is slow, the newest pushes out the oldest."""

    def __init__(self, abort: Callable[[], None], limit: int = WAITING) -> None:
        """Start empty; `abort` ends the client's connection."""
        self.abort = abort
        self.dropped = 0
        self._messages: deque[bytes] = deque(maxlen=limit)
        self._stirred = asyncio.Event()
        self._closed = False

    def put(self, message: bytes) -> None:
        """Never waits."""
        if self._closed:
            return
        self.dropped += len(self._messages) == self._messages.maxlen
        self._messages.append(message)
        self._stirred.set()

    def close(self, last: bytes) -> None:
        """This message is the only one that still comes."""
        self._messages.clear()
        self._messages.append(last)
        self._closed = True
        self._stirred.set()

    async def get(self) -> bytes | None:
        """The oldest message as soon as there is one; None when no more will come."""
        while not self._messages:
            if self._closed:
                return None
            self._stirred.clear()
            await self._stirred.wait()
        return self._messages.popleft()


class Feed:
    """Snapshots for those who watch."""

    def __init__(
        self,
        snapshot: Callable[[], dict[str, Any]],
        *,
        interval_s: float = INTERVAL_S,
        heartbeat_s: float = HEARTBEAT_S,
        max_clients: int = MAX_CLIENTS,
    ) -> None:
        """Nothing runs before the first `join`.

        Args:
            snapshot: Makes the document ``{"quality": …, "proxy": …, "at_unix_s": …}``, of which nothing changes later.
            interval_s: Between two of them.
            heartbeat_s: The longest silence towards a client.
            max_clients: More are turned away.
        """
        self.heartbeat_s = heartbeat_s
        self.max_clients = max_clients
        self.closed = False
        self._snapshot = snapshot
        self._interval_s = interval_s
        self._mailboxes: set[Mailbox] = set()
        self._latest: bytes | None = None
        self._task: asyncio.Task[None] | None = None
        self._failing = False
        self._empty = asyncio.Event()

    @property
    def clients(self) -> int:
        """How many watch."""
        return len(self._mailboxes)

    def join(self, abort: Callable[[], None]) -> Mailbox | None:
        """Watch from now on; None where there are as many as may be, or it is closed. Whoever joins leaves.

        Args:
            abort: Ends the client's connection, for one that does not read when all is to end.
        """
        if self.closed or len(self._mailboxes) >= self.max_clients:
            return None
        mailbox = Mailbox(abort)
        self._mailboxes.add(mailbox)
        self._empty.clear()
        if self._task is None:
            self._task = asyncio.create_task(self._keep_publishing())
        elif self._latest is not None:
            mailbox.put(self._latest)
        return mailbox

    def leave(self, mailbox: Mailbox) -> None:
        """Watch no longer. The last one to leave ends the work."""
        self._mailboxes.discard(mailbox)
        if not self._mailboxes:
            self._empty.set()
            if self._task is not None:
                self._task.cancel()
            self._task = self._latest = None

    async def close(self) -> None:
        """Tell everyone that it is over, wait for them to leave, and cut off those that do not listen."""
        self.closed = True
        for mailbox in self._mailboxes:
            mailbox.close(STOPPING)
        if self._mailboxes:
            try:
                async with asyncio.timeout(CLOSING_S):
                    await self._empty.wait()
            except TimeoutError:
                for mailbox in tuple(self._mailboxes):
                    mailbox.abort()

    async def _keep_publishing(self) -> None:
        clock = asyncio.get_running_loop().time
        due_s = clock()
        while not self.closed:
            message = await self._message()
            if message is not None:
                self._latest = message
                for mailbox in tuple(self._mailboxes):
                    mailbox.put(message)
                    await asyncio.sleep(0)  # a request that waits for the loop goes before the next client
            due_s = max(due_s + self._interval_s, clock())  # what it took is not added, nor made up for
            await asyncio.sleep(due_s - clock())

    async def _message(self) -> bytes | None:
        try:
            message = b"event: snapshot\ndata: %s\n\n" % await _encoded(self._snapshot())
        except Exception:  # noqa: BLE001 — whatever is wrong with the picture, requests go on, and so does the next picture
            if not self._failing:
                _log.exception("the live page gets no snapshot")
            self._failing = True
            return None
        self._failing = False
        return message


async def _encoded(document: dict[str, Any]) -> bytes:
    """As JSON, a series at a time: a hundred at once would keep requests waiting for milliseconds."""
    quality: dict[str, Any] = document["quality"]
    series = []
    for one in quality["series"]:
        series.append(_json(one))
        await asyncio.sleep(0)
    # Both objects have other members, so a comma and what follows their opening brace complete them.
    others = _json({key: value for key, value in quality.items() if key != "series"})
    beside = _json({key: value for key, value in document.items() if key != "quality"})
    return b'{"quality":{"series":[%s],%s,%s' % (b",".join(series), others[1:], beside[1:])


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()  # NaN is no JSON
