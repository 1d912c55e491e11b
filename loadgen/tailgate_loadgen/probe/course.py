"""The course of a probe: what is measured, in which order, and with which sizes. A shell; it judges nothing.

Overload comes first, because it tells how many calls a queue takes; malformed requests last, because they may end the
server.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import grpc.aio

from tailgate.errors import UsageError
from tailgate.units import format_duration
from tailgate_loadgen.credentials import NO_CREDENTIALS, Credentials
from tailgate_loadgen.probe.bursts import make_bursts
from tailgate_loadgen.probe.caller import Caller
from tailgate_loadgen.probe.groups import make_groups
from tailgate_loadgen.probe.inputs import Tensor, message, tensors_of, with_timeout
from tailgate_loadgen.probe.judge_overload import bound
from tailgate_loadgen.probe.judge_work import CANCEL, DEADLINE, PARAMETER, TOLD
from tailgate_loadgen.probe.malformed import malformed
from tailgate_loadgen.probe.patient import PatientClients
from tailgate_loadgen.probe.refusals import make_refusals
from tailgate_loadgen.probe.seen import Experiment, Seen, no_experiment, no_groups
from tailgate_loadgen.probe.sizing import (
    LEAST_QUEUED_EFFECT,
    QUEUED_EFFECT,
    RUNNING_EFFECT,
    RUNNING_SIZES,
    fit,
    sizes_within,
)
from tailgate_loadgen.probe.trials import Plan, Treatment, Trials, queued_plan, running_plan
from tailgate_loadgen.target import describe, open_channel

WARM_UP, BASE = 3, 15
FIRST_S = 60.0
"""For the first calls, which may load or compile."""
LEAST_SERVICE_S = 0.02
"""A call has to take so long at least: times of a few milliseconds tell nothing among those of clients and networks."""

Progress = Callable[[str, int, int], None]
"""What is being done, how much of it is done, of how much."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be probed, and how thoroughly.

    Attributes:
        target: HOST:PORT.
        model, version: Of the server.
        shapes: Of inputs, by name, where the user gives them.
        batch: Rows of a request; None for one.
        rounds: Trials of each variant.
        groups: Groups of which one member leaves.
        burst: Most calls at once.
        malformed: Whether malformed requests are sent, too.
        credentials: What goes with every call.
    """

    target: str
    model: str
    version: str
    shapes: dict[str, tuple[int, ...]]
    batch: int | None
    rounds: int
    groups: int
    burst: int
    malformed: bool
    credentials: Credentials = NO_CREDENTIALS


async def measure(wish: Wish, on_progress: Progress) -> tuple[Seen, tuple[Tensor, ...]]:
    """Everything that is to be seen of a server, and the inputs of the requests that showed it.

    Raises:
        UsageError: It cannot be reached, does not let us in, has no such model, refuses the probe's request, or is too
            fast.
    """
    async with open_channel(wish.target, wish.credentials) as channel:
        described = await describe(channel, wish.target, wish.model, wish.credentials)
        tensors = tensors_of(described.metadata, wish.shapes, wish.batch)
        caller = Caller(channel, wish.model, wish.credentials)
        course = _Course(wish, channel, caller, tensors, on_progress)
        return await course.run(described.metadata.platform), tensors


class _Course:
    """One probe of one server."""

    def __init__(
        self, wish: Wish, channel: grpc.aio.Channel, caller: Caller, tensors: tuple[Tensor, ...], on_progress: Progress
    ) -> None:
        self._wish, self._channel, self._caller, self._tensors = wish, channel, caller, tensors
        self._on_progress, self._doing = on_progress, ""
        self._request = message(wish.model, wish.version, tensors)
        self._body = self._request.SerializeToString()

    async def run(self, platform: str) -> Seen:
        caller, body = self._caller, self._body
        times_s = await self._base()
        said = await caller.said(platform)
        rows = await self._rows() if said.statistics else 0
        trials = Trials(caller, body, times_s, rows)
        gone = no_experiment("the server had stopped answering", trials.service_s)
        seen = Seen(
            replace(said, statistics=rows > 0), tuple(times_s), gone, gone, no_groups(trials.service_s), (), ()
        )  # fmt: skip
        parts: tuple[Callable[[Seen, Trials], Awaitable[Seen]], ...] = (
            self._overload, self._queued, self._running, self._groups, self._malformed,
        )  # fmt: skip
        for part in parts:
            seen = await part(seen, trials)
            if not await trials.alive():
                return replace(seen, stopped_after=self._doing)
        return seen

    async def _overload(self, seen: Seen, trials: Trials) -> Seen:
        return replace(seen, bursts=await make_bursts(trials, self._wish.burst, self._ticker("overload", 0)))

    async def _groups(self, seen: Seen, trials: Trials) -> Seen:
        tick = self._ticker("batch mates", self._wish.groups)
        return replace(seen, groups=await make_groups(trials, self._wish.groups, tick))

    async def _malformed(self, seen: Seen, trials: Trials) -> Seen:
        wish = self._wish
        cases = list(malformed(wish.model, wish.version, self._tensors)) if wish.malformed else []
        refusals = await make_refusals(trials, cases, self._ticker("malformed requests", len(cases)))
        return replace(seen, refusals=refusals)

    async def _base(self) -> list[float]:
        """What a call alone takes, each time."""
        wish, tick, times_s = self._wish, self._ticker("a call alone", WARM_UP + BASE), []
        for number in range(WARM_UP + BASE):
            ended = await self._caller.ask(self._body, FIRST_S)
            tick()
            refusal = wish.credentials.refusal(f"target {wish.target}", ended.status, ended.details)
            if refusal is not None:
                raise refusal
            if not ended.ok:
                raise UsageError(
                    f"{self._wish.target} refuses the probe's plain request to model {self._wish.model!r} "
                    f"({ended.status.name}: {ended.details}); give what it expects with --shape or --batch"
                )
            if number >= WARM_UP:
                times_s.append(ended.took_s)
        service_s = statistics.median(times_s)
        if service_s < LEAST_SERVICE_S:
            raise UsageError(
                f"model {self._wish.model!r} answers in {format_duration(service_s)}, too fast to tell what waits from "
                f"what runs; make a request take {format_duration(LEAST_SERVICE_S)} at least, with a larger --batch or "
                "--shape, or probe a slower model"
            )
        return times_s

    async def _rows(self) -> int:
        """By how much a call moves the server's count; 0 where it does not move as calls do."""
        before = await self._caller.counted()
        calls = 3
        for _ in range(calls):
            await self._caller.ask(self._body, FIRST_S)
        await asyncio.sleep(0.1)  # a count may follow its answer
        after = await self._caller.counted()
        if before is None or after is None or (after - before) % calls:
            return 0
        return (after - before) // calls

    async def _queued(self, seen: Seen, trials: Trials) -> Seen:
        service_s = trials.service_s
        self._ticker("work that waits", self._wish.rounds)
        plans = (queued_plan(size, service_s) for size in sizes_within(bound(seen.bursts)))
        plan, why_not = await fit(trials, plans, QUEUED_EFFECT * service_s, LEAST_QUEUED_EFFECT * service_s)
        if plan is None:
            return replace(seen, queued=no_experiment(why_not, service_s))
        timed = with_timeout(self._request, plan.after_s).SerializeToString()
        parameter = Treatment(lambda wait_s, _: self._caller.start(timed, wait_s))
        return replace(seen, queued=await self._experiment(trials, plan, {PARAMETER: parameter}))

    async def _running(self, seen: Seen, trials: Trials) -> Seen:
        self._ticker("work that runs", self._wish.rounds)
        plans = (running_plan(size, trials.service_s) for size in RUNNING_SIZES)
        least_s = RUNNING_EFFECT * trials.service_s
        plan, why_not = await fit(trials, plans, least_s, least_s)
        if plan is None:
            return replace(seen, running=no_experiment(why_not, trials.service_s))
        return replace(seen, running=await self._experiment(trials, plan, {}))

    async def _experiment(self, trials: Trials, plan: Plan, more: dict[str, Treatment]) -> Experiment:
        """Of the ways to give up a call that every experiment has, and more."""
        wish, start, body = self._wish, self._caller.start, self._body
        patient = PatientClients(wish.target, wish.credentials)
        treatments = {
            DEADLINE: Treatment(lambda wait_s, after_s: start(body, wait_s, deadline_s=after_s)),
            TOLD: Treatment(lambda wait_s, after_s: patient.start(body, wait_s, after_s), patient.connect),
            CANCEL: Treatment(lambda wait_s, after_s: start(body, wait_s, cancel_after_s=after_s)),
        }
        try:
            return await trials.run(plan, treatments | more, wish.rounds, self._ticker(self._doing, wish.rounds))
        finally:
            patient.close()

    def _ticker(self, what: str, total: int) -> Callable[[], None]:
        done, self._doing = 0, what

        def tick() -> None:
            nonlocal done
            done += 1
            self._on_progress(what, done, total)

        self._on_progress(what, 0, total)
        return tick
