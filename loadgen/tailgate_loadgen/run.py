"""A run from beginning to end: prepare, warm up, send, sum up."""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from tailgate import __version__
from tailgate.cli import EXIT_MISSED, EXIT_OK, EXIT_UNUSABLE
from tailgate.errors import ConfigError
from tailgate.observation import Observation
from tailgate.trace.files import TraceWriter
from tailgate.trace.recorder import Recorder
from tailgate_loadgen.alarm import timer_name
from tailgate_loadgen.arrivals import mean_rate
from tailgate_loadgen.capacity import Strain
from tailgate_loadgen.condition import under
from tailgate_loadgen.event_loop import loop_name, run_on_loop
from tailgate_loadgen.material import Material, prepare
from tailgate_loadgen.options import Options
from tailgate_loadgen.outputs import TRACE_NAME, trace_header, write_answers, write_summary
from tailgate_loadgen.schedule import Schedule, kept_answers
from tailgate_loadgen.screen import Screen
from tailgate_loadgen.sender import Job, Sender
from tailgate_loadgen.strain import known_of, say_age, strain_here, with_processes
from tailgate_loadgen.tally import Tally
from tailgate_loadgen.target import open_client
from tailgate_loadgen.undisturbed import undisturbed
from tailgate_loadgen.warmup import warm_up
from tailgate_loadgen.watch import watching

Steering = Callable[[asyncio.AbstractEventLoop, Sender, Tally], AbstractContextManager[None]]

LEAD_S = 0.1
"""Between the last preparation and the first request."""


@contextmanager
def unsteered(_loop: asyncio.AbstractEventLoop, _sender: Sender, _tally: Tally) -> Iterator[None]:
    """Nobody ends the run before its end."""
    yield


def execute(options: Options) -> int:
    """Replay, write trace and summary; returns the exit status.

    Raises:
        UsageError: There is nothing to send, nobody to send it to, or nowhere to write.
    """
    with Screen(quiet=options.quiet) as screen:
        material, schedule = prepare(options, screen)
        known = known_of(options)
        options = with_processes(options, material, schedule, known)
        say_age(known, screen)
        summary = perform(options, material, schedule, screen)
    screen.table(summary)
    return exit_status(summary)


def perform(
    options: Options,
    material: Material,
    schedule: Schedule,
    screen: Screen,
    *,
    hopeless: Callable[[Tally], bool] = lambda _: False,
) -> dict[str, Any]:
    """One run, in as many processes as the options say; returns its summary, which is written, too.

    Args:
        options: What the run is told.
        material: What it sends.
        schedule: When it sends it, in whole.
        screen: Where its progress is seen.
        hopeless: Ends it as soon as this is true of how it stands; asked in a run of a single process only.
    """
    with under(options.condition):
        if options.sharing.procs != 1:
            from tailgate_loadgen.procs import perform_in_processes

            return perform_in_processes(options, schedule, screen)
        traces, samples = [options.trace / TRACE_NAME], schedule.total // options.passes
        with watching(options.until, traces, samples, options.deadline_s) as watch:
            return send(
                options,
                material,
                schedule,
                screen,
                start_at=lambda: _start_instant(options),
                hopeless=hopeless,
                steering=unsteered if watch is None else watch.steering,
                stopping=lambda: None if watch is None else watch.finish(options.passes),
            )


