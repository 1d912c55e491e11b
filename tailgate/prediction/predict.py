"""What is foretold of passes at one threshold: both models side by side, and how far they can be believed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tailgate.prediction.dependent import Dependent, Estimate
from tailgate.prediction.history import History
from tailgate.prediction.independent import right_in_time

_FEW_STALLS = 10
_RATHER_LIKELY = 0.5
_SHORT_HISTORY = 20
"""Below so many times the longest stall a history shows too few like it."""


class Doubt(StrEnum):
    """Why an interval may still be too narrow, or must be as wide as it is."""

    NOTHING_LOST = "nothing_lost"
    """No response was late: the history says nothing of how bad the tail can be."""
    NO_STALL = "no_stall"
    """Responses were late by themselves, or in short batches: what a stall would cost is not known."""
    FEW_STALLS = "few_stalls"
    """The tail rests on so few stalls that one more or less makes a difference."""
    LONG_STALLS = "long_stalls"
    """Stalls are so long that the history has room for few of them."""
    FEW_PASSES = "few_passes"
    """Under five passes; whether stalls come evenly over time cannot be told."""
    PASSES_DIFFER = "passes_differ"
    """Passes differ by more than their stalls explain: something changes from pass to pass."""


@dataclass(frozen=True)
class Independent:
    """The paper's model: no interval, for it knows no doubt."""

    p1: float
    p5: float
    worst: float


@dataclass(frozen=True)
class Prediction:
    """Passes to come at one threshold.

    Attributes:
        of_passes: How many passes the worst is of.
        rests_on: Passes of the history.
        samples: Responses in each.
        observed_mean: Of the history's passes.
        observed_worst: Of the history's passes.
        p1: The quality that one pass in a hundred does not exceed.
        p5: That one in twenty does not.
        worst: Of `of_passes` passes.
        single: Any one pass: its median, and where it lies with 90 %.
        stalls: Clusters of late responses in the history.
        late: Responses of the history that were late or unanswered, or counted less than they can.
        longest_stall: In responses.
        largest_stalls: How many stalls are of the kind that the largest is of: what is known of how large one gets.
        telling: On about how many stalls the tail rests.
        passes_differ: How likely it is that the rate of stalls changes from pass to pass.
        independent: The paper's model, for comparison; None where scores are no 0 and 1.
        doubts: What limits all this.
    """

    of_passes: int
    rests_on: int
    samples: int
    observed_mean: float
    observed_worst: float
    p1: Estimate
    p5: Estimate
    worst: Estimate
    single: Estimate
    stalls: int
    late: int
    longest_stall: int
    largest_stalls: int
    telling: float
    passes_differ: float
    independent: Independent | None
    doubts: tuple[Doubt, ...]


def predict(history: History, of_passes: int, *, batch: int = 1, seed: int = 0) -> Prediction:
    """Foretell passes like those of a history.

    Args:
        history: At least one pass.
        of_passes: How many passes to foretell the worst of.
        batch: For the independent model: how many neighbouring samples form a batch, the same in each pass.
        seed: Of the draws that intervals are made of.
    """
    model = Dependent(history, seed)
    return Prediction(
        of_passes=of_passes,
        rests_on=history.passes,
        samples=history.samples,
        observed_mean=float(history.quality.mean()),
        observed_worst=float(history.quality.min()),
        p1=model.quantile(0.01),
        p5=model.quantile(0.05),
        worst=model.worst_of(of_passes),
        single=model.worst_of(1),
        stalls=len(model.clusters),
        late=int(history.event.sum()),
        longest_stall=model.clusters.longest,
        largest_stalls=len(model.kind),
        telling=model.clusters.telling,
        passes_differ=model.passes_differ,
        independent=_independent(history, of_passes, batch),
        doubts=tuple(doubts_of(history, model)),
    )


def _independent(history: History, of_passes: int, batch: int) -> Independent | None:
    if not ((history.counted == 0) | (history.counted == 1)).all():
        return None
    counts, samples = right_in_time(history.counted, batch), history.samples
    return Independent(
        counts.quantile(0.01) / samples, counts.quantile(0.05) / samples, counts.worst_of(of_passes) / samples
    )


def doubts_of(history: History, model: Dependent) -> list[Doubt]:
    """What limits the model of a history."""
    found: list[Doubt] = []
    clusters = model.clusters
    if not len(clusters):
        found.append(Doubt.NOTHING_LOST)
    elif clusters.brief:
        found.append(Doubt.NO_STALL)
    if 0 < clusters.telling < _FEW_STALLS:
        found.append(Doubt.FEW_STALLS)
    if clusters.longest * _SHORT_HISTORY > history.passes * history.samples:
        found.append(Doubt.LONG_STALLS)
    if history.passes < 5:
        found.append(Doubt.FEW_PASSES)
    if model.passes_differ > _RATHER_LIKELY:
        found.append(Doubt.PASSES_DIFFER)
    return found
