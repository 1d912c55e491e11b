"""Verdicts on work that nobody waits for any more: is it dropped while it waits, is it stopped while it runs?"""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Literal

from tailgate.units import format_duration
from tailgate_loadgen.probe.seen import Experiment, by_status
from tailgate_loadgen.probe.shares import Executed, executed, run_at_once
from tailgate_loadgen.probe.verdict import Grade, Verdict

DEADLINE, TOLD, CANCEL, PARAMETER = "deadline", "told", "cancel", "parameter"
"""How calls are given up: by gRPC's deadline as clients keep it, which cancel at its end; by a deadline that is told
and then waited out; by a cancel without a deadline; by the parameter ``timeout`` alone."""

HALF = 0.5
CLEARLY_SOME = 0.2
"""About half of the work was done if the interval holds one half and is so far from none and from all of it."""
PROMPT_SHARE, PROMPT_S = 0.1, 0.025
"""An answer is at the deadline if it is later by at most this share of the time the work would have taken from then on,
and this much more for the machine's own delays."""
MOST = 0.9
MORE_THAN_ALL = 1.5
"""A share that no work explains."""

Kind = Literal["dropped", "executed", "partly", "unknown"]
_GRADES: dict[Kind, Grade] = {"dropped": "good", "executed": "bad", "partly": "partly", "unknown": "unknown"}
_TIMES = (
    "Told from how long a call takes that was sent behind those given up; whoever else uses the server meanwhile "
    "blurs it, and a server that reorders its queue by something other than deadlines could mislead it."
)


def kind_of(found: Executed, *, counts_unheard: bool = False) -> Kind:
    """What a share comes to: most of the work was dropped, most of it was done, or about half of it.

    Args:
        found: By times, and by the server's count.
        counts_unheard: Whether that count is known to count work whose answer nobody heard. Where times do not tell, a
            count that moved proves that work was done; one that did not move proves the contrary only if this is so.
    """
    by_count: Kind = "unknown"
    if found.counted is not None and found.counted > HALF:
        by_count = "executed"
    elif found.counted is not None and counts_unheard:
        by_count = "dropped"
    if found.share is None:
        return by_count
    if found.high < HALF:
        return "dropped"
    if found.low > HALF:
        return "executed"
    return "partly" if found.low >= CLEARLY_SOME and found.high <= 1 - CLEARLY_SOME else by_count


def counts_unheard(running: Experiment) -> bool:
    """Whether a server counts work whose answer nobody heard: calls that were given up while the model ran."""
    counted = [executed(running, treatment).counted for treatment in (CANCEL, TOLD)]
    return all(share is not None and share > MOST for share in counted)


def judge_queued(experiment: Experiment, treatment: str, *, unheard: bool) -> Verdict:
    """Whether calls that were given up while they waited are run; `unheard` is `counts_unheard` of this server."""
    questions = {
        DEADLINE: "Is work whose deadline passes in the queue dropped, as gRPC's clients see to it?",
        TOLD: "Does the server drop it by itself, from the deadline alone?",
        CANCEL: "Is work that its client cancels in the queue dropped?",
    }
    found = executed(experiment, treatment)
    kind = kind_of(found, counts_unheard=unheard)
    return Verdict(
        key=f"queued_{treatment}",
        question=questions[treatment],
        answer=kind,
        grade=_GRADES[kind],
        sentence=_sentence(found, kind, f"the work of {experiment.doomed} calls a trial", "waited"),
        limits=_TIMES,
        figures=_figures(found),
    )


def judge_running(experiment: Experiment, treatment: str) -> Verdict:
    """Whether work that was given up while the model ran it is stopped."""
    questions = {
        CANCEL: "Does a client's cancel stop the model?",
        TOLD: "Does a deadline reach the model?",
    }
    # A count moves for what was begun, so it says nothing of what was stopped.
    found = replace(executed(experiment, treatment), counted=None)
    if found.share is not None and not run_at_once(experiment):
        why_not = f"it took {experiment.doomed} calls at once to be clear, and these are not run at once"
        found = replace(found, share=None, why_not=why_not)
    kind = kind_of(found)
    answer = {"dropped": "stopped", "executed": "not seen", "partly": "partly", "unknown": "unknown"}[kind]
    grade: Grade = "partly" if kind == "executed" else _GRADES[kind]  # hardly any server can stop a running model
    limits = _TIMES
    if treatment == TOLD:
        limits = (
            "From outside it can only be seen whether a deadline makes the model stop. A model may well be told one "
            f"and take no notice; only the model's own code can say. {_TIMES}"
        )
    return Verdict(
        key=f"running_{treatment}",
        question=questions[treatment],
        answer=answer,
        grade=grade,
        sentence=_sentence(found, kind, "the rest of a call's work", "ran"),
        limits=limits,
        figures=_figures(found),
    )


