"""Which event loop the proxy runs on. Decided here and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
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

        # asyncio's clock, with no method of ours around it: it is read several times for every call.
        time = staticmethod(monotonic)  # pyright: ignore[reportAssignmentType] — asked of a loop it is the same

    return MonotonicUvloop
