"""From a trace's records to every number the report shows. Pure: arrays in, dataclasses out.

The quality of a *run* is taken over all its labelled arrivals; what is said about *passes* rests on complete ones only,
because an incomplete pass holds other samples than the rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tailgate.errors import UsageError
from tailgate.outcome import Outcome
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.quality import Decomposition, decompose, default_thresholds, latency_percentiles, pass_quality
from tailgate.report.source import Source, Vantage
from tailgate.trace.format import Records
from tailgate.trace.views import Passes, passes_of, response_times_s, scores
from tailgate.units import format_duration

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
_FIGURE_POINTS = 200

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """Q(θ) over passes: each attribute is float `[thresholds]`, `std` the population's standard deviation."""

    thresholds_s: FloatArray
    best: FloatArray
    worst: FloatArray
    mean: FloatArray
    std: FloatArray


@dataclass(frozen=True)
class PassRow:
    """One complete pass at the deadline; `accuracy` is that of its answers, None where there was none."""

    index: int
    start_unix_s: float
    end_unix_s: float
    samples: int
    answered: int
    on_time: int
    right_on_time: int
    accuracy: float | None

    @property
    def quality(self) -> float:
        """Time-critical accuracy of this pass."""
        return self.right_on_time / self.samples


@dataclass(frozen=True)
class Quality:
    """What can be said once there are labels.

    Attributes:
        labelled: Arrivals with a label; all shares are of these.
        decomposition: Over all of them: at a client at the deadline of the run, at a proxy at each request's own, as
            its outcome says.
        passes: The complete passes; empty for a proxy's trace, which has none.
        incomplete_passes: Passes left out of `passes` and of the curves.
        curve: Over a grid of 100 even thresholds. Over passes, or over all labelled arrivals as if they were
            one where there is no complete pass.
        fine: The same for figures: also at the latencies' quantiles and evenly on a
            logarithmic axis, so that steep parts and tails have their points.
        marks: The same at thresholds worth a row in a table.
        mark_names: What these are: the deadline, percentiles of the latency.
    """

    labelled: int
    decomposition: Decomposition
    passes: tuple[PassRow, ...]
    incomplete_passes: int
    curve: Curve
    fine: Curve
    marks: Curve
    mark_names: tuple[str, ...]

    @property
    def worst_pass(self) -> PassRow | None:
        """The pass with the lowest time-critical accuracy, the first of equals."""
        return min(self.passes, key=lambda row: row.quality, default=None)

    @property
    def best_pass(self) -> PassRow | None:
        """The pass with the highest time-critical accuracy, the first of equals."""
        return max(self.passes, key=lambda row: row.quality, default=None)


@dataclass(frozen=True)
class Analysis:
    """Everything the report says about one system.

    Attributes:
        source: Where it comes from.
        arrivals: Observations that count: at a client those of its passes.
        warm_up: Observations of a client before its passes, which do not.
        start_unix_s: The first arrival.
        end_unix_s: The last request's end.
        deadline_s: The threshold of the curves, and at a client of the headline.
        deadline_from: Who set it, in words.
        cut_at_s: Where late answers were cut, so that nothing is known of later ones (at a proxy: the longest that any
            request had); None where they were waited for.
        planned_passes: Passes that the run was to make; None where its header does not say.
        latency_s: Seconds by percentile, over all arrivals that count; infinite where no answer came.
        outcomes: How they ended.
        quality: None where nothing is labelled.
    """

    source: Source
    arrivals: int
    warm_up: int
    start_unix_s: float
    end_unix_s: float
    deadline_s: float
    deadline_from: str
    cut_at_s: float | None
    planned_passes: int | None
    latency_s: Mapping[float, float]
    outcomes: Mapping[Outcome, int]
    quality: Quality | None


def analyse(source: Source, deadline_s: float | None = None) -> Analysis:
    """Analyse one system.

    Args:
        source: Its trace; at least one record.
        deadline_s: Threshold in seconds; default: what the trace's header says.

    Raises:
        UsageError: The run cut its answers before `deadline_s`, or neither it nor the header names a deadline.
    """
    records = source.records
    warm_up = 0
    if source.vantage == "client" and (in_pass := records["pass_index"] >= 0).any():
        warm_up = int(len(records) - in_pass.sum())
        records = records[in_pass] if warm_up else records
    own_deadline_s = _own_deadline_s(source)
    threshold_s = own_deadline_s if deadline_s is None else deadline_s
    if threshold_s is None:
        raise UsageError(f"{source.name}: its header has no deadline_s above 0; name a threshold with --deadline")
    client_cut = source.vantage == "client" and source.header.get("on_deadline") == "cancel"
    if client_cut and own_deadline_s is not None and threshold_s > own_deadline_s:
        raise UsageError(
            f"--deadline is {format_duration(threshold_s)}, but the run {source.name} cut its answers at "
            f"{format_duration(own_deadline_s)}, so none later was observed; ask for that or less"
        )
    outcomes = {
        Outcome(number): count for number, count in enumerate(np.bincount(records["outcome"]).tolist()) if count
    }
    cut_at_s = None
    if client_cut or Outcome.DEADLINE_IN_FLIGHT in outcomes:
        cut_at_s = threshold_s if own_deadline_s is None else own_deadline_s
        if source.vantage == "proxy":
            cut_at_s = max(0.0, float(records["budget_s"].max()))
    arrival = records["arrival_unix_s"]
    percentiles = latency_percentiles(response_times_s(records), PERCENTILES)
    return Analysis(
        source=source,
        arrivals=len(records),
        warm_up=warm_up,
        start_unix_s=float(arrival.min()),
        end_unix_s=float((arrival + records["latency_s"]).max()),
        deadline_s=threshold_s,
        deadline_from=_DEADLINE_FROM[source.vantage] if deadline_s is None else "the option --deadline",
        cut_at_s=cut_at_s,
        planned_passes=_planned(source, "passes"),
        latency_s=dict(zip(PERCENTILES, percentiles.tolist(), strict=True)),
        outcomes=outcomes,
        quality=_quality(source, records, threshold_s),
    )


