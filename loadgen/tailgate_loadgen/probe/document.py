"""`probe.json`: verdicts, and the observations they rest on, for programs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tailgate import __version__
from tailgate_loadgen.probe.inputs import Tensor
from tailgate_loadgen.probe.judge_mates import harmed
from tailgate_loadgen.probe.judge_refusals import reading
from tailgate_loadgen.probe.seen import Burst, Ended, Experiment, Group, Seen, Trial, by_status
from tailgate_loadgen.probe.verdict import Verdict

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Report:
    """All that a report says.

    Attributes:
        target: HOST:PORT.
        model: Its name.
        at: When it was made, ISO 8601.
        took_s: How long it took to measure.
        tensors: Inputs of the requests.
        seen: By the probe.
        verdicts: By key.
    """

    target: str
    model: str
    at: str
    took_s: float
    tensors: tuple[Tensor, ...]
    seen: Seen
    verdicts: Mapping[str, Verdict]


def document(report: Report) -> dict[str, Any]:
    """The report as JSON has it: seconds, counts and shares, with status codes by name."""
    seen = report.seen
    return {
        "format": FORMAT,
        "tailgate": __version__,
        "target": report.target,
        "model": report.model,
        "at": report.at,
        "took_s": round(report.took_s, 1),
        "server": asdict(seen.said),
        "inputs": [asdict(tensor) for tensor in report.tensors],
        "stopped_after": seen.stopped_after,
        "profile": report.verdicts["profile"].answer,
        "verdicts": [asdict(verdict) for verdict in report.verdicts.values()],
        "malformed": [
            {
                "name": refusal.name,
                "status": refusal.ended.status.name if refusal.ended else None,
                "details": refusal.ended.details if refusal.ended else "",
                "reading": reading(refusal),
            }
            for refusal in seen.refusals
        ],
        "observations": {
            "alone_s": _rounded(seen.service_s),
            "queued": _experiment(seen.queued),
            "running": _experiment(seen.running),
            "groups": {
                "patience_s": round(seen.groups.patience_s, 3),
                "left": [_group(group) for group in seen.groups.left],
                "stayed": [_group(group) for group in seen.groups.stayed],
            },
            "bursts": [_burst(burst) for burst in seen.bursts],
        },
    }


def _experiment(experiment: Experiment) -> dict[str, Any]:
    variants = {"alone": experiment.alone, "live": experiment.live, **experiment.ended_early}
    return {
        "doomed": experiment.doomed,
        "given_up_after_s": round(experiment.after_s, 6),
        "why_not": experiment.why_not,
        "unusable": {name: [_trial(trial) for trial in trials] for name, trials in experiment.unusable.items()},
        "trials": {name: [_trial(trial) for trial in trials] for name, trials in variants.items()},
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "witness_s": round(trial.witness.took_s, 6),
        "doomed": by_status(trial.doomed),
        "doomed_s": _rounded([call.took_s for call in trial.doomed]),
        "counted": trial.counted,
        "sent": trial.sent,
    }


def _group(group: Group) -> dict[str, Any]:
    said: dict[str, Any] = {"mates": by_status(group.mates), "harmed": harmed(group)}
    if group.leaver is not None:
        said |= {"left_by": group.left_by, "after_s": round(group.after_s, 6), "leaver": group.leaver.status.name}
    return said


def _burst(burst: Burst) -> dict[str, Any]:
    return {
        "calls": len(burst.calls),
        "statuses": by_status(burst.calls),
        "slowest_answer_s": round(max((call.took_s for call in burst.calls if call.ok), default=0.0), 6),
        "slowest_refusal_s": _slowest_refusal_s(burst.calls),
    }


def _slowest_refusal_s(calls: Sequence[Ended]) -> float | None:
    slowest_s = max((call.took_s for call in calls if not call.ok), default=None)
    return None if slowest_s is None else round(slowest_s, 6)


def _rounded(seconds: Sequence[float]) -> list[float]:
    return [round(value, 6) for value in seconds]
