"""What a run is made of before its clock starts: the data set in its form, the requests' frame, and the schedule."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tailgate.errors import TraceError
from tailgate.protocol.envelope import RequestFrame
from tailgate_loadgen.arrival_spec import Recording, parse_arrivals
from tailgate_loadgen.arrivals import Arrivals, Replay
from tailgate_loadgen.datasets.dataset import Dataset
from tailgate_loadgen.datasets.files import LabelledFiles
from tailgate_loadgen.datasets.prepare import prepare_digits, prepare_files
from tailgate_loadgen.datasets.sources import find_files
from tailgate_loadgen.fitting import check_classes, fit_model
from tailgate_loadgen.options import DEFAULT_RATE, Options
from tailgate_loadgen.outputs import TRACE_NAME
from tailgate_loadgen.recording import read_instants
from tailgate_loadgen.schedule import Schedule, make_schedule
from tailgate_loadgen.screen import Screen
from tailgate_loadgen.target import Description, describe, open_channel


@dataclass(frozen=True)
class Material:
    """What does not change from one run to the next against the same model.

    Attributes:
        dataset: Payloads and labels.
        frame: Builds the requests.
    """

    dataset: Dataset
    frame: RequestFrame


def prepare(options: Options, screen: Screen) -> tuple[Material, Schedule]:
    """Everything that takes time or can be found wrong before a clock starts; what is cheap comes first.

    Raises:
        UsageError: There is nothing to send, nobody to send it to, or nowhere to write.
    """
    files = find_files(options.dataset)
    trace = options.trace / TRACE_NAME
    if trace.exists():  # said now rather than after minutes of preparation
        raise TraceError(f"{trace} exists; traces are never overwritten, so choose another folder")
    description = asyncio.run(_ask(options))
    wanted = fit_model(description.metadata, description.parameters, options, are_digits=files is None)
    labelled: Dataset | LabelledFiles = prepare_digits(options.payload) if files is None else files
    check_classes(labelled, wanted.classes, options)
    schedule = schedule_of(options, len(labelled.labels))
    dataset = (
        prepare_files(labelled, options.payload, wanted.transform, options.cache, screen)
        if isinstance(labelled, LabelledFiles)
        else labelled
    )
    return Material(dataset, RequestFrame(options.model, wanted.name, dataset.datatype, dataset.shape)), schedule


def schedule_of(options: Options, dataset_size: int) -> Schedule:
    """The schedule of the whole run.

    Raises:
        UsageError: There is none, or the recording to replay cannot be read.
    """
    arrivals = parse_arrivals(options.arrivals)
    return make_schedule(
        dataset_size=dataset_size,
        passes=options.passes,
        rate=DEFAULT_RATE if options.rate is None else options.rate,
        arrivals=_replay(arrivals, options) if isinstance(arrivals, Recording) else arrivals,
        seeds=options.seeds,
        samples=options.samples,
    )


def _replay(recording: Recording, options: Options) -> Arrivals:
    return Replay(read_instants(recording), options.arrivals, as_recorded=options.rate is None)


async def _ask(options: Options) -> Description:
    async with open_channel(options.target, options.credentials) as channel:
        return await describe(channel, options.target, options.model, options.credentials)