def send(
    options: Options,
    material: Material,
    schedule: Schedule,
    screen: Screen,
    *,
    start_at: Callable[[], float],
    hopeless: Callable[[Tally], bool] = lambda _: False,
    steering: Steering = unsteered,
    stopping: Callable[[], dict[str, Any] | None] = lambda: None,
) -> dict[str, Any]:
    """One run in this process, or its share of one; returns its summary, which is written, too.

    Args:
        options: What the run is told.
        material: What it sends.
        schedule: When it is sent, in whole, of which this process takes its share.
        screen: Where its progress is seen.
        start_at: Asked when all is ready for the start, in seconds since 1970; a start that is past is an error.
        hopeless: As for `perform`.
        steering: Within it, somebody may end the run after a pass.
        stopping: Asked when the trace is closed for what the summary says of such an end.
    """
    # Two loops rather than one (the other one has asked the target), so that Ctrl-C ends the preparation at once.
    job = Job(
        run_id=options.sharing.run_id or secrets.token_hex(6),
        model=options.model,
        frame=material.frame,
        dataset=material.dataset,
        schedule=schedule.share_of(options.sharing.shard),
        deadline_s=options.deadline_s,
        on_deadline=options.on_deadline,
        shard=options.sharing.shard,
        kept=kept_answers(schedule, options.keep_answers),
    )
    rate = mean_rate(schedule.due_s) if options.rate is None else options.rate
    strain = strain_here(options, material, schedule)
    sent = run_on_loop(
        _replay(options, job, rate, strain, screen, start_at=start_at, hopeless=hopeless, steering=steering)
    )
    return write_summary(
        options.trace,
        sent.header,
        options.min_quality,
        interrupted=not sent.complete,
        not_needed=len(job.schedule) - sent.total,
        stopping=stopping(),
    )


def _start_instant(options: Options) -> float:
    return options.sharing.start_at_unix_s or time.time() + LEAD_S


@dataclass(frozen=True)
class _Sent:
    """How it went.

    Attributes:
        header: Of the trace.
        total: Requests that there were to send in the end.
        complete: Whether it was not interrupted before that.
    """

    header: dict[str, Any]
    total: int
    complete: bool


async def _replay(
    options: Options,
    job: Job,
    rate: float,
    strain: Strain,
    screen: Screen,
    *,
    start_at: Callable[[], float],
    hopeless: Callable[[Tally], bool],
    steering: Steering,
) -> _Sent:
    """Send everything."""
    loop = asyncio.get_running_loop()
    async with open_client(options.client, options.target, options.credentials) as client:
        screen.progress("warming up", 0, len(job.schedule))
        warm_ups = await warm_up(client, job, options.warmup, options.credentials)
        with undisturbed():
            tally = Tally(total=len(job.schedule))
            start_unix_s = start_at()
            start_s = loop.time() + _checked_lead_s(start_unix_s)
            header = trace_header(options, job, rate, start_unix_s, __version__)
            header["generator"] = {
                "client": options.client,
                "loop": loop_name(),
                "timer": timer_name(),
                "tls": options.credentials.tls is not None,
                **strain.as_header(),
            }
            recorder = Recorder(TraceWriter(options.trace / TRACE_NAME, header))
            for observation in warm_ups:
                recorder.record(observation)

            def start() -> None:
                tally.started += 1

            def end(observation: Observation) -> None:
                recorder.record(observation)
                tally.add(observation)
                if hopeless(tally):
                    sender.stop()

            sender = Sender(client, job, start_s=start_s, start_unix_s=start_unix_s, on_start=start, on_end=end)
            drawing = loop.create_task(screen.follow(tally, sender.idle_s))
            try:
                with _on_signals(loop, sender.interrupt), steering(loop, sender, tally):
                    complete = await sender.run()
            finally:
                drawing.cancel()
                recorder.close()
    write_answers(options.trace, sender.kept)
    return _Sent(header, sender.total, complete)


def _checked_lead_s(start_unix_s: float) -> float:
    lead_s = start_unix_s - time.time()
    if lead_s <= 0:
        raise ConfigError(f"--start-at was {-lead_s:.1f} s ago when everything was ready; name a later instant")
    return lead_s


@contextmanager
def _on_signals(loop: asyncio.AbstractEventLoop, handle: Callable[[], None]) -> Iterator[None]:
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, handle)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def exit_status(summary: dict[str, Any]) -> int:
    """What a run's summary means for the shell; says why on standard error, if it is not good."""
    if not summary["valid"]:
        sys.stderr.write(f"tailgate load: the run is not valid: {'; '.join(summary['invalid_because'])}\n")
        return EXIT_UNUSABLE
    target = summary["min_quality"]
    if target is not None and not target["met"]:
        sys.stderr.write(
            f"tailgate load: quality is {target['reached']:.4f} at {target['threshold_s']:g} s, "
            f"below the {target['wanted']:g} that --min-quality asks for\n"
        )
        return EXIT_MISSED
    return EXIT_OK
