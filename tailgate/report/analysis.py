"""From a trace's records to the numbers that head a system's report. Pure: arrays in, dataclasses out.

What stands under the figures is computed in `tailgate.report.numbers`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tailgate.errors import UsageError
from tailgate.outcome import Outcome
from tailgate.quality import latency_percentiles
from tailgate.report.labelled import PERCENTILES, Quality, quality_of
from tailgate.report.source import Source, Vantage
from tailgate.trace.format import Records
from tailgate.trace.views import Passes, response_times_s
from tailgate.units import format_duration


@dataclass(frozen=True)
class Analysis:
    """What the report says about one system outside its figures.

    Attributes:
        source: Where it comes from, without its records.
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


def analyse(source: Source, passes: Passes | None, deadline_s: float | None = None) -> Analysis:
    """Analyse one system.

    Args:
        source: Its trace; at least one record.
        passes: Its complete passes over labelled samples; None at a proxy, or where nothing is labelled.
        deadline_s: Threshold in seconds; default: what the trace's header says.

    Raises:
        UsageError: The run cut its answers before `deadline_s`, or neither it nor the header names a deadline.
    """
    records = counted(source)
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
        source=source.without_records(),
        arrivals=len(records),
        warm_up=len(source.records) - len(records),
        start_unix_s=float(arrival.min()),
        end_unix_s=float((arrival + records["latency_s"]).max()),
        deadline_s=threshold_s,
        deadline_from=_DEADLINE_FROM[source.vantage] if deadline_s is None else "the option --deadline",
        cut_at_s=cut_at_s,
        planned_passes=_planned(source, "passes"),
        latency_s=dict(zip(PERCENTILES, percentiles.tolist(), strict=True)),
        outcomes=outcomes,
        quality=quality_of(records, passes, source.vantage, threshold_s),
    )


def counted(source: Source) -> Records:
    """The observations that count: at a client without those before its passes, which warm the target up."""
    records = source.records
    if source.vantage == "client":
        in_pass = records["pass_index"] >= 0
        if in_pass.any() and not in_pass.all():
            return records[in_pass]
    return records


_DEADLINE_FROM: Mapping[Vantage, str] = {"client": "the run", "proxy": "the proxy's configuration"}


def _own_deadline_s(source: Source) -> float | None:
    written = source.header.get("deadline_s")
    return float(written) if isinstance(written, (int, float)) and 0 < written < math.inf else None


def _planned(source: Source, field: str) -> int | None:
    written = source.header.get(field)
    return written if source.vantage == "client" and isinstance(written, int) and written > 0 else None
