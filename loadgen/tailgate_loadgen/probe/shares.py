"""How much of the work that nobody waited for was done all the same: a share, with an interval.

A witness behind doomed calls takes ``alone`` where there are none, ``live`` where all of them are run, and something
between where some are. So ``(took − alone) / (live − alone)`` is the share of their work that was done, whatever the
server is: one instance or several, with batches or without. Its median over trials has a distribution-free interval:
that between the k-th smallest and the k-th largest of n values holds the median with probability ``1 − 2 P(K < k)``,
K ~ Binomial(n, ½) (David and Nagaraja, Order Statistics, §7.1).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tailgate_loadgen.probe.seen import Experiment, Trial

CONFIDENCE = 0.95
LEAST_TRIALS = 6
"""The fewest whose range holds the median with 95 % confidence: 1 − 2 · 2⁻⁶ = 97 %."""
LEAST_EFFECT = 0.2
"""Of a service time: by how much doomed calls that are run must hold up a witness, for anything to be told."""
AT_ONCE = 1.6
"""Calls are run at once if the last of them takes at most this many times what one alone takes."""
MOST_ANSWERED = 0.2
"""Share of the doomed calls that may be answered before they are given up."""


@dataclass(frozen=True, slots=True)
class Executed:
    """The share of doomed work that was done.

    Attributes:
        share: Its median over trials; None if it cannot be told.
        low, high: Its interval.
        trials: How many it is from.
        counted: The same by the server's own count; None where it keeps none, or none that can be trusted.
        why_not: Why it cannot be told; empty if it can.
    """

    share: float | None
    low: float
    high: float
    trials: int
    counted: float | None
    why_not: str = ""


def executed(experiment: Experiment, treatment: str) -> Executed:
    """The share of doomed work that was done where calls were given up in this way."""
    given_up = experiment.ended_early.get(treatment, ())
    counted = _counted(experiment, given_up)
    why_not = _why_not(experiment, treatment, given_up)
    if why_not:
        return Executed(None, 0.0, 1.0, len(given_up), counted, why_not)
    alone = statistics.median(_took(experiment.alone))
    live = statistics.median(_took(experiment.live))
    shares = [(took - alone) / (live - alone) for took in _took(given_up)]
    low, high = median_interval(shares)
    return Executed(statistics.median(shares), low, high, len(shares), counted)


def run_at_once(experiment: Experiment) -> bool:
    """Whether the doomed calls of a trial are all run at once where somebody waits for them: if some wait for others,
    giving them up says nothing of work that runs.
    """
    last_s = [max(call.took_s for call in trial.doomed) for trial in experiment.live if trial.doomed]
    return bool(last_s) and statistics.median(last_s) <= AT_ONCE * experiment.service_s


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Two of these values between which the median of their distribution lies with at least this confidence.

    The whole line if there are too few.

    >>> median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), median_interval([1.0, 2.0])
    ((1.0, 6.0), (-inf, inf))
    """
    ordered, n = sorted(values), len(values)
    outside, k = 0.0, 0
    while (outside := outside + 2 * math.comb(n, k) / 2**n) <= 1 - confidence:
        k += 1
    if k == 0:
        return -math.inf, math.inf
    return ordered[k - 1], ordered[n - k]


def _why_not(experiment: Experiment, treatment: str, given_up: Sequence[Trial]) -> str:
    """What stands in the way of telling anything; empty if nothing does."""
    return experiment.why_not or _too_few(experiment, treatment, given_up) or _unclear(experiment, given_up)


def _too_few(experiment: Experiment, treatment: str, given_up: Sequence[Trial]) -> str:
    lost = len(experiment.unusable.get(treatment, ()))
    if len(given_up) < LEAST_TRIALS:
        if lost:
            return (
                f"in {lost} of {lost + len(given_up)} trials the call behind those that were given up was never "
                "answered, so there is no time to compare"
            )
        return f"there are {len(given_up)} trials; {LEAST_TRIALS} are needed"
    if min(len(experiment.alone), len(experiment.live)) < LEAST_TRIALS:
        return f"plain calls were answered in {len(experiment.live)} trials only; {LEAST_TRIALS} are needed"
    return ""


def _unclear(experiment: Experiment, given_up: Sequence[Trial]) -> str:
    alone, live = _took(experiment.alone), _took(experiment.live)
    if statistics.median(live) - statistics.median(alone) < LEAST_EFFECT * experiment.service_s:
        return f"{experiment.doomed} calls that are run hold up the call behind them too little to be seen"
    if _quartile(alone, 3) >= _quartile(live, 1):
        return "the times of plain calls vary more than calls before them hold them up"
    doomed = [call for trial in given_up for call in trial.doomed]
    in_time = sum(call.ok and call.took_s <= experiment.after_s for call in doomed)
    if in_time > MOST_ANSWERED * len(doomed):
        return f"{in_time} of {len(doomed)} calls were answered before they could be given up"
    return ""


def _counted(experiment: Experiment, given_up: Sequence[Trial]) -> float | None:
    """By the server's count; one that misses calls that were answered, or moves for others' calls, is no evidence."""
    if not given_up or not experiment.live:
        return None
    if any(trial.counted != trial.sent for trial in (*experiment.alone, *experiment.live)):
        return None
    shares = [
        (trial.counted - (trial.sent - len(trial.doomed))) / len(trial.doomed)
        for trial in given_up
        if trial.counted is not None and trial.doomed
    ]
    return statistics.median(shares) if shares else None


def _took(trials: Sequence[Trial]) -> list[float]:
    return [trial.witness.took_s for trial in trials]


def _quartile(values: Sequence[float], number: int) -> float:
    return statistics.quantiles(values, n=4, method="inclusive")[number - 1]
