"""What a prediction says to whoever runs the system: tables and sentences on the terminal. No mathematics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from tailgate.prediction.dependent import Estimate
from tailgate.prediction.predict import Doubt, Prediction
from tailgate.prediction.validation import Half
from tailgate.tail import wilson
from tailgate.units import format_duration

DOUBTS: dict[Doubt, str] = {
    Doubt.NOTHING_LOST: "No response was late, so nothing is known of how bad the tail can be: the ranges are a guess "
    "at the worst case.",
    Doubt.NO_STALL: "Responses were late by themselves, never in a stall worth the name. Stalls rarer than these "
    "passes can show may exist: the ranges allow for some, the expected values for none.",
    Doubt.FEW_STALLS: "The tail rests on fewer than ten stalls; one more or less moves it, and a larger one than was "
    "seen may come. Make more passes.",
    Doubt.LONG_STALLS: "The longest stall takes over a twentieth of all that was recorded. Stalls as long and longer "
    "can have stayed unseen; make more passes.",
    Doubt.FEW_PASSES: "Fewer than five passes cannot show whether stalls come evenly over time; make more.",
    Doubt.PASSES_DIFFER: "Passes differ by more than the stalls in them explain: something changes from pass to pass. "
    "The ranges take passes to come for as different as those made.",
}


def show(prediction: Prediction, halves: Sequence[Half], threshold_s: float) -> None:
    """Print it."""
    console = Console()
    console.print(_foretold(prediction, threshold_s))
    for sentence in sentences(prediction, threshold_s):
        print(sentence)
    if halves:
        console.print(_validated(halves))
        print(_held(halves))


def sentences(prediction: Prediction, threshold_s: float) -> Iterator[str]:
    """What a busy operator needs, then what limits it."""
    yield (
        f"At {format_duration(threshold_s)}: expect one pass in a hundred at or under {_percent(prediction.p1.value)}; "
        f"the worst of {prediction.of_passes} passes near {_percent(prediction.worst.value)}, "
        f"between {_percent(prediction.worst.lower)} and {_percent(prediction.worst.upper)} with 90 %."
    )
    stalls = "1 stall" if prediction.stalls == 1 else f"{prediction.stalls} stalls"
    yield (
        f"This rests on {prediction.rests_on} passes of {prediction.samples} responses, of which {prediction.late} "
        f"were late or lost, in {stalls}; the longest took {prediction.longest_stall} responses."
        + (f" How low the tail goes rests on about {prediction.telling:.0f} of them." if prediction.stalls else "")
    )
    for doubt in prediction.doubts:
        yield DOUBTS[doubt]


def _foretold(prediction: Prediction, threshold_s: float) -> Table:
    table = Table(title=f"Time-critical accuracy of passes to come, at {format_duration(threshold_s)}")
    table.add_column("")
    for column in ("expected", "between (90 %)", "if lateness came singly"):
        table.add_column(column, justify="right")
    independent = prediction.independent
    rows: tuple[tuple[str, Estimate, float | None], ...] = (
        ("one pass in twenty is at or under (p5)", prediction.p5, independent.p5 if independent else None),
        ("one pass in a hundred is at or under (p1)", prediction.p1, independent.p1 if independent else None),
        (f"worst of {prediction.of_passes} passes", prediction.worst, independent.worst if independent else None),
    )
    for name, estimate, alone in rows:
        table.add_row(name, _percent(estimate.value), _range(estimate), "–" if alone is None else _percent(alone))
    table.add_section()
    table.add_row("mean of the passes made", _percent(prediction.observed_mean), "", "")
    table.add_row("worst of the passes made", _percent(prediction.observed_worst), "", "")
    return table


def _validated(halves: Sequence[Half]) -> Table:
    table = Table(title="Each half of the passes, foretold from the other")
    table.add_column("")
    for which in ("second half", "first half"):
        table.add_column(which, justify="right")
    rows: list[tuple[str, list[str]]] = [
        ("passes held out", [str(half.held_out) for half in halves]),
        ("their worst, observed", [_percent(half.observed_worst) for half in halves]),
        ("foretold", [_percent(half.worst.value) for half in halves]),
        ("between (90 %)", [_range(half.worst) for half in halves]),
        ("error, points", [_points(half.worst.value - half.observed_worst) for half in halves]),
        ("passes within their 90 % range", [_percent(half.within) for half in halves]),
    ]
    for name, cells in rows:
        table.add_row(name, *cells)
    alone = [half.independent for half in halves if half.independent is not None]
    if len(alone) == len(halves):
        table.add_section()
        table.add_row("if lateness came singly: foretold", *(_percent(half.worst) for half in alone))
        errors = [half.worst - whole.observed_worst for half, whole in zip(alone, halves, strict=True)]
        table.add_row("error, points", *(_points(error) for error in errors))
        table.add_row("passes within its 90 % range", *(_percent(half.within) for half in alone))
    return table


def _held(halves: Sequence[Half]) -> str:
    held_out = sum(half.held_out for half in halves)
    share = sum(half.within * half.held_out for half in halves) / held_out
    low, high = wilson(share, held_out)
    return (
        f"Of {held_out} passes that were held out, {_percent(share)} lie within their 90 % ranges: so many of so "
        f"few mean a share from {_percent(low)} to {_percent(high)}, if passes are independent of each other."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _points(difference: float) -> str:
    return f"{100 * difference:+.2f}"


def _range(estimate: Estimate) -> str:
    return f"{_percent(estimate.lower)} to {_percent(estimate.upper)}"
