"""What a run came to: records in, a JSON-ready dictionary out. Pure, so anybody can recompute it from a trace.

Every share says what it is a share of: accuracy of *answers*, time-critical accuracy of all *arrivals*.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tailgate.errors import Status
from tailgate.outcome import Outcome
from tailgate.quality import latency_percentiles, pass_quality
from tailgate.trace.format import Records
from tailgate.trace.views import response_times_s, scores
from tailgate.units import format_duration
from tailgate_loadgen.options import MinQuality

SCHEMA_VERSION = 1
MAX_PAST_DEADLINE_SHARE = 0.001
LATENCY_PERCENTILES = (50, 90, 95, 99, 99.9)
LAG_PERCENTILES = (50, 99, 99.9, 100)


@dataclass(frozen=True)
class Facts:
    """What a run's records do not say themselves.

    Attributes:
        deadline_s: Seconds each request had.
        rate: Requests a second that were asked for.
        samples: In each pass.
        scheduled: Requests in all passes.
        interrupted: Whether it was stopped before its end.
        max_lag_s: p99 of the lag above which it is invalid.
        min_quality: What it has to reach, if anything.
        not_needed: Requests of passes that were not begun, because those before them were enough.
        is_share: Whether the records are those of one shard, in which no pass is whole.
    """

    deadline_s: float
    rate: float
    samples: int
    scheduled: int
    interrupted: bool
    max_lag_s: float
    min_quality: MinQuality | None
    not_needed: int = 0
    is_share: bool = False


def summarize(records: Records, facts: Facts) -> dict[str, Any]:
    """The summary of a run.

    Args:
        records: All observations of its client, in any order.
        facts: What else there is to know.

    Returns:
        Numbers, strings, booleans and None, in dictionaries and lists. What cannot be said (a share of nothing, a
        percentile that falls on a request without an answer) is None. Quality over passes is that of complete
        passes only.
    """
    response_s, score = response_times_s(records), scores(records)
    answered = np.isfinite(response_s)
    right = int(score[answered].sum())
    in_time = records["outcome"] == Outcome.OK
    right_in_time = int(score[in_time].sum())
    sent = records["outcome"] != Outcome.NOT_SENT
    lag_s = records["lag_s"].astype(np.float64)
    sent_late = int((sent & (records["lag_s"] > np.float32(facts.deadline_s))).sum())  # as exact as it was recorded
    passes = [_pass(records[records["pass_index"] == index], facts) for index in np.unique(records["pass_index"])]
    reached = _reached(records, facts)
    lag = _percentiles(lag_s, LAG_PERCENTILES)
    whole = facts.is_share or all(one["complete"] for one in passes)
    reasons = _reasons(len(records), int((~sent).sum()) + sent_late, lag["p99"], facts, whole=whole)
    return {
        "schema_version": SCHEMA_VERSION,
        "valid": not reasons,
        "invalid_because": reasons,
        "interrupted": facts.interrupted,
        "min_quality": reached,
        "scheduled": facts.scheduled,
        "not_needed": facts.not_needed,
        "arrivals": len(records),
        "not_sent": int((~sent).sum()),
        "sent_after_deadline": sent_late,
        "answered": int(answered.sum()),
        "right": right,
        "right_in_time": right_in_time,
        "accuracy_of_answers": _share(right, int(answered.sum())),
        "time_critical_accuracy": _share(right_in_time, len(records)),
        "deadline_s": facts.deadline_s,
        "outcomes": _named(Counter(Outcome(code).label for code in records["outcome"].tolist())),
        "statuses": _named(Counter(Status(code).name for code in records["status"][sent].tolist())),
        "passes": passes,
        "over_passes": _over_passes(passes, facts.samples),
        "latency_s": _percentiles(response_s, LATENCY_PERCENTILES),
        "lag_s": lag,
        "max_lag_s": facts.max_lag_s,
        "rate": facts.rate,
        "scheduled_rate": _rate(records["arrival_unix_s"]),
        "achieved_rate": _rate((records["arrival_unix_s"] + records["lag_s"])[sent]),
    }


def _pass(records: Records, facts: Facts) -> dict[str, Any]:
    response_s, score = response_times_s(records), scores(records)
    answered = np.isfinite(response_s)
    in_time = int((records["outcome"] == Outcome.OK).sum())
    return {
        "pass": int(records["pass_index"][0]),
        "complete": len(np.unique(records["sample"])) == len(records) == facts.samples,
        "tca": float(pass_quality(response_s[None], score, [facts.deadline_s])[0, 0]),
        "accuracy": _share(int(score[answered].sum()), int(answered.sum())),
        "ok": in_time,
        "late_or_unanswered": len(records) - in_time,
    }


def _over_passes(passes: list[dict[str, Any]], samples: int) -> dict[str, float | int | None]:
    tca = np.array([one["tca"] for one in passes if one["complete"]])
    if not len(tca):
        return {"passes": 0, "worst": None, "best": None, "mean": None, "std": None}
    return {
        "passes": len(tca),
        "worst": float(tca.min()),
        "best": float(tca.max()),
        # From counts, so that passes of equal quality have exactly that mean.
        "mean": round(float((tca * samples).sum())) / (len(tca) * samples),
        "std": float(tca.std()),
    }


def _reached(records: Records, facts: Facts) -> dict[str, Any] | None:
    """Whether the mean over all passes of Q(θ) is what was asked for: passes are of one size, so it is Q of all."""
    if facts.min_quality is None:
        return None
    within = response_times_s(records) <= facts.min_quality.threshold_s
    quality = _share(int(scores(records)[within].sum()), len(records))
    return {
        "threshold_s": facts.min_quality.threshold_s,
        "wanted": facts.min_quality.quality,
        "reached": quality,
        "met": quality is not None and quality >= facts.min_quality.quality,
    }


def _reasons(rows: int, past_deadline: int, lag_p99_s: float | None, facts: Facts, *, whole: bool) -> list[str]:
    reasons, needed = [], facts.scheduled - facts.not_needed
    if facts.interrupted:
        reasons.append(f"it was interrupted after {rows} of {facts.scheduled} requests")
    elif rows != needed:
        reasons.append(f"{needed - rows} of {needed} requests are not in the trace")
    elif facts.not_needed and not whole:
        reasons.append("its last pass is not whole: a process heard too late that the passes before it were enough")
    if lag_p99_s is not None and lag_p99_s > facts.max_lag_s:
        reasons.append(
            f"the generator itself was late: p99 of its lag is {format_duration(lag_p99_s)}, allowed are "
            f"{format_duration(facts.max_lag_s)}; lower --rate, give it a processor of its own, or raise --max-lag"
        )
    if past_deadline > MAX_PAST_DEADLINE_SHARE * rows:
        reasons.append(
            f"{past_deadline} of {rows} requests were past their deadline before they were sent, allowed are "
            f"{MAX_PAST_DEADLINE_SHARE:.1%}; lower --rate, or lengthen --deadline"
        )
    return reasons


def _rate(at_s: npt.NDArray[np.float64]) -> float | None:
    """Requests a second from the first to the last."""
    span_s = float(at_s.max() - at_s.min()) if len(at_s) > 1 else 0.0
    return (len(at_s) - 1) / span_s if span_s > 0 else None


def _percentiles(values: np.ndarray, percentiles: tuple[float, ...]) -> dict[str, float | None]:
    names = ["max" if at == 100 else f"p{at:g}" for at in percentiles]
    if not len(values):
        return dict.fromkeys(names)
    found = latency_percentiles(values, percentiles).tolist()
    return {name: value if math.isfinite(value) else None for name, value in zip(names, found, strict=True)}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _named(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
