"""The numbers of one run: its quality at a threshold, the tail, where the rest was lost, its latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tailgate.gate.requirements import FEWEST_PASSES
from tailgate.quality import decompose, latency_percentiles, pass_quality
from tailgate.runs import Run
from tailgate.tail import low_quantile

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """Q(θ) of one run; ``mean + late + wrong`` is 1.

    Attributes:
        run: Its name.
        threshold_s: θ.
        mean: Over all finished passes.
        std: Between passes, of the population.
        worst: The worst pass.
        p5: 5th percentile of passes; None of fewer than 21.
        p1: 1st percentile of passes; None of fewer than 101.
        late: Share lost to lateness: answered after θ, or never.
        wrong: Share lost to the model: answered in time, and wrong.
    """

    run: str
    threshold_s: float
    mean: float
    std: float
    worst: float
    p5: float | None
    p1: float | None
    late: float
    wrong: float


def measure(run: Run, thresholds_s: Sequence[float]) -> list[Measured]:
    """A run's numbers at each threshold; it has at least one finished pass."""
    passes, found = run.passes, list[Measured]()
    for threshold_s, row in zip(
        thresholds_s, pass_quality(passes.response_s, passes.score, thresholds_s).tolist(), strict=True
    ):
        shares = decompose(passes.response_s, passes.score, threshold_s)
        found.append(
            Measured(
                run=run.name,
                threshold_s=threshold_s,
                mean=shares.on_time_right,
                std=float(np.std(row)),
                worst=min(row),
                p5=low_quantile(row, 0.05) if len(row) >= FEWEST_PASSES["p5"] else None,
                p1=low_quantile(row, 0.01) if len(row) >= FEWEST_PASSES["p1"] else None,
                late=1 - shares.on_time,
                wrong=shares.on_time_wrong,
            )
        )
    return found


def sample_quality(run: Run, threshold_s: float) -> FloatArray:
    """Each sample's q(θ), as a mean over passes: float `[samples]`."""
    passes = run.passes
    on_time = np.isfinite(passes.response_s) & (passes.response_s <= threshold_s)
    quality: FloatArray = np.where(on_time, passes.score, 0.0).mean(axis=0)
    return quality


def latency(run: Run) -> dict[float, float]:
    """Seconds at each of `PERCENTILES`, over all arrivals of finished passes; infinite where no answer came."""
    return dict(zip(PERCENTILES, latency_percentiles(run.passes.response_s, PERCENTILES).tolist(), strict=True))


def default_thresholds_s(runs: Sequence[Run]) -> list[float]:
    """The runs' deadlines and the 50th, 90th, 95th and 99th percentile of all their latencies, rising.

    Those beyond what any of the runs observed are left out.
    """
    times = np.concatenate([run.passes.response_s.ravel() for run in runs])
    of_latency = latency_percentiles(times, PERCENTILES[:4]).tolist()
    limit_s = min((run.cut_at_s for run in runs if run.cut_at_s is not None), default=np.inf)
    wanted = {run.deadline_s for run in runs if run.deadline_s is not None} | {*of_latency}
    return sorted(threshold for threshold in wanted if np.isfinite(threshold) and threshold <= limit_s)
