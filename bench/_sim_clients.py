"""The clients: when they send what, when they leave, and when they try again. They wait for nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Final

from bench._sim_call import Call
from bench._sim_loop import VirtualLoop
from bench._sim_plan import Plan
from bench._sim_promises import Promises
from tailgate.deadline import Deadline
from tailgate.errors import Status
from tailgate.http2.grpc_messages import frame_message
from tailgate.protocol.envelope import RequestFrame
from tailgate.simulation.arrivals import bursts, poisson
from tailgate_proxy.call import Arrival, Reply
from tailgate_proxy.exchange import read_headers
from tailgate_proxy.passage import REPLAYABLE_BYTES, Passage
from tailgate_proxy.pipeline import Pipeline

UNIX_S: Final = 1_767_600_000.0
DRAIN_S: Final = 2.0
"""They still come for so long after the proxy was told to stop."""
MODELS: Final = ("m", "watched", "soft")
PUSHBACK: Final = b"grpc-retry-pushback-ms"


def _body(model: str, size: int) -> bytes:
    return frame_message(RequestFrame(model, "x", "UINT8", (size,)).build("", bytes(size)))


SMALL: Final = {model: _body(model, 40) for model in MODELS}
LARGE: Final = {model: _body(model, 2 * REPLAYABLE_BYTES) for model in MODELS}


class Clients:
    """All of them."""

    def __init__(self, plan: Plan, loop: VirtualLoop, promises: Promises, pipeline: Callable[[], Pipeline]) -> None:
        """Nobody has come; each goes the way that there is when it comes."""
        self._plan = plan
        self._loop = loop
        self._promises = promises
        self._pipeline = pipeline
        self._random = Random(f"clients {plan.kind} {plan.seed}")  # noqa: S311 — a simulation, no secret
        self._count = 0
        self._next = self._arrivals()
        self._plan_arrival()

    def _arrivals(self) -> Iterator[float]:
        start_s = 1.0
        for stretch in self._plan.traffic:
            if stretch.burst == 1:
                yield from poisson(self._random, stretch.rate, start_s, stretch.end_s)
            else:
                yield from bursts(self._random, stretch.rate, start_s, stretch.end_s, size=stretch.burst)
            start_s = stretch.end_s
        yield from poisson(self._random, 10.0, start_s, start_s + DRAIN_S)

    def _plan_arrival(self) -> None:
        at_s = next(self._next, None)
        if at_s is not None:
            self._loop.events.at(at_s, partial(self._arrive, at_s))

    def _arrive(self, at_s: float) -> None:
        self._plan_arrival()
        random = self._random
        model = random.choices(MODELS, self._plan.models)[0] if self._plan.models[0] < 1.0 else "m"
        leaves_s = None
        if random.random() < self._plan.leaving:
            leaves_s = random.expovariate(4.0 / self._plan.deadline_s)
        self._come(at_s, model, leaves_s, self._plan.again)

    def _come(self, at_s: float, model: str, leaves_s: float | None, again: int, *, first: bool = True) -> None:
        """A client asks."""
        random, loop = self._random, self._loop
        self._count += 1
        name = f"{self._count}"
        budget_ms = int(1e3 * self._plan.deadline_s * (random.uniform(0.7, 1.0) if random.random() < 0.3 else 1.0))
        fields = ((b"x-request-id", name.encode()), (b"grpc-timeout", b"%dm" % budget_ms))
        pipeline = self._pipeline()
        exchange = read_headers(Arrival(fields, dict(fields), at_s, UNIX_S + at_s), pipeline.routes, str)
        counts = first and leaves_s is None and model == "m"
        call = Call(name, model, Deadline(at_s, budget_s := budget_ms / 1e3), self._promises, counts)
        call.passage = Passage(exchange, pipeline, call, 1)
        self._promises.arrives(call)
        call.passage.arrive()
        if call.over:
            self._maybe_again(call, again)
            return
        if again:
            call.on_answer = lambda: self._maybe_again(call, again)
        body = LARGE[model] if random.random() < 0.01 else SMALL[model]
        if random.random() < 0.05:  # it comes in two pieces, the second a little later
            cut = random.randrange(1, len(body))
            call.feed(memoryview(body)[:cut], end=False)
            loop.events.after(random.uniform(0.0, 0.3 * budget_s), lambda: call.feed(memoryview(body)[cut:], end=True))
        else:
            call.feed(memoryview(body), end=True)
        if leaves_s is not None:
            loop.events.after(leaves_s, call.leave)
        elif random.random() < 0.3:  # by its own timer, which started a little earlier
            loop.events.at(at_s + budget_s - 0.0005, call.leave)

    def _maybe_again(self, call: Call, again: int) -> None:
        reply = call.reply
        if not again or reply is None or reply.status not in (Status.UNAVAILABLE, Status.RESOURCE_EXHAUSTED):
            return
        wait_s = _pushback_s(reply)
        if wait_s is None or self._promises.draining:
            return
        wait_s = wait_s or self._random.uniform(0.05, 0.2)
        loop = self._loop
        loop.events.after(wait_s, lambda: self._come(loop.time(), call.model, None, again - 1, first=False))


def _pushback_s(reply: Reply) -> float | None:
    """How long the proxy asks to wait: 0 where it does not say; None: not again."""
    milliseconds = int(dict(reply.trailers).get(PUSHBACK, b"0"))
    return None if milliseconds < 0 else 1e-3 * milliseconds
