"""The shell of one model: futures and the event loop around the batcher, one thread around the engine.

Decides nothing itself: who is in a batch is `batching`'s business, what a batch gives is `engine`'s.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tailgate.deadline import Deadline
from tailgate.errors import DeadlineExceeded, InternalError, RequestError, Unavailable
from tailgate_server.batching import Batcher
from tailgate_server.engine import DeviceLost, Engine
from tailgate_server.execution_log import ExecutionLog
from tailgate_server.signature import Signature
from tailgate_server.statistics import StageTimes, Statistics

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request got: FP32 logits `[rows, classes]`, nanoseconds in the queue, and its batch's stages."""

    logits: npt.NDArray[np.float32]
    queue_ns: int
    stages: StageTimes


@dataclass(frozen=True, slots=True, eq=False)
class _Member:
    images: npt.NDArray[Any]
    deadline: Deadline | None
    request_id: str
    queued_s: float
    future: asyncio.Future[Answer]

    def refuse(self, error: RequestError) -> None:
        # Done already means that the client left, which is no concern of its batch mates.
        if not self.future.done():
            self.future.set_exception(error)


class Worker:
    """Takes requests for one model and answers them in batches."""

    def __init__(
        self,
        engine: Engine,
        signature: Signature,
        max_queue: int,
        on_fatal: Callable[[str], None],
        executions: ExecutionLog | None = None,
    ) -> None:
        """A worker that has yet to be started.

        Args:
            engine: Runs the model.
            signature: What the model looks like from outside.
            max_queue: Most requests that wait.
            on_fatal: Called once, in the event loop, with a reason, when this process cannot run the model any more.
            executions: Told of every batch that the model is given; None: nobody is.
        """
        self.statistics = Statistics(signature.name)
        self._engine = engine
        self._name = signature.name
        self._on_fatal = on_fatal
        self._executions = executions
        self._batcher: Batcher[_Member] = Batcher(signature.max_batch, signature.max_queue_delay_s, max_queue)
        self._executor = ThreadPoolExecutor(1, f"model-{signature.name}", engine.prepare_thread)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._running = False

    @property
    def busy(self) -> bool:
        """Whether the model is running a batch."""
        return self._running

    def start(self) -> None:
        """Begin to work, in the running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._work(), name=f"worker-{self._name}")
        self._task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Stop, refusing whoever still waits. A batch that is running is left to itself."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._refuse_waiting("the server is stopping")
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def infer(self, images: npt.NDArray[Any], deadline: Deadline | None, request_id: str = "") -> Answer:
        """Logits of these images. A caller that is cancelled while it waits leaves the queue.

        Args:
            images: UINT8 or FP32 `[rows, 3, H, W]`, 1 to `max_batch` rows.
            deadline: On the event loop's clock; None where there is none.
            request_id: By which the request is known in the log of executions.

        Raises:
            RequestError: It was refused, the model failed, or the answer would be late.
        """
        if self._task is None or self._task.done():
            raise Unavailable(f"model {self._name!r} is not running")
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        member = _Member(images, deadline, request_id, now_s, loop.create_future())
        ticket = self._batcher.add(member, len(images), deadline, now_s, images.dtype)
        self._wake.set()
        try:
            return await member.future
        finally:
            self._batcher.cancel(ticket)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s = self._batcher.due_s()
            if due_s is None or due_s > loop.time():
                self._wake.clear()
                try:
                    async with asyncio.timeout_at(due_s):
                        await self._wake.wait()
                except TimeoutError:
                    pass  # the batch is due
                continue
            taken = self._batcher.take(loop.time())
            for member in taken.expired:
                member.refuse(DeadlineExceeded("the deadline passed while the request waited for its batch"))
            if taken.batch:
                await self._execute(taken.batch)

    async def _execute(self, batch: list[_Member]) -> None:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        self._running = True
        if self._executions is not None:
            self._executions.record(self._name, [(m.request_id, len(m.images)) for m in batch], time.time())
        try:
            execution = await loop.run_in_executor(
                self._executor, self._engine.run, [member.images for member in batch]
            )
        except RequestError as error:
            for member in batch:
                member.refuse(type(error)(str(error)))
            return
        except DeviceLost:
            for member in batch:
                member.refuse(InternalError(f"model {self._name!r} lost its device; the server restarts"))
            raise
        except Exception:  # noqa: BLE001 - whatever a model raises, its batch is answered and the next one runs
            _log.exception("%s: the model failed on a batch of %d requests", self._name, len(batch))
            for member in batch:
                member.refuse(InternalError(f"model {self._name!r} failed on this batch; the server's log says why"))
            return
        finally:
            self._running = False
        done_s = loop.time()
        stages = StageTimes(execution.input_ns, execution.infer_ns, execution.output_ns)
        self.statistics.executed(len(execution.logits), stages, time.time_ns() // 1_000_000)
        end = 0
        for member in batch:
            begin, end = end, end + len(member.images)
            if member.deadline is not None and member.deadline.passed(done_s):
                member.refuse(DeadlineExceeded("the deadline passed while the model ran"))
            elif not member.future.done():
                queue_ns = int((started_s - member.queued_s) * 1e9)
                member.future.set_result(Answer(execution.logits[begin:end], queue_ns, stages))

    def _refuse_waiting(self, reason: str) -> None:
        for member in self._batcher.drain():
            member.refuse(Unavailable(reason))

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        _log.critical("%s: the worker ended", self._name, exc_info=error)
        self._refuse_waiting(f"model {self._name!r} is not running")
        self._on_fatal(f"model {self._name!r}: {error}")
