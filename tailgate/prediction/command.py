"""The command `tailgate predict`: a folder of traces in, what passes to come will show out."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tailgate.cli import EXIT_MISSED, EXIT_OK, Command
from tailgate.errors import UsageError
from tailgate.units import format_duration, parse_duration

if TYPE_CHECKING:
    from tailgate.prediction.predict import Prediction
    from tailgate.prediction.validation import Half
    from tailgate.runs import Run
    from tailgate.trace.format import Records
    from tailgate.trace.views import Passes

FloatArray = npt.NDArray[np.float64]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder with the trace of a load run")
    parser.add_argument("--threshold", help="θ, such as 50ms, instead of the deadline that the run was made with")
    parser.add_argument("--passes", type=_passes, default=1000, help="foretell the worst of so many passes")
    parser.add_argument("--tolerance", type=_tolerance, help="exit with 1 unless p1 is known to within this share")
    parser.add_argument("--validate", action="store_true", help="foretell each half of the passes from the other")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(options: argparse.Namespace) -> int:
    """Read, foretell, print; 1 where a tolerance was asked for and is not kept."""
    from tailgate.prediction.history import history_of
    from tailgate.prediction.predict import predict
    from tailgate.prediction.validation import LEAST_PASSES, validate
    from tailgate.report.source import read_source
    from tailgate.runs import run_of

    source = read_source(options.folder.resolve().name, options.folder)
    of_run = run_of(source)
    threshold_s, passes = threshold_of(of_run, options.threshold), of_run.passes
    if not len(passes.indexes):
        raise UsageError(f"{options.folder} holds no complete labelled pass to foretell from; make at least one")
    history = history_of(passes.response_s, passes.score, threshold_s, arrivals_of(source.records, passes))
    if options.validate and history.passes < LEAST_PASSES:
        raise UsageError(
            f"--validate: {options.folder} holds {history.passes} complete passes; "
            f"to hold half of them out takes {LEAST_PASSES}"
        )
    prediction = predict(history, options.passes)
    halves = validate(history) if options.validate else ()
    if options.json:
        print(json.dumps(_as_json(prediction, halves, threshold_s, of_run.doubts), indent=1, allow_nan=False))
    else:
        from tailgate.prediction.words import show

        show(prediction, halves, threshold_s)
        for doubt in of_run.doubts:
            print(f"Not to be relied on: {doubt}.")
    if options.tolerance is None:
        return EXIT_OK
    from tailgate.stopping import known_within

    enough = known_within(prediction.p1, options.tolerance)
    if not options.json:
        print(
            f"p1 is known to within {100 * prediction.p1.width:.2f} points; "
            f"{100 * options.tolerance:g} were asked for: "
            + ("these passes are enough" if enough else "make more passes")
        )
    return EXIT_OK if enough else EXIT_MISSED


def threshold_of(run: Run, asked: str | None) -> float:
    """θ in seconds: what was asked for, or the run's own deadline.

    Raises:
        UsageError: There is neither, or the run cut its answers before.
    """
    threshold_s = run.deadline_s if asked is None else parse_duration(asked, "--threshold")
    if threshold_s is None:
        raise UsageError(f"{run.name}: its header has no deadline_s above 0; name a threshold with --threshold")
    if run.cut_at_s is not None and threshold_s > run.cut_at_s:
        raise UsageError(
            f"--threshold is {format_duration(threshold_s)}, but the run {run.name} cut its answers at "
            f"{format_duration(run.cut_at_s)}, so none later was observed; ask for that or less"
        )
    return threshold_s


def arrivals_of(records: Records, passes: Passes) -> FloatArray:
    """When each response of a run's passes arrived, float `[passes, samples]`, in the columns' order."""
    in_pass = np.isin(records["pass_index"], passes.indexes) & np.isin(records["sample"], passes.samples)
    kept = records[in_pass]
    order = np.lexsort((kept["sample"], kept["pass_index"]))
    arrivals: FloatArray = kept["arrival_unix_s"][order].reshape(passes.response_s.shape)
    return arrivals


def _as_json(
    prediction: Prediction, halves: tuple[Half, ...], threshold_s: float, doubts: tuple[str, ...]
) -> dict[str, Any]:
    return {
        "threshold_s": threshold_s,
        **asdict(prediction),
        "run_doubts": doubts,
        **({"validation": [asdict(half) for half in halves]} if halves else {}),
    }


def _passes(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 1000000")
    return number


def _tolerance(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share above 0, at most 1; 0.01 is a percentage point")
    return share


COMMAND = Command("Foretell the worst passes from the passes that were made.", configure, run)
