"""One system with all that its part of the report shows: the headline's numbers and those under its figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tailgate.outcome import ANSWER_SEEN, Outcome
from tailgate.prediction.command import arrivals_of
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.report.analysis import Analysis, analyse, counted
from tailgate.report.missing import NOT_COMPLETE, OF_A_PROXY, UNLABELLED, Missing
from tailgate.report.numbers.boxes import Box, boxes_of
from tailgate.report.numbers.by_batch import ByBatch, by_batch
from tailgate.report.numbers.causes import Causes, causes_of
from tailgate.report.numbers.foretold import Foretold, foretold_of
from tailgate.report.numbers.stability import Settling, settling_of
from tailgate.report.numbers.times import Times, times_of
from tailgate.report.source import Source
from tailgate.runs import Run, run_of
from tailgate.trace.format import Records
from tailgate.trace.info import planned_samples
from tailgate.trace.views import Passes, passes_of, response_times_s, scores

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class System:
    """One system.

    Attributes:
        analysis: What heads its report.
        run: For comparisons with others; None where it has no complete labelled pass.
        by_batch: Time by place in the pass.
        times: Histogram of times.
        boxes: Pass quality at thresholds by density.
        settling: rJSD by the number of passes.
        foretold: The distribution of pass quality.
        causes: Where labelled arrivals went.
    """

    analysis: Analysis
    run: Run | None
    by_batch: ByBatch | Missing
    times: Times | Missing
    boxes: tuple[Box, ...] | Missing
    settling: Settling | Missing
    foretold: Foretold | Missing
    causes: Causes | Missing

    @property
    def name(self) -> str:
        """What it is called."""
        return self.analysis.source.name


def system_of(source: Source, deadline_s: float | None = None) -> System:
    """Compute everything of one system; its records are not kept.

    Args:
        source: Its trace; at least one record.
        deadline_s: Threshold in seconds; default: what the trace's header says.

    Raises:
        UsageError: As for `analyse`.
    """
    client, labelled = source.vantage == "client", bool((source.records["label"] != UNKNOWN_CLASS).any())
    run = run_of(source) if client and labelled else None
    analysis = analyse(source, run.passes if run else None, deadline_s)
    records, threshold_s = counted(source), analysis.deadline_s
    passes = run.passes if run else passes_of(records, planned_samples(source.header)) if client else None
    found: tuple[ByBatch | Missing, Settling | Missing]
    boxes: tuple[Box, ...] | Missing
    foretold: Foretold | Missing
    boxes = foretold = Missing(UNLABELLED if passes is not None and not labelled else OF_A_PROXY)
    if passes is None:
        found = Missing(OF_A_PROXY), Missing(OF_A_PROXY)
    elif not len(passes.indexes):
        found = Missing(NOT_COMPLETE), Missing(NOT_COMPLETE)
        if labelled:
            boxes = foretold = Missing(NOT_COMPLETE)
    else:
        arrival_s = arrivals_of(records, passes)
        in_order = _in_order(passes, arrival_s)
        found = by_batch(in_order), settling_of(in_order)
        if labelled:
            boxes = boxes_of(passes.response_s, passes.score)
            foretold = foretold_of(passes.response_s, passes.score, threshold_s, arrival_s)
    return System(
        analysis=analysis,
        run=run if run is not None and len(run.passes.indexes) else None,
        by_batch=found[0],
        times=times_of(response_times_s(records)),
        boxes=boxes,
        settling=found[1],
        foretold=foretold,
        causes=_causes(records, threshold_s, client=client),
    )


def _in_order(passes: Passes, arrival_s: FloatArray) -> FloatArray:
    """Response times with each pass's columns in the order of arrival."""
    order = np.argsort(arrival_s, axis=1, kind="stable")
    return np.take_along_axis(passes.response_s, order, axis=1)


def _causes(records: Records, threshold_s: float, *, client: bool) -> Causes | Missing:
    """As the headline counts them: a proxy's requests are held against their own deadlines."""
    labelled = records[records["label"] != UNKNOWN_CLASS]
    outcome = labelled["outcome"]
    in_time = response_times_s(labelled) <= threshold_s if client else outcome == Outcome.OK
    return causes_of(outcome, in_time, np.isin(outcome, ANSWER_SEEN), scores(labelled))
