"""All verdicts on a server, in the order in which a report gives them. Pure."""

from __future__ import annotations

from tailgate_loadgen.probe.judge_mates import judge_mates
from tailgate_loadgen.probe.judge_overload import judge_overload
from tailgate_loadgen.probe.judge_parameter import judge_parameter
from tailgate_loadgen.probe.judge_refusals import judge_refusals
from tailgate_loadgen.probe.judge_survival import judge_survival
from tailgate_loadgen.probe.judge_work import (
    CANCEL,
    DEADLINE,
    TOLD,
    counts_unheard,
    judge_answer_at_deadline,
    judge_queued,
    judge_running,
)
from tailgate_loadgen.probe.profile import fitting
from tailgate_loadgen.probe.seen import Seen
from tailgate_loadgen.probe.verdict import Verdict


def judge(seen: Seen) -> dict[str, Verdict]:
    """Verdicts by key; the last is the profile."""
    unheard = counts_unheard(seen.running)
    verdicts = (
        judge_queued(seen.queued, DEADLINE, unheard=unheard),
        judge_queued(seen.queued, TOLD, unheard=unheard),
        judge_answer_at_deadline(seen.queued),
        judge_queued(seen.queued, CANCEL, unheard=unheard),
        judge_running(seen.running, CANCEL),
        judge_running(seen.running, TOLD),
        judge_parameter(seen.queued),
        judge_mates(seen.groups),
        judge_overload(seen.bursts),
        judge_refusals(seen.refusals),
        judge_survival(seen),
    )
    found = {verdict.key: verdict for verdict in verdicts}
    return found | {"profile": fitting(seen.said, found)}
