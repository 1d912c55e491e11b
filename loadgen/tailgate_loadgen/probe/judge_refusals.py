"""The verdict on malformed requests: a server's table of answers, row by row and in sum."""

from __future__ import annotations

from collections.abc import Sequence

from tailgate.errors import Status
from tailgate_loadgen.probe.seen import Refusal
from tailgate_loadgen.probe.verdict import Grade, Verdict

_QUESTION = "How are malformed requests answered?"
_CLIENTS_FAULT = frozenset(
    {
        Status.INVALID_ARGUMENT,
        Status.NOT_FOUND,
        Status.OUT_OF_RANGE,
        Status.FAILED_PRECONDITION,
        Status.RESOURCE_EXHAUSTED,
        Status.UNIMPLEMENTED,
        Status.PERMISSION_DENIED,
        Status.UNAUTHENTICATED,
    }
)


def reading(refusal: Refusal) -> str:
    """What an answer amounts to: `refused`, `accepted`, `server error`, `no answer`, `lost`, `crashed`, `not tried`."""
    ended = refusal.ended
    if ended is None:
        return "not tried"
    if not refusal.alive:
        return "crashed"
    if ended.ok:
        return "accepted"
    if ended.status in _CLIENTS_FAULT:
        return "refused"
    return {Status.DEADLINE_EXCEEDED: "no answer", Status.UNAVAILABLE: "lost"}.get(ended.status, "server error")


def judge_refusals(refusals: Sequence[Refusal]) -> Verdict:
    """From the table."""
    limits = (
        "A status says whose fault a server thinks it is, not that it noticed everything; and an accepted request may "
        "still be answered sensibly."
    )
    tried = [reading(refusal) for refusal in refusals if refusal.ended is not None]
    if not tried:
        return Verdict("malformed", _QUESTION, "unknown", "unknown", "They were not tried.", limits)
    counts = {name: tried.count(name) for name in dict.fromkeys(tried)}
    figures: dict[str, object] = {
        "tried": len(tried),
        **{name.replace(" ", "_"): count for name, count in counts.items()},
    }
    said = ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))
    sentence = f"{len(tried)} malformed requests: {said}."
    grade: Grade
    if "crashed" in counts:
        first = next(refusal.name for refusal in refusals if reading(refusal) == "crashed")
        answer, grade = "stopped answering", "bad"
        sentence += f" After the first of these ({first}) a plain call was not answered any more."
    elif counts.keys() <= {"refused"}:
        answer, grade = "all refused", "good"
    elif "accepted" in counts:
        answer, grade = "some accepted", "partly"
    else:
        answer, grade = "some as its own fault", "partly"
    return Verdict("malformed", _QUESTION, answer, grade, sentence, limits, figures)
