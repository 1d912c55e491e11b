"""Is the prediction to be believed here? Half of the passes foretell the other half, each in turn."""

from __future__ import annotations

from dataclasses import dataclass

from tailgate.prediction.dependent import Dependent, Estimate
from tailgate.prediction.history import History
from tailgate.prediction.independent import right_in_time

LEAST_PASSES = 4
"""Two to foretell from, two to hold out."""


@dataclass(frozen=True)
class IndependentHalf:
    """The worst by the independent model, and the share of held-out passes within its own 90 % range."""

    worst: float
    within: float


@dataclass(frozen=True)
class Half:
    """What one half of the passes foretold of the other.

    Attributes:
        rests_on: Passes that foretold.
        held_out: Passes that were foretold.
        single: Foretold of any one pass: its median, and where it lies with 90 %.
        observed_mean: Of the held-out passes.
        worst: Foretold worst of as many passes as were held out.
        observed_worst: Of the held-out passes.
        within: Share of the held-out passes that lie within `single`.
        independent: What the paper's model foretold; None where scores are no 0 and 1.
    """

    rests_on: int
    held_out: int
    single: Estimate
    observed_mean: float
    worst: Estimate
    observed_worst: float
    within: float
    independent: IndependentHalf | None


def validate(history: History) -> tuple[Half, Half]:
    """Foretell each half of the passes from the other.

    Args:
        history: At least `LEAST_PASSES` passes.

    Raises:
        ValueError: There are fewer.
    """
    if history.passes < LEAST_PASSES:
        raise ValueError(f"{history.passes} passes cannot be parted into two halves of two; make {LEAST_PASSES}")
    middle = history.passes // 2
    first, second = history.part(slice(0, middle)), history.part(slice(middle, None))
    return _half(first, second), _half(second, first)


def _half(known: History, held_out: History) -> Half:
    model = Dependent(known)
    single = model.worst_of(1)
    quality = held_out.quality
    return Half(
        rests_on=known.passes,
        held_out=held_out.passes,
        single=single,
        observed_mean=float(quality.mean()),
        worst=model.worst_of(held_out.passes),
        observed_worst=float(quality.min()),
        within=sum(single.holds(value) for value in quality.tolist()) / len(quality),
        independent=_independent(known, held_out),
    )


def _independent(known: History, held_out: History) -> IndependentHalf | None:
    if not ((known.counted == 0) | (known.counted == 1)).all():
        return None
    counts, samples = right_in_time(known.counted), known.samples
    lower, upper = counts.quantile(0.05) / samples, counts.quantile(0.95) / samples
    inside = (held_out.quality >= lower) & (held_out.quality <= upper)
    return IndependentHalf(counts.worst_of(held_out.passes) / samples, float(inside.mean()))
