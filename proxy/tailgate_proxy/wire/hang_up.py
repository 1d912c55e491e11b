"""Whether a peer has hung up: seen at its socket before what it sent is read to the end."""

from __future__ import annotations

import asyncio
import select
import sys
from typing import Final

# Where the kernel does not tell a peer that sends no more from one that is gone, the latter is seen.
_EVENTS: Final[int] = select.POLLRDHUP if sys.platform == "linux" else 0


class HangUp:
    """One socket's."""

    __slots__ = ("_poll",)

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        """Look at the socket under a transport, with or without TLS."""
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), _EVENTS)

    def seen(self) -> bool:
        """Whether the peer has closed its end, or the connection is broken. Asks the kernel, and waits for nothing."""
        return bool(self._poll.poll(0))
