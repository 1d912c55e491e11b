"""How many doomed calls a trial needs, so that it shows whether they are run: found by trying, fewest first."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from tailgate_loadgen.probe.seen import Trial
from tailgate_loadgen.probe.trials import ALONE, LIVE, Plan, Trials

QUEUED_SIZES = (8, 12, 16, 24, 32, 48, 64)
FEW = (6, 4, 3, 2)
"""Tried in this order where a queue is too short for more."""
RUNNING_SIZES = (1, 2, 4, 8, 16, 32)
QUEUED_EFFECT, RUNNING_EFFECT = 2.5, 0.3
"""Of a service time: by how much running all doomed calls has to hold up the witness. Batches make steps of one, and
one batch may have been made up before its members are given up, so waiting calls have to make several."""
TRIES = 5
LEAST_QUEUED_EFFECT = 0.5
"""The same where a queue's bound allows no more."""


def sizes_within(bound: int | None) -> tuple[int, ...]:
    """Numbers of doomed calls that a queue takes with as many before them and the witness behind.

    >>> sizes_within(None)[:2], sizes_within(11), sizes_within(5), sizes_within(3)
    ((8, 12), (4,), (2,), ())
    """
    if bound is None:
        return QUEUED_SIZES
    fitting = tuple(size for size in QUEUED_SIZES if 2 * size + 1 <= bound)
    return fitting or tuple(size for size in FEW if 2 * size + 1 <= bound)[:1]


def effect_s(alone: Sequence[Trial], live: Sequence[Trial]) -> float | None:
    """By how much the doomed calls hold up the witness, by medians; None where somebody was not answered."""
    if not all(call.ok for trial in (*alone, *live) for call in (trial.witness, *trial.doomed)):
        return None
    plain_s, held_up_s = (statistics.median(trial.witness.took_s for trial in trials) for trials in (alone, live))
    return held_up_s - plain_s


async def fit(trials: Trials, plans: Iterator[Plan], wanted_s: float, least_s: float) -> tuple[Plan | None, str]:
    """The first plan that shows enough, else the best one that shows something.

    Args:
        trials: Makes them.
        plans: To be tried, in this order.
        wanted_s: Effect that is enough.
        least_s: Effect that is something.

    Returns:
        The plan; or None, and why there is none.
    """
    best: tuple[float, Plan] | None = None
    why_not = "the server's queue takes too few calls for a trial"
    for plan in plans:
        effect = await _effect_s(trials, plan)
        if effect is None:
            why_not = f"the server does not answer {plan.blockers + plan.doomed + 1} plain calls at once"
            break
        if best is None or effect > best[0]:
            best = (effect, plan)
        if effect >= wanted_s:
            return plan, ""
        why_not = f"{plan.doomed} calls at once do not hold up one behind them clearly enough to tell from its time"
    if best is not None and best[0] >= least_s:
        return best[1], ""
    return None, why_not


async def _effect_s(trials: Trials, plan: Plan) -> float | None:
    alone, live = [], []
    for _ in range(TRIES):
        alone.append(await trials.trial(plan, ALONE))
        live.append(await trials.trial(plan, LIVE))
    return effect_s(alone, live)
