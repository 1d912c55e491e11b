"""The verdict on overload: does a queue have an end, and what is said to those who find it full?"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tailgate.errors import Status
from tailgate.units import format_duration
from tailgate_loadgen.probe.seen import Burst, Ended, by_status
from tailgate_loadgen.probe.verdict import Grade, Verdict

_QUESTION = "What happens to more calls at once than it can do?"
AT_ONCE = 0.5
"""A refusal is at once if it comes within this share of what the last answer takes."""


def refused(call: Ended) -> bool:
    """Whether the server said no; nothing is said by a server that lets the client's time run out."""
    return not call.ok and call.status is not Status.DEADLINE_EXCEEDED


def judge_overload(bursts: Sequence[Burst]) -> Verdict:
    """From bursts of growing size."""
    limits = (
        "Seen with one client that sends everything at once over one connection; a bound on time, on bytes or for each "
        "client, and one that lies higher, would not be seen."
    )
    if not bursts:
        return Verdict("overload", _QUESTION, "unknown", "unknown", "No burst was sent.", limits)
    calls, patience_s = bursts[-1].calls, bursts[-1].patience_s
    no, answered = [call for call in calls if refused(call)], [call for call in calls if call.ok]
    unanswered = len(calls) - len(no) - len(answered)
    slowest_s = max((call.took_s for call in answered), default=0.0)
    figures: dict[str, object] = {
        "largest_burst": len(calls),
        "answered": len(answered),
        "refused": by_status(no),
        "unanswered": unanswered,
        "slowest_answer_s": slowest_s,
        "patience_s": patience_s,
        "refusal_median_s": statistics.median(call.took_s for call in no) if no else None,
        "texts": sorted({call.details for call in no if call.details})[:3],
    }
    if no:
        codes = ", ".join(f"{count} with {name}" for name, count in by_status(no).items())
        told_s = statistics.median(call.took_s for call in no)
        grade: Grade = "good" if told_s <= AT_ONCE * max(slowest_s, 1e-9) else "partly"
        if unanswered:
            grade = "partly"
        sentence = (
            f"Of {len(calls)} calls at once {len(answered)} were answered, the last after "
            f"{format_duration(slowest_s)}, and {len(no)} refused ({codes}) after {format_duration(told_s)} "
            "in the median."
        )
        return Verdict("overload", _QUESTION, "refused", grade, sentence + _lost(unanswered), limits, figures)
    if unanswered:
        sentence = f"Of {len(calls)} calls at once {len(answered)} were answered within {format_duration(patience_s)}."
        return Verdict("overload", _QUESTION, "unanswered", "bad", sentence + _lost(unanswered), limits, figures)
    sentence = (
        f"No bound was seen up to {len(calls)} calls at once: all waited, and the last was answered after "
        f"{format_duration(slowest_s)}."
    )
    return Verdict("overload", _QUESTION, "no bound seen", "bad", sentence, limits, figures)


def bound(bursts: Sequence[Burst]) -> int | None:
    """How many calls at once a server takes, of what was seen: the most in a burst without refusals, or answered in one
    with; None where nothing was refused.
    """
    some_refused = [burst for burst in bursts if any(refused(call) for call in burst.calls)]
    if not some_refused:
        return None
    whole = [len(burst.calls) for burst in bursts if burst not in some_refused]
    return max([*whole, min(sum(call.ok for call in burst.calls) for burst in some_refused)])


def _lost(unanswered: int) -> str:
    return f" {unanswered} got no answer at all." if unanswered else ""
