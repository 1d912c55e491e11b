"""The verdict on the parameter ``timeout`` of Triton's scheduling extension."""

from __future__ import annotations

import statistics

from tailgate.units import format_duration
from tailgate_loadgen.probe.judge_work import MOST, PARAMETER
from tailgate_loadgen.probe.seen import Experiment, by_status
from tailgate_loadgen.probe.verdict import Verdict

_QUESTION = "Is the request parameter timeout honoured?"
_LATE = 2.0
"""A refusal is late from this many times the timeout on."""
_HINT = (
    "In Triton it only shortens the default of the model's queue policy, and does nothing where "
    "default_timeout_microseconds is 0, its own default, or allow_timeout_override is not set."
)


def judge_parameter(experiment: Experiment) -> Verdict:
    """From calls that carried it while the server was busy for longer, beside calls that did not."""
    trials = (*experiment.ended_early.get(PARAMETER, ()), *experiment.unusable.get(PARAMETER, ()))
    calls = [call for trial in trials for call in trial.doomed]
    plain = [call for trial in experiment.live for call in trial.doomed]
    limits = f"It bounds the time in the queue only; a server that counts it from elsewhere may look late. {_HINT}"
    if not calls or not plain or not all(call.ok for call in plain):
        why = experiment.why_not or "plain calls were refused in the same place, so nothing can be said of it"
        return Verdict("timeout_parameter", _QUESTION, "unknown", "unknown", f"It cannot be told: {why}.", limits)
    timeout_s = experiment.after_s
    refused = [call for call in calls if not call.ok]
    overdue = [call for call in calls if call.ok and call.took_s > timeout_s]
    took_s = statistics.median(call.took_s for call in refused) if refused else 0.0
    statuses = by_status(calls)
    figures = {
        "calls": len(calls),
        "timeout_s": timeout_s,
        "statuses": statuses,
        "refusal_median_s": took_s if refused else None,
        "refusal_worst_s": max((call.took_s for call in refused), default=None),
        "answered_later_than_it": len(overdue),
        "texts": sorted({call.details for call in refused if call.details})[:3],
    }
    said = f"{len(calls)} calls with a timeout of {format_duration(timeout_s)}: " + ", ".join(
        f"{count} {name}" for name, count in statuses.items()
    )
    if len(overdue) >= MOST * len(calls):
        sentence = (
            f"{said}, as without it, up to {format_duration(max(call.took_s for call in overdue))} after sending."
        )
        return Verdict("timeout_parameter", _QUESTION, "no-op", "partly", sentence, limits, figures)
    if len(refused) >= MOST * len(calls):
        late = took_s > _LATE * timeout_s + 0.01
        sentence = f"{said}; the refusal came after {format_duration(took_s)} in the median."
        answer = "honoured late" if late else "honoured"
        return Verdict(
            "timeout_parameter", _QUESTION, answer, "partly" if late else "good", sentence, limits, figures
        )  # fmt: skip
    if not refused and not overdue:
        sentence = f"{said}; all were answered before it, so it cannot be told."
        return Verdict("timeout_parameter", _QUESTION, "unknown", "unknown", sentence, limits, figures)
    sentence = f"{said}; {len(overdue)} were answered later than it allows."
    return Verdict("timeout_parameter", _QUESTION, "now and then", "partly", sentence, limits, figures)
