"""Sends every request of a schedule at its instant, and makes exactly one observation of each.

Time counts from the scheduled instant: for the latency, for the deadline, and so for the timeout, which is what is
*left* of the deadline. Nothing here waits for an answer before the next request, and nothing limits how many are in
flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import grpc.aio
import numpy as np

from tailgate.deadline import Deadline
from tailgate.errors import Status
from tailgate.observation import Observation
from tailgate.outcome import Outcome, decide_at_client
from tailgate.protocol.answers import UNKNOWN_CLASS, NotAnAnswer, predicted_class
from tailgate.protocol.envelope import RequestFrame
from tailgate.protocol.names import DEADLINE_MS, LABEL, MODEL_INFER, REQUEST_ID
from tailgate_loadgen.alarm import MakeAlarm, best_alarm
from tailgate_loadgen.datasets.dataset import Dataset
from tailgate_loadgen.pacer import Pacer
from tailgate_loadgen.schedule import Schedule
from tailgate_loadgen.sharing import Shard
from tailgate_loadgen.timeouts import timeout_at

Stub = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
Call = grpc.aio.UnaryUnaryCall[bytes, bytes]


def infer_stub(channel: grpc.aio.Channel) -> Stub:
    """Bytes in, bytes out: building requests and reading answers by hand costs far less than generated stubs."""
    return channel.unary_unary(MODEL_INFER, None, None)


def judge(status: Status, answer: bytes, *, late: bool) -> tuple[Outcome, int]:
    """How a request ended, and the class that its answer names."""
    if status is Status.OK:
        try:
            return decide_at_client(status, late=late), predicted_class(answer)
        except NotAnAnswer:
            return Outcome.UPSTREAM_INVALID, UNKNOWN_CLASS
    return decide_at_client(status, late=late), UNKNOWN_CLASS


@dataclass(frozen=True)
class Job:
    """What is sent, and when.

    Attributes:
        run_id: First part of every request's id.
        model: Name in observations.
        frame: Builds the requests.
        dataset: Payloads and labels.
        schedule: The requests that this process sends.
        deadline_s: Seconds each has from its instant.
        on_deadline: What happens then.
        shard: Which process this is; None for the only one.
        kept: Passes and samples of the requests whose answers are kept.
    """

    run_id: str
    model: str
    frame: RequestFrame
    dataset: Dataset
    schedule: Schedule
    deadline_s: float
    on_deadline: Literal["cancel", "wait"]
    shard: Shard | None
    kept: frozenset[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Request:
    """One request of the schedule."""

    id: str
    sample: int
    pass_index: int
    label: int
    due_s: float  # after the start
    deadline: Deadline


class _Flight:
    """A request on its way."""

    def __init__(self, loop: asyncio.AbstractEventLoop, request: _Request, call: Call) -> None:
        self._loop = loop
        self.request = request
        self.call = call
        self.sent_s = loop.time()

    def mark_sent(self) -> None:
        """By now gRPC has the request; when the stub was called, it had not."""
        self.sent_s = self._loop.time()


class Sender:
    """One run, on one event loop."""

    def __init__(
        self,
        stub: Stub,
        job: Job,
        *,
        start_s: float,
        start_unix_s: float,
        on_start: Callable[[], None],
        on_end: Callable[[Observation], None],
        alarm: MakeAlarm = best_alarm,
    ) -> None:
        """Prepare; nothing is sent before `run`. To be called on the running loop.

        Args:
            stub: Of ModelInfer.
            job: What is sent.
            start_s: Instant of the loop's clock that the schedule counts from.
            start_unix_s: The same instant on the wall clock.
            on_start: Called when a request's instant has come.
            on_end: Called with what became of it.
            alarm: Makes what wakes it at the next instant.
        """
        self._loop = asyncio.get_running_loop()
        self._stub = stub
        self._job = job
        self._start_s = start_s
        self._start_unix_s = start_unix_s
        self._on_start = on_start
        self._on_end = on_end
        self._flights: dict[asyncio.Task[None], _Flight] = {}
        self._stopped = self._abandoned = False
        self.kept: dict[str, bytes] = {}
        """Answers that are kept, by the id of their request."""
        self._pacer = Pacer(self._loop, start_s + job.schedule.due_s, self._send, alarm)

    async def run(self) -> bool:
        """Send `total` and wait for every end; returns whether none was left out or cancelled by `interrupt`."""
        started = await self._pacer.run()
        while self._flights:
            await asyncio.gather(*self._flights)
        return started == self._pacer.total and not self._abandoned

    @property
    def total(self) -> int:
        """Requests there are to send."""
        return self._pacer.total

    def end_after_pass(self, last: int = 0) -> None:
        """Begin no pass after this one, or after the one that is on, whichever is later: passes are sent whole."""
        pass_index = self._job.schedule.pass_index
        current = int(pass_index[max(self._pacer.fired - 1, 0)])
        self._pacer.end_after(int(np.searchsorted(pass_index, max(last, current), side="right")))

    def stop(self) -> None:
        """Start no more requests and let those in flight end."""
        self._pacer.stop()

    def interrupt(self) -> None:
        """As `stop`; the second time, cancel those in flight, too."""
        self.stop()
        if self._stopped:
            self._abandoned = True
            for flight in self._flights.values():
                flight.call.cancel()
        self._stopped = True

    def idle_s(self) -> float:
        """Seconds until the next request is due; infinite when there is none."""
        return self._pacer.next_due_s - self._loop.time()

    def _send(self, index: int) -> None:
        job, request = self._job, self._request(index)
        body = job.frame.build(request.id, job.dataset.payload(request.sample))
        metadata = [(REQUEST_ID, request.id), (LABEL, str(request.label))]
        self._on_start()
        now_s = self._loop.time()
        timeout = timeout_at(request.deadline, now_s, job.on_deadline)
        if timeout is None:
            self._end(request, now_s, now_s, outcome=Outcome.NOT_SENT, status=Status.DEADLINE_EXCEEDED)
            return
        if timeout.deadline_ms is not None:
            metadata.append((DEADLINE_MS, timeout.deadline_ms))
        call = self._stub(body, timeout=timeout.grpc_s, metadata=metadata)
        flight = _Flight(self._loop, request, call)
        # The call's own first step is queued already, so this runs right after gRPC was given the request.
        self._loop.call_soon(flight.mark_sent)
        self._flights[self._loop.create_task(self._follow(flight))] = flight

    async def _follow(self, flight: _Flight) -> None:
        answer = b""
        try:
            answer = await flight.call
            status = Status.OK
        except grpc.aio.AioRpcError as error:
            status = Status(error.code().value[0])
        except asyncio.CancelledError:
            if not self._abandoned:
                raise
            status = Status.CANCELLED
        ended_s = self._loop.time()
        outcome, predicted = judge(status, answer, late=flight.request.deadline.passed(ended_s))
        if status is Status.OK and (flight.request.pass_index, flight.request.sample) in self._job.kept:
            self.kept[flight.request.id] = answer
        self._end(flight.request, flight.sent_s, ended_s, outcome=outcome, status=status, predicted=predicted)
        task = asyncio.current_task()
        assert task is not None
        del self._flights[task]

    def _request(self, index: int) -> _Request:
        job = self._job
        sample, pass_index = int(job.schedule.sample[index]), int(job.schedule.pass_index[index])
        due_s = float(job.schedule.due_s[index])
        return _Request(
            id=f"{job.run_id}-{pass_index}-{sample}",
            sample=sample,
            pass_index=pass_index,
            label=int(job.dataset.labels[sample]),
            due_s=due_s,
            deadline=Deadline(self._start_s + due_s, job.deadline_s),
        )

    def _end(
        self,
        request: _Request,
        sent_s: float,
        ended_s: float,
        *,
        outcome: Outcome,
        status: Status,
        predicted: int = UNKNOWN_CLASS,
    ) -> None:
        self._on_end(
            Observation(
                request_id=request.id,
                model=self._job.model,
                version="",
                arrival_unix_s=self._start_unix_s + request.due_s,
                budget_s=request.deadline.budget_s,
                latency_s=ended_s - request.deadline.start_s,
                outcome=outcome,
                predicted=predicted,
                label=request.label,
                status=status,
                lag_s=sent_s - request.deadline.start_s,
                pass_index=request.pass_index,
                sample=request.sample,
            )
        )
