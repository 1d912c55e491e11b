"""Whether a run holds its requirements: yes, no, or it cannot be said. Pure: runs in, a verdict out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tailgate.cli import EXIT_MISSED, EXIT_OK, EXIT_UNUSABLE
from tailgate.gate.requirements import FEWEST_PASSES, Requirement, Statistic
from tailgate.quality import pass_quality
from tailgate.runs import Run
from tailgate.tail import low_quantile
from tailgate.units import format_duration

_ROUNDING = 1e-12  # differences of shares stray by less, those of counts by far more


@dataclass(frozen=True)
class Check:
    """One thing that was asked.

    Attributes:
        name: What, in words.
        holds: The answer; None where it cannot be said.
        why: What it rests on, or why it cannot be said.
        measured: The share seen, or by how much it fell; None where it cannot be said.
        bound: What it was held against.
    """

    name: str
    holds: bool | None
    why: str
    measured: float | None
    bound: float


@dataclass(frozen=True)
class Verdict:
    """The answers to all that was asked of one run."""

    run: str
    passes: int
    checks: tuple[Check, ...]

    @property
    def status(self) -> int:
        """1 if anything surely does not hold, else 2 if anything cannot be said, else 0."""
        answers = {check.holds for check in self.checks}
        if False in answers:
            return EXIT_MISSED
        return EXIT_UNUSABLE if None in answers else EXIT_OK

    @property
    def sentence(self) -> str:
        """The answer and why, on one line."""
        decisive = {EXIT_OK: True, EXIT_MISSED: False, EXIT_UNUSABLE: None}[self.status]
        reasons = "; ".join(dict.fromkeys(check.why for check in self.checks if check.holds is decisive))
        return " ".join(f"{self.run} {ANSWERS[self.status]}: {reasons}".split())


ANSWERS = {EXIT_OK: "holds", EXIT_MISSED: "does not hold", EXIT_UNUSABLE: "cannot be judged"}


def judge(
    run: Run,
    requirements: Sequence[Requirement],
    *,
    min_passes: int,
    baseline: Run | None = None,
    max_drop: float = 0.0,
) -> Verdict:
    """Hold a run against requirements, and against another run.

    Args:
        run: To be judged.
        requirements: At least one.
        min_passes: Finished passes that any statement needs; p5 and p1 need more by themselves.
        baseline: Each statistic may lie at most `max_drop` below its own; None asks for no such thing.
        max_drop: A share.
    """
    checks: list[Check] = []
    for requirement in requirements:
        if requirement.at_least is not None:
            checks.append(_reaches(run, requirement, requirement.at_least, min_passes))
        if baseline is not None:
            checks.append(_fell(run, baseline, requirement, max_drop, min_passes))
    return Verdict(run.name, len(run.passes.indexes), tuple(checks))


def statistic_of(run: Run, statistic: Statistic, threshold_s: float) -> float:
    """A statistic of Q(θ) over a run's passes, of which there is at least one."""
    quality = pass_quality(run.passes.response_s, run.passes.score, [threshold_s])[0]
    match statistic:
        case "mean":
            return float(quality.mean())
        case "worst":
            return float(quality.min())
        case "p5":
            return low_quantile(quality.tolist(), 0.05)
        case "p1":
            return low_quantile(quality.tolist(), 0.01)


def _reaches(run: Run, requirement: Requirement, at_least: float, min_passes: int) -> Check:
    name = f"{requirement.subject} is at least {at_least:g}"
    if (unsayable := _unsayable(run, requirement, min_passes)) is not None:
        return Check(name, None, unsayable, None, at_least)
    reached = statistic_of(run, requirement.statistic, requirement.threshold_s)
    holds = reached >= at_least - _ROUNDING
    why = f"{requirement.subject} is {reached:.6g} of {len(run.passes.indexes)} passes, "
    return Check(name, holds, why + f"{'at least' if holds else 'below'} {at_least:g}", reached, at_least)


def _fell(run: Run, baseline: Run, requirement: Requirement, max_drop: float, min_passes: int) -> Check:
    name = f"{requirement.subject} is at most {max_drop:g} below {baseline.name}"
    for one in (run, baseline):
        if (unsayable := _unsayable(one, requirement, min_passes)) is not None:
            return Check(name, None, unsayable if one is run else f"of {one.name}: {unsayable}", None, max_drop)
    if run.dataset != baseline.dataset or not np.array_equal(run.passes.samples, baseline.passes.samples):
        why = f"{run.name} and {baseline.name} were made with different samples, so their quality is not comparable"
        return Check(name, None, why, None, max_drop)
    now, before = (statistic_of(one, requirement.statistic, requirement.threshold_s) for one in (run, baseline))
    holds = before - now <= max_drop + _ROUNDING
    change = f"{abs(before - now):.6g} {'below' if now < before else 'above'}"
    why = f"{requirement.subject} is {change} the {before:.6g} of {len(baseline.passes.indexes)} passes of the baseline"
    return Check(name, holds, why + ("" if holds else f", more than {max_drop:g}"), before - now, max_drop)


def _unsayable(run: Run, requirement: Requirement, min_passes: int) -> str | None:
    """Why nothing can be said of a run, if so."""
    if run.doubts:
        return "; ".join(run.doubts)
    if run.cut_at_s is not None and requirement.threshold_s > run.cut_at_s:
        return (
            f"{run.name} cut its answers at {format_duration(run.cut_at_s)}, so nothing is known of "
            f"{format_duration(requirement.threshold_s)}"
        )
    needed, finished = max(min_passes, FEWEST_PASSES[requirement.statistic]), len(run.passes.indexes)
    if finished < needed:
        return f"{run.name} has {finished} finished passes, and the {requirement.subject} needs {needed}"
    return None
