"""What labels tell of one system: its quality, the complete passes, and Q(θ) at thresholds. Pure.

The quality of a *run* is taken over all its labelled arrivals; what is said about *passes* rests on complete ones only,
because an incomplete pass holds other samples than the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tailgate.outcome import Outcome
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.quality import Decomposition, decompose, default_thresholds, latency_percentiles, pass_quality
from tailgate.report.source import Vantage
from tailgate.trace.format import Records
from tailgate.trace.views import Passes, response_times_s, scores

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


def quality_of(records: Records, passes: Passes | None, vantage: Vantage, threshold_s: float) -> Quality | None:
    """The quality; None where nothing is labelled.

    Args:
        records: All that count of one system.
        passes: The complete passes over labelled samples; None at a proxy, which has none.
        vantage: Where the records were made.
        threshold_s: θ in seconds.
    """
    known = records["label"] != UNKNOWN_CLASS
    if not known.any():
        return None
    records = records if known.all() else records[known]
    response, score = response_times_s(records), scores(records)
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
        decomposition=(decompose(response, score, threshold_s) if vantage == "client" else _as_booked(records, score)),
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
