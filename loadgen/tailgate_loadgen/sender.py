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

import numpy as np

from tailgate.deadline import Deadline
from tailgate.errors import Status
from tailgate.observation import Observation
from tailgate.outcome import Outcome, decide_at_client
from tailgate.protocol.answers import UNKNOWN_CLASS, NotAnAnswer, predicted_class
from tailgate.protocol.envelope import RequestFrame
from tailgate.protocol.names import DEADLINE_MS, LABEL, REQUEST_ID
from tailgate_loadgen.alarm import MakeAlarm, best_alarm
from tailgate_loadgen.calls import Call, Client, Ended, Metadata
from tailgate_loadgen.datasets.dataset import Dataset
from tailgate_loadgen.pacer import Pacer
from tailgate_loadgen.schedule import Schedule
from tailgate_loadgen.sharing import Shard
from tailgate_loadgen.timeouts import timeout_at


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


@dataclass(slots=True)  # frozen, each would be several times as dear to make
class _Request:
    """One request of the schedule, and the call that was prepared for it."""

    index: int
    id: str
    sample: int
    pass_index: int
    label: int
    due_s: float  # after the start
    deadline: Deadline
    call: Call


class Sender:
    """One run, on one event loop."""

    def __init__(
        self,
        client: Client,
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
            client: Makes the calls.
            job: What is sent.
            start_s: Instant of the loop's clock that the schedule counts from.
            start_unix_s: The same instant on the wall clock.
            on_start: Called when a request's instant has come.
            on_end: Called with what became of it.
            alarm: Makes what wakes it at the next instant.
        """
        self._loop = asyncio.get_running_loop()
        self._client = client
        self._job = job
        self._start_s = start_s
        self._start_unix_s = start_unix_s
        self._on_start = on_start
        self._on_end = on_end
        self._in_flight: dict[int, _Request] = {}  # by index
        self._all_ended: asyncio.Future[None] | None = None  # waited for once the last one was sent
        self._failure: Exception | None = None
        self._stopped = self._abandoned = False
        self.kept: dict[str, bytes] = {}
        """Answers that are kept, by the id of their request."""
        self._pacer = Pacer(self._loop, start_s + job.schedule.due_s, self._send, alarm)
        self._next = self._request(0) if len(job.schedule) else None

    async def run(self) -> bool:
        """Send `total` and wait for every end; returns whether none was left out or cancelled by `interrupt`."""
        self._client.put_first(self._pacer.catch_up)
        started = await self._pacer.run()
        if self._in_flight and self._failure is None:
            self._all_ended = self._loop.create_future()
            await self._all_ended
        if self._failure is not None:
            raise self._failure
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
            for request in list(self._in_flight.values()):
                request.call.cancel()
        self._stopped = True

    def idle_s(self) -> float:
        """Seconds until the next request is due; infinite when there is none."""
        return self._pacer.next_due_s - self._loop.time()

    def _send(self, index: int) -> None:
        request = self._next
        if request is None or request.index != index:
            request = self._request(index)
        self._on_start()
        now_s = self._loop.time()
        timeout = timeout_at(request.deadline, now_s, self._job.on_deadline)
        if timeout is None:
            self._end(request, now_s, now_s, outcome=Outcome.NOT_SENT, status=Status.DEADLINE_EXCEEDED)
        else:
            self._in_flight[index] = request
            more: Metadata = () if timeout.deadline_ms is None else ((DEADLINE_MS, timeout.deadline_ms),)
            request.call.begin(timeout.grpc_s, lambda ended: self._ended(request, ended), more)
        # All that can be done for the next one is done now, and not at its instant.
        self._next = self._request(index + 1) if index + 1 < len(self._job.schedule) else None

    def _ended(self, request: _Request, ended: Ended) -> None:
        ended_s = request.call.ended_s
        try:
            status, answer = ended.status, ended.answer
            outcome, predicted = judge(status, answer, late=request.deadline.passed(ended_s))
            if status is Status.OK and (request.pass_index, request.sample) in self._job.kept:
                self.kept[request.id] = answer
            self._end(request, request.call.sent_s, ended_s, outcome=outcome, status=status, predicted=predicted)
        except Exception as error:  # noqa: BLE001 - handed on to whoever awaits `run`; no call is to blame
            self._failure = error
            self._pacer.stop()
        del self._in_flight[request.index]
        if self._all_ended is not None and not self._all_ended.done() and (self._failure or not self._in_flight):
            self._all_ended.set_result(None)

    def _request(self, index: int) -> _Request:
        job = self._job
        sample, pass_index = int(job.schedule.sample[index]), int(job.schedule.pass_index[index])
        due_s, label = float(job.schedule.due_s[index]), int(job.dataset.labels[sample])
        request_id = f"{job.run_id}-{pass_index}-{sample}"
        payload = job.dataset.payload(sample)
        before = job.frame.before(request_id, len(payload))
        return _Request(
            index=index,
            id=request_id,
            sample=sample,
            pass_index=pass_index,
            label=label,
            due_s=due_s,
            deadline=Deadline(self._start_s + due_s, job.deadline_s),
            call=self._client.prepare(before, payload, ((REQUEST_ID, request_id), (LABEL, str(label)))),
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
