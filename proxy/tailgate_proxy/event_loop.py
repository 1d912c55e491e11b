"""Which event loop the proxy runs on. Decided here and nowhere else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Literal

from tailgate.errors import ConfigError

LoopChoice = Literal["auto", "asyncio", "uvloop"]
"""`auto` is uvloop where it is installed."""


def loop_factory(choice: LoopChoice) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes the loop.

    Raises:
        ConfigError: uvloop is asked for and not installed.
    """
    if choice != "asyncio":
        try:
            return _uvloop()
        except ImportError as error:
            if choice == "uvloop":
                raise ConfigError(
                    "--loop is 'uvloop', which is not installed; pip install 'tailgate[fast]' brings it"
                ) from error
    return asyncio.new_event_loop


def _uvloop() -> Callable[[], asyncio.AbstractEventLoop]:
    import uvloop

    class MonotonicUvloop(uvloop.Loop):
        """uvloop with a clock to measure by: its own is cut to whole milliseconds."""

        def time(self) -> float:
            """Seconds on the clock that asyncio's loop has, too."""
            return time.monotonic()

    return MonotonicUvloop
