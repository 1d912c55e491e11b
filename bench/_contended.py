"""Real runs under contention, made with Tailgate's own commands, and what passes held out of them show.

Server, proxy and load generator as the demo starts them, on the demo's digits; the load makes its own contention with
`--condition`. Of each run every stretch of so many passes foretells all others.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench._processes import started
from tailgate.prediction.command import arrivals_of
from tailgate.prediction.dependent import Dependent
from tailgate.prediction.history import History, history_of
from tailgate.prediction.independent import right_in_time
from tailgate.report.source import read_source
from tailgate.runs import run_of
from tailgate.tail import wilson

RATE, SAMPLES, DEADLINE = 150, 300, "250ms"
CONDITIONS = ("busy=cpu:1", "crowded=cpu:3", "copying=memory:0.25")
_LATE = {"1 % late": 0.99, "5 % late": 0.95}
HISTORIES = (5, 10)


@dataclass(frozen=True)
class Held:
    """One run at one threshold, foretold from all its stretches of so many passes; in percent and points.

    Attributes:
        condition: Under which it was made.
        late: Share of responses that the threshold makes late.
        passes: Length of a history.
        histories: How many there are, none sharing a pass with another.
        spread: Of the run's passes: the best less the worst.
        within: Held-out passes that lie within the 90 % range of one pass.
        worst_within: Histories whose 90 % range held the worst of all held-out passes.
        p5_within: … whose interval held the p5 of the held-out passes.
        p5_error: Mean of the absolute errors at that p5.
        width: Mean width of the range of one pass.
        independent_within: Held-out passes that lie within the independent model's range.
    """

    condition: str
    late: str
    passes: int
    histories: int
    spread: float
    within: float
    worst_within: float
    p5_within: float
    p5_error: float
    width: float
    independent_within: float


def pooled(rows: list[Held]) -> tuple[float, float, float]:
    """Share of held-out passes within their ranges, with the 95 % interval that as many histories leave.

    Passes that one history foretells stand or fall together, so histories are counted, not passes.
    """
    histories = sum(row.histories for row in rows)
    share = sum(row.within * row.histories for row in rows) / histories
    low, high = wilson(share / 100, histories)
    return share, 100 * low, 100 * high


def make_runs(folder: Path, passes: int) -> Iterator[tuple[str, Path]]:
    """Each condition's name, and the folder with its trace, once it is made."""
    weights = folder / "digits.safetensors"
    subprocess.run(
        [sys.executable, "-m", "tailgate", "train-digits", "--out", str(weights)], check=True, stdout=subprocess.DEVNULL
    )
    with ExitStack() as stage:
        (server,), _ = stage.enter_context(
            started(
                folder, "server", "--model", "digits", "--weights", str(weights), "--device", "cpu", "--threads", "1",
                "--listen", "127.0.0.1:0", ready=r"server listening on (\S+)",
            )
        )  # fmt: skip
        (proxy,), _ = stage.enter_context(
            started(
                folder, "proxy", "--upstream", server, "--listen", "127.0.0.1:0", "--mode", "observe",
                "--deadline", DEADLINE, ready=r"proxy listening on (\S+),",
            )
        )  # fmt: skip
        for number, condition in enumerate(CONDITIONS):
            out = folder / condition.partition("=")[0]
            command = (
                sys.executable, "-m", "tailgate", "load", "--target", proxy, "--model", "digits",
                "--dataset", "digits", "--samples", str(SAMPLES), "--passes", str(passes), "--rate", str(RATE),
                "--deadline", DEADLINE, "--on-deadline", "wait", "--seed", str(number),
                "--condition", condition, "--trace", str(out), "--quiet",
            )  # fmt: skip
            # Status 2: the contention made the load generator itself late, which the traces hold as well.
            status = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
            if status not in {0, 2}:
                raise SystemExit(f"tailgate load under {condition} ended with status {status}")
            yield out.name, out


def held_out(condition: str, trace: Path) -> list[Held]:
    """Foretell a run's passes from its stretches."""
    source = read_source(condition, trace)
    passes = run_of(source).passes
    arrivals = arrivals_of(source.records, passes)
    rows: list[Held] = []
    for late, quantile in _LATE.items():
        threshold_s = float(np.percentile(passes.response_s, 100 * quantile, method="inverted_cdf"))
        history = history_of(passes.response_s, passes.score, threshold_s, arrivals)
        rows += [_row(condition, late, history, length) for length in HISTORIES]
    return rows


def _row(condition: str, late: str, history: History, length: int) -> Held:
    found: list[tuple[float, ...]] = []
    for start in range(0, history.passes - length + 1, length):
        known = history.part(slice(start, start + length))
        held = np.delete(history.quality, np.arange(start, start + length))
        model = Dependent(known)
        single, worst, p5 = model.worst_of(1), model.worst_of(len(held)), model.quantile(0.05)
        counts, samples = right_in_time(known.counted), known.samples
        alone = (counts.quantile(0.05) / samples, counts.quantile(0.95) / samples)
        true_p5 = float(np.percentile(held, 5, method="inverted_cdf"))
        found.append((
            ((held >= single.lower) & (held <= single.upper)).mean(),
            worst.holds(float(held.min())),
            p5.holds(true_p5),
            abs(p5.value - true_p5),
            single.width,
            ((held >= alone[0]) & (held <= alone[1])).mean(),
        ))  # fmt: skip
    spread = float(np.ptp(history.quality))
    means = (100 * np.array(found, np.float64).mean(axis=0)).tolist()
    return Held(condition, late, length, len(found), 100 * spread, *means)
