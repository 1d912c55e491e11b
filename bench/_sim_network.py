"""The network between the real `Upstream` and simulated machines: connections, and what names stand for.

A connection here takes the place of `wire.outbound.Outbound`: it tells callers what that would tell them, without bytes
in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final

from bench._sim_loop import VirtualLoop
from bench._sim_servers import NETWORK_S, Job, Machine
from tailgate.errors import Status
from tailgate.http2.grpc_messages import frame_message
from tailgate.pb import inference_pb2 as pb
from tailgate.policy.attempts import Result
from tailgate_proxy.call import Answer, Caller, CallFailed
from tailgate_proxy.upstreams.attempt import Attempt

SILENT_S: Final = 1.75
"""After so long a connection whose other end is frozen is given up (`wire.outbound`: a ping, and a second)."""
STILL_S: Final = 0.1
"""How often what has reached a frozen machine is looked at again."""
REFUSED: Final = 111
"""ECONNREFUSED."""

READY: Final = frame_message(pb.ServerReadyResponse(ready=True).SerializeToString())
NOT_READY: Final = frame_message(pb.ServerReadyResponse(ready=False).SerializeToString())
EMPTY: Final = frame_message(pb.RepositoryIndexResponse().SerializeToString())
LISTED: Final = frame_message(
    pb.RepositoryIndexResponse(
        models=[
            pb.RepositoryIndexResponse.ModelIndex(name=name, version="1", state="READY")
            for name in ("m", "watched", "soft")
        ]
    ).SerializeToString()
)


@dataclass(eq=False)
class SimConnection:
    """One connection to a machine: a `Leg` for what is on it."""

    machine: Machine
    loop: VirtualLoop
    random: Random
    on_change: Callable[[Any], None]
    retired: bool = False
    choked: bool = False
    room: int = 100
    _calls: dict[int, tuple[Caller, Job | None]] = field(default_factory=dict)
    _paths: dict[int, bytes] = field(default_factory=dict)
    _next: int = 1
    _watched: bool = False

    @property
    def usable(self) -> bool:
        """Whether another call can be begun on it."""
        return not self.retired and len(self._calls) < self.room

    @property
    def calls(self) -> int:
        """How many are on it."""
        return len(self._calls)

    @property
    def inferences(self) -> int:
        """How many of them are inferences."""
        return sum(job is not None for _, job in self._calls.values())

    async def settled(self) -> None:
        """It is, as soon as it is there."""

    def begin(self, caller: Caller) -> None:
        """A call begins."""
        stream_id, self._next = self._next, self._next + 2
        headers = dict(caller.headers(b"sim", tls=False))
        path = headers[b":path"]
        job = None
        if path.endswith(b"/ModelInfer"):
            hedge = isinstance(caller, Attempt) and caller.hedge
            job = Job(headers[b"x-request-id"].decode(), self, stream_id, hedge)
            self.machine.begun += 1
            self.machine.on_begun(job)
        self._calls[stream_id] = caller, job
        self._paths[stream_id] = path
        if self.machine.now.frozen:
            self.watch()
        caller.begun(self, stream_id)

    def send(self, stream_id: int, data: bytes | memoryview, *, end: bool) -> int:
        """All of it leaves at once."""
        if end:
            self.loop.events.after(NETWORK_S, partial(self._came, stream_id))
        return len(data)

    def cancel(self, stream_id: int) -> None:
        """Nobody wants the answer any more; the machine hears of it a little later."""
        job = self._drop(stream_id)
        if job is not None:
            self.loop.events.after(NETWORK_S, lambda: setattr(job, "dropped", True))
        self.on_change(self)

    def answer(self, stream_id: int, body: bytes) -> None:
        """The machine has answered."""
        entry = self._calls.get(stream_id)
        if entry is not None:
            self._drop(stream_id)
            entry[0].answered(Answer(body))
            self.on_change(self)

    def fail(self, stream_id: int, failure: CallFailed) -> None:
        """It has not."""
        entry = self._calls.get(stream_id)
        if entry is not None:
            self._drop(stream_id)
            entry[0].failed(failure)
            self.on_change(self)

    def lose(self) -> None:
        """The connection breaks."""
        if self not in self.machine.connections:
            return
        self.machine.connections.remove(self)
        self.retired = True
        for stream_id in list(self._calls):
            job = self._calls[stream_id][1] if stream_id in self._calls else None
            if job is not None:
                job.dropped = True
            self.fail(
                stream_id,
                CallFailed(Status.UNAVAILABLE, "the connection to the upstream broke", result=Result.LOST),
            )
        self.on_change(self)

    def close(self) -> None:
        """The proxy closes it."""
        self.lose()

    abort = close

    def go_away(self) -> None:
        """The machine takes no more calls on it, and finishes those there are."""
        self.retired = True
        self.on_change(self)

    def watch(self) -> None:
        """The other end is silent: it is given up after a while if it stays so."""
        if self._calls and not self._watched:
            self._watched = True
            self.loop.events.after(SILENT_S, self._look)

    def _look(self) -> None:
        self._watched = False
        if self.machine.now.frozen and not self.retired:
            self.lose()

    def _drop(self, stream_id: int) -> Job | None:
        self._paths.pop(stream_id, None)
        job = self._calls.pop(stream_id, (None, None))[1]
        if job is not None:
            self.machine.on_ended(job)
        return job

    def _came(self, stream_id: int) -> None:
        """The whole of a call is at the machine."""
        entry, machine = self._calls.get(stream_id), self.machine
        if entry is None:
            return
        if machine.now.frozen:  # it lies in the kernel's buffers
            self.loop.events.after(STILL_S, partial(self._came, stream_id))
            return
        _, job = entry
        now = machine.now
        if job is None:
            body = (NOT_READY, READY)[now.ready]
            if self._paths[stream_id].endswith(b"/RepositoryIndex"):
                body = EMPTY if now.empty else LISTED
            self.loop.events.after(NETWORK_S, partial(self._tell, stream_id, body))
        elif now.turns_away and self.random.random() < now.turns_away:
            text = "the upstream refused the stream"
            self.room = max(len(self._calls) - 1, 1)
            self.fail(stream_id, CallFailed(Status.UNAVAILABLE, text, retryable=True, result=Result.REFUSED))
            self.room += 1
        else:
            machine.take(job)

    def _tell(self, stream_id: int, body: bytes) -> None:
        if self.machine.now.frozen:
            self.loop.events.after(STILL_S, partial(self._tell, stream_id, body))
        else:
            self.answer(stream_id, body)


class Network:
    """Where machines are, and what their names stand for.

    Attributes:
        machines: By address.
        names: Addresses of each host name.
    """

    def __init__(self, loop: VirtualLoop, random: Random) -> None:
        """Nobody is there."""
        self.machines: dict[str, Machine] = {}
        self.names: dict[str, list[str]] = {}
        self._loop = loop
        self._random = random

    def resolve(self, host: str) -> list[str]:
        """The addresses of a name, in some order; an address stands for itself."""
        found = list(self.names.get(host, [host]))
        self._random.shuffle(found)
        return found

    async def reach(self, host: str, _port: int, make: Callable[[], Any]) -> SimConnection:
        """A connection, or what comes instead."""
        on_change = make.__self__._changed  # type: ignore[attr-defined]  # the `Upstream` that asks
        machine = self.machines.get(self.resolve(host)[0])
        if machine is None or machine.now.refuses:
            await asyncio.sleep(NETWORK_S)
            raise ConnectionRefusedError(REFUSED, "Connection refused")
        while machine.now.swallows or machine.now.frozen:
            await asyncio.sleep(3600.0)
        await asyncio.sleep(2 * NETWORK_S)
        if machine.now.refuses:
            raise ConnectionRefusedError(REFUSED, "Connection refused")
        connection = SimConnection(machine, self._loop, self._random, on_change)
        machine.connections.append(connection)
        return connection
