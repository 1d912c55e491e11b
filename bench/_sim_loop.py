"""An event loop whose clock jumps: the proxy's own tasks and timers run on it as on any other, and nothing ever waits.

It has no sockets. Connections, names and threads are for whoever simulates them: `reach`, `resolve`, and at once.
"""

from __future__ import annotations

import asyncio
from asyncio import events
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any

from tailgate.simulation.events import Events


class VirtualLoop(asyncio.AbstractEventLoop):
    """An event loop on virtual time.

    Attributes:
        events: The clock, and what is planned.
        happened: How many things have.
        after_each: Called after each thing that happened.
        reach: Makes a connection to a host and port.
        resolve: The addresses of a host name.
        faults: What was raised where nobody was to take it.
    """

    def __init__(self) -> None:
        """It is 0 s."""
        self.events = Events()
        self.happened = 0
        self.after_each: Callable[[], None] = lambda: None
        self.reach: Callable[[str, int, Callable[[], Any]], Awaitable[Any]]
        self.resolve: Callable[[str], list[str]] = lambda host: [host]
        self.faults: list[str] = []
        self._ready: deque[asyncio.Handle] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Let everything happen until this has ended."""
        events._set_running_loop(self)
        try:
            task = self.create_task(main)
            while not task.done():
                self._turn()
            task.result()
        finally:
            self._end()
            events._set_running_loop(None)

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """Those that go on."""
        return [task for task in self._tasks if not task.done()]

    def stall(self, seconds: float) -> None:
        """Nothing happens for so long, whatever is due."""
        self.events.now_s += seconds

    def _turn(self) -> None:
        if self._ready:
            handle = self._ready.popleft()
            if handle.cancelled():
                return
            handle._run()
        elif not self.events.step():
            raise RuntimeError("nothing is left to happen, and nobody has ended")
        self.happened += 1
        self.after_each()

    def _end(self) -> None:
        """Let go of whatever still goes on."""
        self.after_each = lambda: None
        for task in self.tasks:
            task.cancel()
        while self.tasks and self._ready:
            self._turn()

    # -- an event loop, as asyncio and the proxy use it ----------------------------------------------------------------

    def time(self) -> float:
        """The instant."""
        return self.events.now_s

    def call_soon(  # type: ignore[override]  # its arguments are typed more loosely here
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """In its turn, now."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(  # type: ignore[override]  # as above
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """At an instant."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self.events.at(when, partial(_fire, handle))
        return handle

    def call_later(  # type: ignore[override]  # as above
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """After so many seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        """Of this loop."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """Of this loop."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, **options)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def getaddrinfo(self, host: Any, port: Any, **_options: Any) -> Any:
        """As names are resolved here."""
        return [(0, 0, 0, "", (address, port)) for address in self.resolve(host)]

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        """As connections are made here."""
        return None, await self.reach(host, port, protocol_factory)

    def run_in_executor(  # type: ignore[override]  # of whatever a function takes and returns
        self,
        executor: Any,  # noqa: ARG002 — there is none
        func: Callable[..., Any],
        *args: Any,
    ) -> asyncio.Future[Any]:
        """There is no other thread: it is done at once."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 — whoever waits for it takes it
            future.set_exception(error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Nobody took it: keep it."""
        self.faults.append(f"{context.get('message')}: {context.get('exception')!r}")

    def get_debug(self) -> bool:
        """Nothing is checked twice."""
        return False

    def is_running(self) -> bool:
        """For as long as anybody can ask."""
        return True

    def is_closed(self) -> bool:
        """There is nothing to close."""
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time comes."""


def _fire(handle: asyncio.TimerHandle) -> None:
    if not handle.cancelled():
        handle._run()
