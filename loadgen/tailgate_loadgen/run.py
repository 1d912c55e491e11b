"""A run from beginning to end: find the data, ask the target, prepare, warm up, send, sum up."""

from __future__ import annotations

import asyncio
import gc
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tailgate import __version__
from tailgate.cli import EXIT_MISSED, EXIT_OK, EXIT_UNUSABLE
from tailgate.errors import TraceError
from tailgate.observation import Observation
from tailgate.protocol.envelope import RequestFrame
from tailgate.trace.files import TraceWriter, read_trace
from tailgate.trace.recorder import Recorder
from tailgate_loadgen.datasets.dataset import Dataset
from tailgate_loadgen.datasets.files import LabelledFiles
from tailgate_loadgen.datasets.prepare import prepare_digits, prepare_files
from tailgate_loadgen.datasets.sources import find_files
from tailgate_loadgen.fitting import check_classes, fit_model
from tailgate_loadgen.options import Options
from tailgate_loadgen.outputs import SUMMARY_NAME, TRACE_NAME, trace_header, write_json
from tailgate_loadgen.schedule import make_schedule
from tailgate_loadgen.screen import Screen
from tailgate_loadgen.sender import Job, Sender, infer_stub
from tailgate_loadgen.summary import Facts, summarize
from tailgate_loadgen.tally import Tally
from tailgate_loadgen.target import Description, describe, open_channel
from tailgate_loadgen.warmup import warm_up

LEAD_S = 0.1
"""Between the last preparation and the first request."""


def execute(options: Options) -> int:
    """Replay, write trace and summary; returns the exit status.

    Raises:
        UsageError: There is nothing to send, nobody to send it to, or nowhere to write.
    """
    files = find_files(options.dataset)
    trace = options.trace / TRACE_NAME
    if trace.exists():  # said now rather than after minutes of preparation
        raise TraceError(f"{trace} exists; traces are never overwritten, so choose another folder")
    with Screen(quiet=options.quiet) as screen:
        # Two loops rather than one, so that Ctrl-C ends the preparation between them at once.
        job = _prepare(options, files, asyncio.run(_ask(options)), screen)
        header, complete = asyncio.run(_replay(options, job, screen))
    facts = Facts(
        deadline_s=options.deadline_s,
        rate=options.rate,
        samples=len(job.schedule) // options.passes,
        scheduled=len(job.schedule),
        interrupted=not complete,
        max_lag_s=options.max_lag_s,
        min_quality=options.min_quality,
    )
    records = read_trace(trace).records
    summary = {"run": header, **summarize(records[records["pass_index"] >= 0], facts)}
    write_json(options.trace / SUMMARY_NAME, summary)
    screen.table(summary)
    return _exit_status(summary)


async def _ask(options: Options) -> Description:
    async with open_channel(options.target) as channel:
        return await describe(channel, options.target, options.model)


def _prepare(options: Options, files: LabelledFiles | None, description: Description, screen: Screen) -> Job:
    """Everything that takes time or can be found wrong before a clock starts; what is cheap comes first."""
    wanted = fit_model(description.metadata, description.parameters, options, are_digits=files is None)
    labelled: Dataset | LabelledFiles = prepare_digits(options.payload) if files is None else files
    check_classes(labelled, wanted.classes, options)
    schedule = make_schedule(
        dataset_size=len(labelled.labels),
        passes=options.passes,
        rate=options.rate,
        arrivals=options.arrivals,
        seed=options.seed,
        samples=options.samples,
    )
    dataset = (
        prepare_files(labelled, options.payload, wanted.transform, options.cache, screen)
        if isinstance(labelled, LabelledFiles)
        else labelled
    )
    return Job(
        run_id=secrets.token_hex(6),
        model=options.model,
        frame=RequestFrame(options.model, wanted.name, dataset.datatype, dataset.shape),
        dataset=dataset,
        schedule=schedule,
        deadline_s=options.deadline_s,
        on_deadline=options.on_deadline,
    )


async def _replay(options: Options, job: Job, screen: Screen) -> tuple[dict[str, Any], bool]:
    """Send everything; returns the trace's header, and whether the run was not interrupted."""
    loop = asyncio.get_running_loop()
    async with open_channel(options.target) as channel:
        stub = infer_stub(channel)
        screen.progress("warming up", 0, len(job.schedule))
        warm_ups = await warm_up(stub, job, options.warmup)
        # What exists now is kept out of the collector's sight, so that its pauses in the run stay short.
        gc.collect()
        gc.freeze()
        tally = Tally(total=len(job.schedule))
        start_s, start_unix_s = loop.time() + LEAD_S, time.time() + LEAD_S
        header = trace_header(options, job, start_unix_s, __version__)
        recorder = Recorder(TraceWriter(options.trace / TRACE_NAME, header))
        for observation in warm_ups:
            recorder.record(observation)

        def start() -> None:
            tally.started += 1

        def end(observation: Observation) -> None:
            recorder.record(observation)
            tally.add(observation)

        sender = Sender(stub, job, start_s=start_s, start_unix_s=start_unix_s, on_start=start, on_end=end)
        drawing = loop.create_task(screen.follow(tally, sender.idle_s))
        try:
            with _on_signals(loop, sender.interrupt):
                complete = await sender.run()
        finally:
            drawing.cancel()
            recorder.close()
            gc.unfreeze()
    return header, complete


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


def _exit_status(summary: dict[str, Any]) -> int:
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
