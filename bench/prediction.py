"""Are predictions of pass quality right? `python bench/prediction.py [--quick]`.

Simulated runs of 50,000 samples in batches of 8, with stalls of 1, 20 and 200 batches and several shares of the time;
θ is p99 of the batches' time. From 5, 10 and 30 passes `tailgate.prediction` foretells p1, p5 and the worst of 1000,
which 3,000 passes of the same simulation show. Beside it stand the paper's independent model and the stationary block
bootstrap with its automatic block length. Then real runs of the demo's server under contention, made with Tailgate's
own commands: stretches of each foretell all its other passes. Errors are in percentage points.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from bench._common import RESULTS, Claim, finish, machine, markdown_table
from bench._contended import Held, held_out, make_runs, pooled
from bench._stalls import BATCH, SAMPLES, Stalls, Truth, truth_of
from bench._stationary_bootstrap import block_length, resampled_sums
from tailgate.prediction.dependent import Dependent
from tailgate.prediction.history import history_of
from tailgate.prediction.independent import right_in_time
from tailgate.prediction.predict import doubts_of

SEED = 2212_13925
HISTORIES = (5, 10, 30)
WORST_OF = 1000
CASES: dict[str, Stalls] = {
    f"{batches} long, {share:.1%} of time": Stalls(share, batches)
    for batches, share in product((1, 20, 200), (0.002, 0.01, 0.05))
} | {
    "20 on average, 1.0% of time": Stalls(0.01, 20, random_length=True),
    "200 on average, 1.0% of time": Stalls(0.01, 200, random_length=True),
    "half of 20 long, 1.0% of time": Stalls(0.02, 20, slowed=0.5),
    "a pass long, 5 % of it slow": Stalls(0.1, 6250, slowed=0.05),
}


@dataclass(frozen=True)
class Row:
    """One case at one length of history, in percent and points; means over the histories.

    Attributes:
        case: Of `CASES`.
        passes: Of a history.
        true_p1: What very many passes show.
        sure_holds: Intervals of p1 and p5 that hold them where the prediction has no doubt; None where it always has.
        p1: Foretold.
        p1_error: Absolute.
        p5_error: Absolute.
        p1_holds: Intervals that hold it.
        p5_holds: Likewise.
        worst_holds: Intervals that hold the worst of 1000 further passes.
        p1_width: Of the interval.
        doubted: Predictions that say themselves that they rest on too little.
        independent_p1_error: Of the independent model.
        bootstrap_p1_error: Of the stationary block bootstrap.
    """

    case: str
    passes: int
    true_p1: float
    sure_holds: float | None
    p1: float
    p1_error: float
    p5_error: float
    p1_holds: float
    p5_holds: float
    worst_holds: float
    p1_width: float
    doubted: float
    independent_p1_error: float
    bootstrap_p1_error: float


def measure(case: str, repeats: int, truth_passes: int) -> list[Row]:
    """Foretell the same from so many histories of each length."""
    stalls = CASES[case]
    repeats *= 2 if case.startswith("20 long") else 1  # whose coverage is claimed
    truth = truth_of(stalls, np.random.default_rng([SEED, *case.encode()]), truth_passes)
    rows: list[Row] = []
    for passes in HISTORIES:
        generator = np.random.default_rng([SEED, passes, *case.encode()])
        found = np.array(
            [_once(stalls, truth, passes, generator, peers=number < repeats // 3) for number in range(repeats)]
        )
        sure = found[found[:, _DOUBTED] == 0]
        sure_holds = float(sure[:, [_P1_HOLDS, _P5_HOLDS]].mean()) if len(sure) else None
        rows.append(Row(case, passes, 100 * truth.quantile(0.01), sure_holds, *np.nanmean(found, axis=0).tolist()))
    return rows


_P1_HOLDS, _P5_HOLDS, _DOUBTED = 3, 4, 7  # places in what `_once` returns


def _once(
    stalls: Stalls, truth: Truth, passes: int, generator: np.random.Generator, *, peers: bool
) -> tuple[float, ...]:
    times = stalls.times(generator, passes)
    history = history_of(np.repeat(times, BATCH, axis=1), truth.score, truth.threshold_s)
    model = Dependent(history)
    p1, p5, worst = model.quantile(0.01), model.quantile(0.05), model.worst_of(WORST_OF)
    true_p1, true_p5 = truth.quantile(0.01), truth.quantile(0.05)
    alone = bootstrap = np.nan
    if peers:
        alone = 100 * abs(right_in_time(history.counted, BATCH).quantile(0.01) / SAMPLES - true_p1)
        series = history.counted.reshape(-1, BATCH).sum(axis=1)
        length = block_length((times.ravel() > truth.threshold_s).astype(np.float64))
        sums = resampled_sums(series, SAMPLES // BATCH, length, 2000, generator)
        bootstrap = 100 * abs(float(np.percentile(sums, 1, method="inverted_cdf")) / SAMPLES - true_p1)
    return (
        100 * p1.value,
        100 * abs(p1.value - true_p1),
        100 * abs(p5.value - true_p5),
        100 * p1.holds(true_p1),
        100 * p5.holds(true_p5),
        100 * worst.holds(float(generator.choice(truth.quality, WORST_OF, replace=False).min())),
        100 * p1.width,
        100.0 * bool(doubts_of(history, model)),
        alone,
        bootstrap,
    )


def main() -> int:
    """Measure, print, write; 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer histories, fewer cases, shorter real runs")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="that simulate at a time")
    parser.add_argument("--histories", type=int, default=30, help="to a row; twice as many where coverage is claimed")
    parser.add_argument(
        "--part", choices=("simulated", "real"), help="measure this alone and keep what was measured of the other"
    )
    options = parser.parse_args()
    quick: bool = options.quick
    before = RESULTS / "prediction.json"
    kept = json.loads(before.read_text(encoding="utf-8")) if options.part and before.exists() else {}
    if options.part == "real":
        rows, histories = [Row(**row) for row in kept.get("rows", [])], kept.get("histories")
    else:
        histories = 6 if quick else options.histories
        rows = _simulate(options.processes, histories, quick=quick)
    if options.part == "simulated":
        real = [Held(**row) for row in kept.get("real", [])]
    else:
        with tempfile.TemporaryDirectory() as folder:
            passes = 20 if quick else 30
            real = [row for name, trace in make_runs(Path(folder), passes) for row in held_out(name, trace)]
    _print(rows)
    _print_real(real)
    details: dict[str, Any] = {
        "histories": histories,
        "rows": [asdict(row) for row in rows],
        "real": [asdict(row) for row in real],
    }
    return finish("prediction", _claims(rows, real), quick=quick, machine=machine("numpy"), seed=SEED, **details)


