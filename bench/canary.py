"""How often the rules blame a canary that is as good as stable: `python bench/canary.py [--quick]`.

Stable and canary answer right by the same chance, in one slice, for eight hours; what they would export is compared as
`tailgate.slo.canary` and `TailgateCanaryWorse` compare it, scrape by scrape. Beside it stands what the alert was before
that, minute by minute: z = 3.9 held for two minutes, of at least 30 requests.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from bench._common import Claim, finish, machine, markdown_table
from bench._prometheus import SCRAPE_S
from tailgate.slo.alerts import CANARY_LEAST, CANARY_VARIANCE
from tailgate.slo.promql import CANARY_Z

Floats = NDArray[np.float64]

HOURS, STEP_S = 8, round(SCRAPE_S)
WINDOW, HOUR = 60 // STEP_S, 3600 // STEP_S  # in steps
EARLIER_Z = 3.9
TRAFFIC = ((9, 1), (54, 6), (6, 6), (540, 60))
SHARES = (0.5, 0.7, 0.9, 0.97, 0.995)


@dataclass(frozen=True)
class Blamed:
    """In what share of the simulated canaries each rule paged."""

    earlier: float
    now: float


def trailing(counts: Floats, steps: int) -> Floats:
    """The sum of each step and those before it, so many in all: simulations × steps."""
    sums = np.concatenate([np.zeros((len(counts), 1)), counts.cumsum(axis=1)], axis=1)
    last: Floats = sums[:, 1:] - sums[:, np.maximum(np.arange(1, counts.shape[1] + 1) - steps, 0)]
    return last


def simulate(stable_a_minute: float, canary_a_minute: float, share: float, simulations: int, seed: int) -> Blamed:
    """So many canaries, each for eight hours."""
    rng = np.random.default_rng(seed)
    shape = (simulations, HOURS * 3600 // STEP_S)
    counts = [rng.poisson(a_minute * STEP_S / 60, shape) for a_minute in (stable_a_minute, canary_a_minute)]
    rights = [rng.binomial(count, share) for count in counts]
    stable, canary, stable_right, canary_right = (trailing(of.astype(float), WINDOW) for of in (*counts, *rights))
    both = stable + canary
    with np.errstate(invalid="ignore", divide="ignore"):
        pooled = np.where(both > 0, (stable_right + canary_right) / both, 0.0)
    excess = canary_right - canary * pooled
    variance = canary * stable * pooled * (1 - pooled) / np.maximum(both - 1, 1)
    enough = trailing(counts[1].astype(float), HOUR) >= CANARY_LEAST

    scatter = trailing(variance, HOUR) / WINDOW
    now = enough & (scatter >= CANARY_VARIANCE) & (_z(trailing(excess, HOUR) / WINDOW, scatter) < -CANARY_Z)

    by_minute = slice(WINDOW - 1, None, WINDOW)
    sums = (trailing(of[:, by_minute], HOUR // WINDOW) for of in (excess, variance))
    bad = enough[:, by_minute] & (_z(*sums) < -EARLIER_Z)
    earlier = bad[:, 2:] & bad[:, 1:-1] & bad[:, :-2]
    return Blamed(float(earlier.any(axis=1).mean()), float(now.any(axis=1).mean()))


def _z(excess: Floats, variance: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        z: Floats = np.where(variance > 0, excess / np.sqrt(variance), 0.0)
    return z


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a hundred canaries of each kind")
    arguments = parser.parse_args()
    simulations = 100 if arguments.quick else 2000
    cases = [(stable, canary, share) for stable, canary in TRAFFIC for share in SHARES]
    found = [
        simulate(*case, simulations, seed)
        for seed, case in enumerate(track(cases, "simulating", console=Console(stderr=True)))
    ]
    header = ("stable a minute", "canary a minute", "right, %", "before, % blamed", "now, % blamed")
    rows = [
        (stable, canary, f"{100 * share:g}", f"{100 * one.earlier:.2f}", f"{100 * one.now:.2f}")
        for (stable, canary, share), one in zip(cases, found, strict=True)
    ]
    print(f"{simulations:,} canaries of each kind, as good as stable, for {HOURS} hours in one slice\n")
    print(markdown_table(header, rows))
    mean, before = (
        100 * float(np.mean(shares)) for shares in zip(*((one.now, one.earlier) for one in found), strict=True)
    )
    claims = [
        Claim("canaries as good as stable that were blamed within eight hours, %, mean of all kinds", mean, 0.3),
        Claim("… of the kind that fares worst", 100 * max(one.now for one in found), 1.0),
        Claim("… mean, over that of the alert before", mean / before, 0.5),
    ]
    details = {
        "simulations": simulations,
        "scrape_s": SCRAPE_S,
        "rows": [dict(zip(header, row, strict=True)) for row in rows],
    }
    return finish("canary", claims, quick=arguments.quick, machine=machine("numpy"), **details)


if __name__ == "__main__":
    sys.exit(main())
