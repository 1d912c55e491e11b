"""One run sent by several processes of this machine, each of which sends a share of the same schedule.

They are what `--shard` makes of a process, started and joined by one that sends nothing itself. Each prepares itself,
warms up and says so; then all are told one instant, at which their clocks start.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from tailgate.errors import TailgateError, UsageError
from tailgate.trace.format import RECORD
from tailgate_loadgen.children import reading, start_child
from tailgate_loadgen.merge import join_folders
from tailgate_loadgen.options import Options
from tailgate_loadgen.outputs import TRACE_NAME
from tailgate_loadgen.run import Steering, send
from tailgate_loadgen.schedule import Schedule
from tailgate_loadgen.screen import Screen
from tailgate_loadgen.sender import Sender
from tailgate_loadgen.sharing import Shard, Sharing
from tailgate_loadgen.tally import Tally
from tailgate_loadgen.watch import Watch, watching

SHARDS_NAME = "shards"
LEAD_S = 0.3
"""Between the last one's being ready and the first request; a message takes far less to reach everybody."""
LOOK_S = 1.0
NOTICE_S = 2.0
"""Between telling the processes after which pass they end and the end of it, at least."""


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
    run_id, procs = options.sharing.run_id or secrets.token_hex(6), options.sharing.procs
    assert procs is not None  # found out before
    folders = [options.trace / SHARDS_NAME / str(index) for index in range(procs)]
    traces, samples = [folder / TRACE_NAME for folder in folders], schedule.total // options.passes
    workers: list[_Worker] = []
    with watching(options.until, traces, samples, options.deadline_s) as watch:
        try:
            screen.progress(f"preparing {procs} processes", 0, len(schedule))
            for index, folder in enumerate(folders):
                sharing = Sharing(shard=Shard(index, procs), run_id=run_id)
                workers.append(_start(replace(options, sharing=sharing, trace=folder)))
            for worker in workers:
                _wait_until_ready(worker)
            start_unix_s = options.sharing.start_at_unix_s or time.time() + LEAD_S
            with _passing_on_signals(workers):
                for worker in workers:
                    worker.pipe.send(start_unix_s)
                _Overseer(workers, schedule, start_unix_s, screen, watch).wait_until_done()
        finally:
            for worker in workers:
                worker.process.kill()
                worker.process.join()
                worker.pipe.close()
        stopping = None if watch is None else watch.finish(options.passes)
    return join_folders(folders, options.trace, options.min_quality, stopping)


def _start(options: Options) -> _Worker:
    process, pipe = start_child(_work, replace(options, min_quality=None, quiet=True))
    return _Worker(process, pipe, options.trace)


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


@dataclass
class _Overseer:
    """Waits for the end, shows how far it is, and ends it after a pass if there are enough of them.

    Attributes:
        workers: Who sends.
        schedule: Of all of them.
        start_unix_s: From which it counts.
        screen: Where it is shown.
        watch: Who says that there are enough; None where nobody asks.
    """

    workers: list[_Worker]
    schedule: Schedule
    start_unix_s: float
    screen: Screen
    watch: Watch | None
    last_pass: int | None = None

    def wait_until_done(self) -> None:
        """Return when every process has ended.

        Raises:
            UsageError: One of them says what went wrong.
        """
        while running := [worker.process.sentinel for worker in self.workers if worker.process.is_alive()]:
            heard = [self.watch.pipe] if self.watch is not None and self.watch.alive else []
            wait([*running, *heard], LOOK_S)
            self._look()
        for worker in self.workers:
            _check_end(worker)

    def _look(self) -> None:
        standing = ""
        if self.watch is not None:
            self.watch.read()
            if self.watch.met is not None and self.last_pass is None:
                self._end_after_a_pass()
            standing = f"; {self.watch.curve[-1]}" if self.watch.curve else ""
        self.screen.progress(f"sent{standing}", _recorded(self.workers), len(self.schedule))

    def _end_after_a_pass(self) -> None:
        """Tell all of them the same pass, one that none of them has left when it hears of it."""
        at_s = time.time() + NOTICE_S - self.start_unix_s
        next_due = min(int(np.searchsorted(self.schedule.due_s, at_s)), len(self.schedule) - 1)
        self.last_pass = int(self.schedule.pass_index[next_due])
        for worker in self.workers:
            with contextlib.suppress(OSError):  # it has ended
                worker.pipe.send(self.last_pass)


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

    os.setpgid(0, 0)  # so that Ctrl-C reaches it once: from its parent
    _end_with_parent()

    def ready() -> float:
        pipe.send(None)
        start_unix_s: float = pipe.recv()
        return start_unix_s

    try:
        with Screen(quiet=True) as screen:
            material, schedule = prepare(options, screen)
            send(options, material, schedule, screen, start_at=ready, steering=_steered_by(pipe))
    except TailgateError as error:
        pipe.send(str(error))
    except EOFError:  # nobody is left who could tell the instant
        sys.exit(1)


def _steered_by(pipe: Connection) -> Steering:
    """The run ends after the pass that the pipe names."""

    @contextmanager
    def steering(loop: asyncio.AbstractEventLoop, sender: Sender, _tally: Tally) -> Iterator[None]:
        def heed() -> None:
            try:
                sender.end_after_pass(pipe.recv())
            except (EOFError, OSError):  # `_end_with_parent` sees to it
                loop.remove_reader(pipe.fileno())

        with reading(loop, pipe, heed):
            yield

    return steering


def _end_with_parent() -> None:
    """Stop sending when nobody is left to join the records."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
