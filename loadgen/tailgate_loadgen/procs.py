"""One run sent by several processes of this machine, each of which sends a share of the same schedule.

They are what `--shard` makes of a process, started and joined by one that sends nothing itself. Each prepares itself,
warms up and says so; then all are told one instant, at which their clocks start.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tailgate.errors import TailgateError, UsageError
from tailgate.trace.format import RECORD
from tailgate_loadgen.merge import join_folders
from tailgate_loadgen.options import Options
from tailgate_loadgen.outputs import TRACE_NAME
from tailgate_loadgen.schedule import Schedule
from tailgate_loadgen.screen import Screen
from tailgate_loadgen.sharing import Shard, Sharing

SHARDS_NAME = "shards"
LEAD_S = 0.3
"""Between the last one's being ready and the first request; a message takes far less to reach everybody."""
LOOK_S = 1.0


@dataclass
class _Worker:
    """One of the processes that send.

    Attributes:
        process: Itself.
        pipe: Over which it says that it is ready, or what is wrong, and is told the instant.
        folder: Where it writes.
    """

    process: BaseProcess
    pipe: Connection
    folder: Path


def perform_in_processes(options: Options, schedule: Schedule, screen: Screen) -> dict[str, Any]:
    """Send a whole run; returns its summary, which is written, too.

    Raises:
        UsageError: One of the processes could not begin, or died.
    """
    run_id = options.sharing.run_id or secrets.token_hex(6)
    workers: list[_Worker] = []
    try:
        screen.progress(f"preparing {options.sharing.procs} processes", 0, len(schedule))
        for index in range(options.sharing.procs):
            shard = Shard(index, options.sharing.procs)
            workers.append(_start(replace(options, sharing=Sharing(shard=shard, run_id=run_id))))
        for worker in workers:
            _wait_until_ready(worker)
        start_unix_s = options.sharing.start_at_unix_s or time.time() + LEAD_S
        with _passing_on_signals(workers):
            for worker in workers:
                worker.pipe.send(start_unix_s)
            _wait_until_done(workers, lambda: screen.progress("sent", _recorded(workers), len(schedule)))
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
    return join_folders([worker.folder for worker in workers], options.trace, options.min_quality)


def _start(options: Options) -> _Worker:
    shard = options.sharing.shard
    assert shard is not None
    folder = options.trace / SHARDS_NAME / str(shard.index)
    options = replace(options, trace=folder, min_quality=None, quiet=True)
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(options, theirs), daemon=True)
    # Ignored from its first instant on: Ctrl-C ends the preparation here, and the run as `_passing_on_signals` says.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, before)
    theirs.close()
    return _Worker(process, ours, folder)


def _wait_until_ready(worker: _Worker) -> None:
    try:
        said = worker.pipe.recv()
    except EOFError:
        raise UsageError(f"the process that should write {worker.folder} died before it was ready") from None
    if said is not None:
        raise UsageError(said)


def _check_end(worker: _Worker) -> None:
    """Whether it went well; of one that died, its missing requests speak."""
    with contextlib.suppress(EOFError):  # nothing is said after the start but what went wrong
        if said := worker.pipe.recv():
            raise UsageError(said)


def _wait_until_done(workers: list[_Worker], look: Callable[[], None]) -> None:
    while running := [worker.process.sentinel for worker in workers if worker.process.is_alive()]:
        wait(running, LOOK_S)
        look()
    for worker in workers:
        _check_end(worker)


def _recorded(workers: list[_Worker]) -> int:
    """About how many requests have ended: records that the traces have room for."""
    files = [worker.folder / TRACE_NAME for worker in workers]
    return sum(file.stat().st_size for file in files if file.exists()) // RECORD.itemsize


@contextmanager
def _passing_on_signals(workers: list[_Worker]) -> Iterator[None]:
    """Ctrl-C and SIGTERM go to every process that sends, each of which ends its share as it would end a run."""

    def pass_on(number: int, _frame: object) -> None:
        for worker in workers:
            if worker.process.pid is not None and worker.process.is_alive():
                os.kill(worker.process.pid, number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _work(options: Options, pipe: Connection) -> None:
    """What such a process does."""
    from tailgate_loadgen.material import prepare
    from tailgate_loadgen.run import send

    os.setpgid(0, 0)  # so that Ctrl-C reaches it once: from its parent
    _end_with_parent()

    def ready() -> float:
        pipe.send(None)
        start_unix_s: float = pipe.recv()
        return start_unix_s

    try:
        with Screen(quiet=True) as screen:
            material, schedule = prepare(options, screen)
            send(options, material, schedule, screen, start_at=ready)
    except TailgateError as error:
        pipe.send(str(error))
    except EOFError:  # nobody is left who could tell the instant
        sys.exit(1)


def _end_with_parent() -> None:
    """Stop sending when nobody is left to join the records."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
