"""`probe.html`: one page without scripts, outside requests or other files."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from tailgate import __version__
from tailgate.units import format_duration
from tailgate_loadgen.probe.document import Report
from tailgate_loadgen.probe.judge_refusals import reading
from tailgate_loadgen.probe.judge_work import CANCEL, DEADLINE, TOLD
from tailgate_loadgen.probe.seen import Experiment
from tailgate_loadgen.probe.shares import median_interval

_WIDTH = 600.0
_LEFT, _RIGHT = 12.0, 588.0
_LOWEST, _HIGHEST = -0.25, 1.25
"""Shares at the ends of a strip; what lies beyond is drawn there."""
_NAMES = {
    DEADLINE: "deadline, as gRPC's clients keep it",
    TOLD: "deadline that is told only",
    CANCEL: "cancel",
}


@dataclass(frozen=True, slots=True)
class Strip:
    """The shares of one treatment, as places on a line from none of the work to all of it.

    Attributes:
        name: Of the treatment.
        points: Places of the trials.
        low, high: Of the interval.
        text: The same in words.
    """

    name: str
    points: tuple[float, ...]
    low: float
    high: float
    text: str


def strips(experiment: Experiment) -> list[Strip]:
    """What a figure of an experiment shows; empty where nothing can be told."""
    if experiment.why_not or not experiment.alone or not experiment.live:
        return []
    alone = statistics.median(trial.witness.took_s for trial in experiment.alone)
    live = statistics.median(trial.witness.took_s for trial in experiment.live)
    if live <= alone:
        return []
    found = []
    for treatment, name in _NAMES.items():
        trials = experiment.ended_early.get(treatment, ())
        shares = [(trial.witness.took_s - alone) / (live - alone) for trial in trials]
        if not shares:
            continue
        low, high = median_interval(shares)
        text = f"{name}: median {100 * statistics.median(shares):.0f} % in {len(shares)} trials"
        found.append(Strip(name, tuple(place(share) for share in shares), place(low), place(high), text))
    return found


def place(share: float) -> float:
    """Where a share is drawn, in the figure's units."""
    within = min(max(share, _LOWEST), _HIGHEST)
    return round(_LEFT + (within - _LOWEST) / (_HIGHEST - _LOWEST) * (_RIGHT - _LEFT), 1)


def page(report: Report) -> str:
    """The page."""
    environment = Environment(
        loader=PackageLoader("tailgate_loadgen.probe"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": format_duration}
    verdicts = dict(report.verdicts)
    profile = verdicts.pop("profile")
    return environment.get_template("probe.html.j2").render(
        report=report,
        seen=report.seen,
        profile=profile,
        verdicts=list(verdicts.values()),
        service_s=statistics.median(report.seen.service_s),
        figures=[
            ("Work that waited when it was given up", strips(report.seen.queued)),
            ("Work that was running when it was given up", strips(report.seen.running)),
        ],
        refusals=[(refusal, reading(refusal)) for refusal in report.seen.refusals],
        none=place(0.0),
        all=place(1.0),
        width=_WIDTH,
        shape=_shape,
        version=__version__,
    )


def _shape(dimensions: Sequence[int]) -> str:
    return " × ".join(map(str, dimensions))
