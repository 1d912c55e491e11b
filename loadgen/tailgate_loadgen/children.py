"""Processes of Python that this one starts for a part of its own work."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any


def start_child(work: Callable[..., None], *arguments: Any) -> tuple[BaseProcess, Connection]:
    """Run `work(*arguments, pipe)` in a new process, which ends with this one; returns it and our end of the pipe.

    It ignores Ctrl-C from its first instant on: whoever started it says when it ends.
    """
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=work, args=(*arguments, theirs), daemon=True)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, before)
    theirs.close()
    return process, ours


@contextmanager
def reading(loop: asyncio.AbstractEventLoop, pipe: Connection, heed: Callable[[], None]) -> Iterator[None]:
    """Within, the loop calls a function whenever there is something in the pipe, or its other end is closed."""
    loop.add_reader(pipe.fileno(), heed)
    try:
        yield
    finally:
        loop.remove_reader(pipe.fileno())
        os.set_blocking(pipe.fileno(), True)  # uvloop has taken that from it