def _simulate(processes: int, histories: int, *, quick: bool) -> list[Row]:
    truth_passes = 1000 if quick else 3000
    cases = ["20 long, 1.0% of time", "200 long, 1.0% of time"] if quick else list(CASES)
    for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[threads] = "1"  # of the processes to come: each has a core
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(measure, case, histories, truth_passes) for case in cases]
        return [row for future in waiting for row in future.result()]


def _claims(rows: Sequence[Row], real: Sequence[Held]) -> list[Claim]:
    claims: list[Claim] = []
    if rows:
        twenty = [row for row in rows if row.case.startswith("20 long") and row.passes >= 10]
        claims += [
            Claim("20 batches long, from 10 passes: error at p1, points", max(row.p1_error for row in twenty), 1.0),
            Claim("… 90 % intervals of p1 and p5 that hold them, %, at least", _held(twenty), 85.0, at_least=True),
            Claim("… at most", _held(twenty), 95.0),
            Claim("all cases: 90 % intervals that hold p1 and p5, %, at least", _held(rows), 85.0, at_least=True),
        ]
    if real:
        share, low, high = pooled([row for row in real if row.passes >= 10])
        print(f"\nReal runs, from 10 passes: {share:.1f} % within; as many histories show {low:.1f} to {high:.1f} %")
        claims.append(
            Claim("real runs, from 10 passes: passes within their 90 % range, %, at least", share, 85.0, at_least=True)
        )
    return claims


def _held(rows: Sequence[Row]) -> float:
    return float(np.mean([(row.p1_holds, row.p5_holds) for row in rows]))


def _print(rows: Sequence[Row]) -> None:
    header = (
        "stalls, batches", "passes", "true p1, %", "error at p1", "independent", "bootstrap",
        "p1 within, %", "p5", "worst", "width at p1", "doubted, %",
    )  # fmt: skip
    cells = [
        (
            row.case, row.passes, f"{row.true_p1:.2f}", f"{row.p1_error:.2f}",
            f"{row.independent_p1_error:.2f}", f"{row.bootstrap_p1_error:.2f}",
            round(row.p1_holds), round(row.p5_holds), round(row.worst_holds), f"{row.p1_width:.2f}", round(row.doubted),
        )
        for row in rows
    ]  # fmt: skip
    print(markdown_table(header, cells))


def _print_real(rows: Sequence[Held]) -> None:
    header = (
        "condition", "threshold", "passes", "histories", "best less worst", "passes within, %", "worst", "p5",
        "error at p5", "width", "independent: within, %",
    )  # fmt: skip
    cells = [
        (
            row.condition, row.late, row.passes, row.histories, f"{row.spread:.2f}", round(row.within),
            round(row.worst_within), round(row.p5_within), f"{row.p5_error:.2f}", f"{row.width:.2f}",
            round(row.independent_within),
        )
        for row in rows
    ]  # fmt: skip
    print(f"\n{markdown_table(header, cells)}")


if __name__ == "__main__":
    sys.exit(main())
