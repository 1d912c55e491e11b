"""Steady open-loop load with a log of its own, on connections that are made anew when they break."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from functools import partial

from bench._echo_upstream import is_answer_to, request
from bench._raw_client import Asked, RawClient, connect
from tailgate.errors import Status

RATE, CONNECTIONS = 100.0, 4
BUDGET_S, TAKE_S = 0.5, 0.005
LARGEST = 20_000
PATIENCE_S = 30.0
"""How much longer than anything may take the last calls are waited for: beyond it they are lost."""


class Load:
    """The calls of one client.

    Attributes:
        log: Every call, in the order they were made.
    """

    def __init__(self, address: str, generator: random.Random, rate: float = RATE) -> None:
        self.log: list[Asked] = []
        self.rate = rate
        self._address = address
        self._generator = generator
        self._filler = generator.randbytes(LARGEST)
        self._clients: list[RawClient | None] = [None] * CONNECTIONS
        self._connecting: dict[int, asyncio.Task[None]] = {}
        self._ended = asyncio.Event()

    async def connect(self) -> None:
        """Make all connections.

        Raises:
            OSError: Nobody listens there.
        """
        for at in range(CONNECTIONS):
            self._clients[at] = await connect(self._address, self.log)

    async def run(self) -> None:
        """Send until `end`, one call after the other at random distances, whatever has become of those before."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while not self._ended.is_set():
            due_s += self._generator.expovariate(self.rate)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), max(due_s - loop.time(), 0.0))
            if not self._ended.is_set():
                self.call()

    def call(self, take_s: float = TAKE_S, budget_s: float = BUDGET_S) -> tuple[RawClient | None, Asked]:
        """One call that the upstream is to take so long for; half of them give up at their deadline by themselves."""
        draw = self._generator
        name, nonce = f"call-{len(self.log)}", draw.randbytes(16)
        body = request(name, nonce, take_s, self._filler[: draw.randrange(100, LARGEST)])
        client = self._connected()
        if client is None:
            now_s = time.monotonic()
            unsent = Asked(name, budget_s, now_s, time.time(), status=Status.UNAVAILABLE, ended_s=now_s)
            self.log.append(unsent)
            return None, unsent
        expects = partial(is_answer_to, request_id=name, nonce=nonce, body=body)
        return client, client.call(name, body, budget_s, gives_up=draw.random() < 0.5, expects=expects)

    async def end(self) -> None:
        """Begin no more calls, and wait for those there are.

        Raises:
            AssertionError: Some never end.
        """
        self._ended.set()
        await asyncio.gather(*self._connecting.values(), return_exceptions=True)
        clients = [client for client in self._clients if client is not None]
        try:
            async with asyncio.timeout(PATIENCE_S):
                for client in clients:
                    await client.idle()
        except TimeoutError:
            never = [asked.request_id for asked in self.log if asked.status is None]
            raise AssertionError(f"{len(never)} calls never ended: {', '.join(never[:5])}") from None
        for client in clients:
            if client.connected:
                client.vanish(politely=True)

    def _connected(self) -> RawClient | None:
        """One of the connections that live; those that do not are made anew meanwhile."""
        order = list(range(CONNECTIONS))
        self._generator.shuffle(order)
        for at in order:
            client = self._clients[at]
            if client is not None and client.connected:
                return client
            if at not in self._connecting:
                self._connecting[at] = asyncio.create_task(self._connect_again(at))
        return None

    async def _connect_again(self, at: int) -> None:
        try:
            with suppress(OSError):
                self._clients[at] = await connect(self._address, self.log)
        finally:
            del self._connecting[at]
