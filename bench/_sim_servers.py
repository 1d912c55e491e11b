"""Servers of numbers: machines that may be away, hang, be slow or in error.

What a machine really got and said is told as it happens: that is what promises are held against.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final, Protocol

from bench._sim_loop import VirtualLoop
from tailgate.errors import Status
from tailgate.http2.grpc_messages import frame_message
from tailgate.pb import inference_pb2 as pb
from tailgate_proxy.call import CallFailed

NETWORK_S: Final = 0.0003
"""One way."""


def _answer() -> bytes:
    response = pb.ModelInferResponse(model_name="m", model_version="1")
    response.outputs.add(name="class", datatype="INT64", shape=[1]).contents.int64_contents.append(3)
    return frame_message(response.SerializeToString())


ANSWER: Final = _answer()
GARBAGE: Final = frame_message(b"\xff\xff\xff")


class Connection(Protocol):
    """A connection to a machine, as the machine sees it."""

    @property
    def machine(self) -> object:
        """To which."""
        ...

    @property
    def inferences(self) -> int:
        """How many are on it."""
        ...

    def answer(self, stream_id: int, body: bytes) -> None:
        """Answer a call."""
        ...

    def fail(self, stream_id: int, failure: CallFailed) -> None:
        """Say that it has failed."""
        ...

    def lose(self) -> None:
        """It breaks."""
        ...

    def go_away(self) -> None:
        """No call is to be begun on it any more."""
        ...

    def watch(self) -> None:
        """This end is silent from now on."""
        ...

    @property
    def calls(self) -> int:
        """How many calls of any kind are on it."""
        ...


@dataclass(eq=False, slots=True)
class Job:
    """One inference at a machine.

    Attributes:
        name: The request's id.
        connection: On which it came.
        stream_id: There.
        hedge: Whether another machine was given it before.
        dropped: Whether nobody wants its answer any more.
    """

    name: str
    connection: Connection
    stream_id: int
    hedge: bool = False
    dropped: bool = False


@dataclass
class Behaviour:
    """How a machine is at present; the defaults are a machine that is well.

    Attributes:
        refuses: New connections.
        swallows: New connections, which are neither made nor refused.
        frozen: The whole process.
        stuck: Its inferences; it answers everything else.
        slow: So many times as long as usual.
        errors: Share of inferences that fail.
        status: With this.
        garbage: Share of answers that are none.
        turns_away: Share of streams that it refuses to begin.
        ready: What it says of itself.
        empty: Whether it has no model.
    """

    refuses: bool = False
    swallows: bool = False
    frozen: bool = False
    stuck: bool = False
    slow: float = 1.0
    errors: float = 0.0
    status: Status = Status.INTERNAL
    garbage: float = 0.0
    turns_away: float = 0.0
    ready: bool = True
    empty: bool = False


WELL: Final = Behaviour()


class Machine:
    """One server: so many workers, each on a batch of up to so many at a time.

    Attributes:
        now: How it is.
        begun: How many were begun here, whole or not.
        answered: How many were answered.
        on_begun: Told of every inference that a connection carries here, whole or not.
        on_ended: Told of every one that it carries no more, answered or not.
        on_executed: Told of every inference that came whole.
        on_told: Told of every one that is said to have failed, and how.
    """

    def __init__(
        self, loop: VirtualLoop, random: Random, *, workers: int, batch: int, take_s: Callable[[], float]
    ) -> None:
        """Well and idle; it is told of what comes by its connections."""
        self.workers = workers
        self.batch = batch
        self.now = Behaviour()
        self.begun = self.answered = 0
        self.on_begun: Callable[[Job], None]
        self.on_ended: Callable[[Job], None]
        self.on_executed: Callable[[Job], None]
        self.on_told: Callable[[Job, Status], None]
        self.connections: list[Connection] = []
        self._loop = loop
        self._random = random
        self._take_s = take_s
        self._line: deque[Job] = deque()
        self._busy = 0
        self._life = 0  # how often it has died: what was planned in another life does not happen
        self._ready_to_go: list[Sequence[Job]] = []  # what ended while it was frozen

    def behave(self, now: Behaviour) -> None:
        """Be like this from now on."""
        before, self.now = self.now, now
        if now.frozen and not before.frozen:
            for connection in self.connections:
                connection.watch()
        if not now.frozen and before.frozen:
            ended, self._ready_to_go = self._ready_to_go, []
            for jobs in ended:
                self._end(jobs, self._life)
        self._go_on()

    def die(self) -> None:
        """Lose everything, and every connection."""
        self._life += 1
        self._busy = 0
        self._line.clear()
        self._ready_to_go = []
        for connection in list(self.connections):
            connection.lose()

    def take(self, job: Job) -> None:
        """An inference is here, whole."""
        self.on_executed(job)
        self._line.append(job)
        self._go_on()

    def _go_on(self) -> None:
        while self._line and self._busy < self.workers and not (self.now.frozen or self.now.stuck):
            jobs: list[Job] = []
            while self._line and len(jobs) < self.batch:
                job = self._line.popleft()
                if not job.dropped:
                    jobs.append(job)
            if jobs:
                self._busy += 1
                seconds = self._take_s() * self.now.slow * (1.0 + 0.1 * (len(jobs) - 1))
                self._loop.events.after(seconds, partial(self._end, jobs, self._life))

    def _end(self, jobs: Sequence[Job], life: int) -> None:
        if life != self._life:
            return
        if self.now.frozen:
            self._ready_to_go.append(jobs)
            return
        self._busy -= 1
        for job in jobs:
            if not job.dropped:
                self._loop.events.after(NETWORK_S, partial(self._tell, job))
        self._go_on()

    def _tell(self, job: Job) -> None:
        now, draw = self.now, self._random.random
        if now.errors and draw() < now.errors:
            self.on_told(job, now.status)
            job.connection.fail(job.stream_id, CallFailed(now.status, "told to fail", said=True))
        elif now.garbage and draw() < now.garbage:
            job.connection.answer(job.stream_id, GARBAGE)
        else:
            self.answered += 1
            job.connection.answer(job.stream_id, ANSWER)