def judge_answer_at_deadline(experiment: Experiment) -> Verdict:
    """What a client sees that tells its deadline and waits for the server's own word."""
    trials = (*experiment.ended_early.get(TOLD, ()), *experiment.unusable.get(TOLD, ()))
    calls = [call for trial in trials for call in trial.doomed]
    question = "Does the server itself answer at the deadline?"
    limits = (
        "gRPC's clients end a call at its deadline by themselves, so they do not see this; a proxy or a client without "
        "that does. A deadline before a call's work was begun says nothing of one that passes while it runs."
    )
    if not calls:
        return Verdict(
            "answer_at_deadline", question, "unknown", "unknown",
            experiment.why_not or "no call could be made that tells a deadline and waits longer.", limits,
        )  # fmt: skip
    late_s = sorted(call.took_s - experiment.after_s for call in calls)
    live_s = statistics.median(trial.witness.took_s for trial in experiment.live) if experiment.live else 0.0
    bound_s = PROMPT_S + PROMPT_SHARE * max(live_s - experiment.after_s, 0.0)
    refused = [call for call in calls if not call.ok]
    prompt = sum(call.took_s - experiment.after_s <= bound_s for call in refused)
    answer, grade = _reading(len(calls), prompt, len(refused))
    statuses = ", ".join(f"{count} {name}" for name, count in by_status(calls).items())
    return Verdict(
        key="answer_at_deadline",
        question=question,
        answer=answer,
        grade=grade,
        sentence=(
            f"{len(calls)} calls told a deadline {format_duration(experiment.after_s)} away while the server was busy: "
            f"{statuses}; the end came {_late(statistics.median(late_s))} in the median, {_late(late_s[-1])} at worst."
        ),
        limits=limits,
        figures={
            "calls": len(calls),
            "statuses": by_status(calls),
            "late_median_s": statistics.median(late_s),
            "late_worst_s": late_s[-1],
        },
    )


def _reading(calls: int, prompt: int, refused: int) -> tuple[str, Grade]:
    if prompt >= MOST * calls:
        return "at the deadline", "good"
    if refused >= MOST * calls:
        return "refused late", "partly"
    if refused <= (1 - MOST) * calls:
        return "answered late", "bad"
    return "now one, now the other", "partly"


def _sentence(found: Executed, kind: Kind, what: str, verb: str) -> str:
    counted = "" if found.counted is None else f" By the server's own count {_percent(found.counted)} of it was done."
    if found.share is None:
        return f"Times do not tell: {found.why_not}.{counted}"
    readings = {
        "dropped": "most of it was not done",
        "executed": "most of it was done for nobody",
        "partly": "about half of it was done",
        "unknown": "that is too wide to say more",
    }
    reading = readings["unknown" if found.low <= HALF <= found.high and kind != "partly" else kind]
    if found.low > MORE_THAN_ALL:
        reading = "those behind it waited longer than if nobody had given up"
    return (
        f"Of {what}, given up while it {verb}, {_percent(found.share)} was still done "
        f"({_percent(found.low)} to {_percent(found.high)}, {found.trials} trials): {reading}.{counted}"
    )


def _figures(found: Executed) -> dict[str, object]:
    return {
        "share_done": found.share,
        "low": found.low if found.share is not None else None,
        "high": found.high if found.share is not None else None,
        "trials": found.trials,
        "counted_share": found.counted,
    }


def _percent(share: float) -> str:
    return f"{100 * max(share, 0.0):.0f} %"


def _late(seconds: float) -> str:
    return f"{format_duration(seconds)} after it" if seconds >= 0 else f"{format_duration(-seconds)} before it"
