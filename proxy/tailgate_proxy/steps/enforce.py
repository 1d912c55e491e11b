"""Enforce: at the deadline the client is answered, whatever the upstream does, and the upstream's work is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tailgate.errors import Status
from tailgate.outcome import Ending
from tailgate_proxy.call import Reply
from tailgate_proxy.exchange import Exchange
from tailgate_proxy.steps import Inner


class Enforce:
    """Holds what comes after it to the deadline."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Read the time from `clock`, which must be the event loop's own."""
        self._clock = clock

    async def __call__(self, exchange: Exchange, inner: Inner) -> Reply:
        """The inner reply if it is there by the deadline, else DEADLINE_EXCEEDED."""
        work = asyncio.ensure_future(inner(exchange))
        try:
            done, _ = await asyncio.wait((work,), timeout=exchange.deadline.remaining_s(self._clock()))
        finally:
            # Also when the client leaves: nobody is there for the answer, so the upstream should not work on it.
            if not work.done():
                work.cancel()
        if done:
            return work.result()
        return Reply(Ending.DEADLINE, Status.DEADLINE_EXCEEDED, "the deadline passed before the upstream answered")