_DEADLINE_FROM: Mapping[Vantage, str] = {"client": "the run", "proxy": "the proxy's configuration"}


def _own_deadline_s(source: Source) -> float | None:
    written = source.header.get("deadline_s")
    return float(written) if isinstance(written, (int, float)) and 0 < written < math.inf else None


def _planned(source: Source, field: str) -> int | None:
    written = source.header.get(field)
    return written if source.vantage == "client" and isinstance(written, int) and written > 0 else None


def _quality(source: Source, records: Records, threshold_s: float) -> Quality | None:
    known = records["label"] != UNKNOWN_CLASS
    if not known.any():
        return None
    samples = _planned(source, "samples")
    if samples is not None and not known.all():
        samples -= len(np.unique(records["sample"][~known]))  # they have no column
    records = records if known.all() else records[known]
    response, score = response_times_s(records), scores(records)
    passes = passes_of(records, samples) if source.vantage == "client" else None
    if passes is not None and len(passes.indexes):
        times, right = passes.response_s, passes.score
    else:
        times, right = response[None], score[None]
    answered = times[np.isfinite(times)]
    grid = default_thresholds(times)
    quantiles = latency_percentiles(answered, np.linspace(0, 100, _FIGURE_POINTS)) if answered.size else grid
    positive = grid[grid > 0]
    even_on_log_axis = np.geomspace(positive[0], positive[-1], _FIGURE_POINTS) if positive.size else grid
    marks = {"deadline": threshold_s}
    for percentile, at in zip(PERCENTILES, latency_percentiles(times, PERCENTILES), strict=True):
        if np.isfinite(at):
            marks[f"p{percentile:g} of the latency"] = float(at)
    return Quality(
        labelled=len(records),
        decomposition=(
            decompose(response, score, threshold_s) if source.vantage == "client" else _as_booked(records, score)
        ),
        passes=_pass_rows(records, passes, threshold_s) if passes is not None else (),
        incomplete_passes=passes.incomplete if passes is not None else 0,
        curve=_curve(times, right, grid),
        fine=_curve(times, right, np.unique(np.concatenate([grid, quantiles, even_on_log_axis, [threshold_s]]))),
        marks=_curve(times, right, np.array(list(marks.values()))),
        mark_names=tuple(marks),
    )


def _as_booked(records: Records, score: FloatArray) -> Decomposition:
    """The decomposition in which each request is held against its own deadline, as the proxy's counters hold it."""
    seen = np.isfinite(response_times_s(records))
    late = np.where(records["outcome"] == Outcome.OK, 0.0, 1.0)
    return decompose(np.where(seen, late, np.inf), score, 0.0)


def _curve(times: FloatArray, right: FloatArray, thresholds_s: FloatArray) -> Curve:
    quality = pass_quality(times, right, thresholds_s)
    return Curve(thresholds_s, quality.max(axis=1), quality.min(axis=1), quality.mean(axis=1), quality.std(axis=1))


def _pass_rows(records: Records, passes: Passes, threshold_s: float) -> tuple[PassRow, ...]:
    if not len(passes.indexes):
        return ()
    order = np.argsort(records["pass_index"], kind="stable")
    present, firsts = np.unique(records["pass_index"][order], return_index=True)
    begun = np.minimum.reduceat(records["arrival_unix_s"][order], firsts)
    ended = np.maximum.reduceat((records["arrival_unix_s"] + records["latency_s"])[order], firsts)
    rows: list[PassRow] = []
    for at, index in enumerate(passes.indexes.tolist()):
        place = int(np.searchsorted(present, index))
        answered = np.isfinite(passes.response_s[at])
        on_time = answered & (passes.response_s[at] <= threshold_s)
        right = passes.score[at] == 1
        count = int(answered.sum())
        rows.append(
            PassRow(
                index=index,
                start_unix_s=float(begun[place]),
                end_unix_s=float(ended[place]),
                samples=passes.response_s.shape[1],
                answered=count,
                on_time=int(on_time.sum()),
                right_on_time=int((on_time & right).sum()),
                accuracy=int((answered & right).sum()) / count if count else None,
            )
        )
    return tuple(rows)
