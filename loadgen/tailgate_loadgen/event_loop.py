"""Which event loop requests are sent on: uvloop where it is installed, which costs less for each, else asyncio's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes the loop."""
    try:
        return _uvloop()
    except ImportError:
        return asyncio.new_event_loop


def loop_name() -> str:
    """What a trace calls it."""
    return "asyncio" if loop_factory() is asyncio.new_event_loop else "uvloop"


def run_on_loop(work: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, on that loop."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(work)


def _uvloop() -> Callable[[], asyncio.AbstractEventLoop]:
    import uvloop

    class MonotonicUvloop(uvloop.Loop):
        """uvloop with a clock to measure by: its own is cut to whole milliseconds."""

        # Pyright compares it with a function of `self`; called on a loop, both take nothing. One of Python's own would
        # cost twice as much, and it is asked a dozen times for each request.
        time = staticmethod(time.monotonic)  # pyright: ignore[reportAssignmentType]
        """Seconds on the clock that asyncio's loop has, too, and that timers of the kernel's are set to."""

    return MonotonicUvloop
