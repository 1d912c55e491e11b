"""How long Q(θ) takes over a paper-sized run: `python bench/quality.py [--quick]`.

100 thresholds × 100 passes × 50,000 samples through `tailgate.quality.pass_quality`, in CPU seconds of one core,
against the obvious way with numpy: one comparison and one mean a threshold. Both must give the same numbers.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import numpy.typing as npt

from bench._common import Claim, cpu_seconds, finish, machine, markdown_table
from tailgate.quality import default_thresholds, pass_quality

THRESHOLDS, PASSES, SAMPLES = 100, 100, 50_000
BOUND_S = 2.0
SEED = 2212_13925

FloatArray = npt.NDArray[np.float64]


def obvious(latency_s: FloatArray, score: FloatArray, thresholds_s: FloatArray) -> FloatArray:
    """Q(θ) by its definition, a threshold at a time."""
    right = score == 1
    return np.array([((latency_s <= threshold) & right).mean(axis=1) for threshold in thresholds_s])


def main() -> int:
    """Measure, print, write; 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the passes, fewer runs")
    quick: bool = parser.parse_args().quick
    passes, runs = (PASSES // 20, 3) if quick else (PASSES, 5)

    generator = np.random.default_rng(SEED)
    latency_s = 0.02 + generator.gamma(4, 0.005, (passes, SAMPLES))
    score = (generator.random(SAMPLES) < 0.7613).astype(np.float64)  # ResNet-50's top-1 accuracy
    thresholds_s = default_thresholds(latency_s, THRESHOLDS)

    same = bool((pass_quality(latency_s, score, thresholds_s) == obvious(latency_s, score, thresholds_s)).all())
    ours_s = cpu_seconds(lambda: pass_quality(latency_s, score, thresholds_s), runs)
    peer_s = cpu_seconds(lambda: obvious(latency_s, score, thresholds_s), runs)

    size = f"{THRESHOLDS} thresholds × {passes} passes × {SAMPLES:,} samples"
    print(f"{size}, median of {runs} runs\n")
    rows = [("tailgate", ours_s, 1.0), ("numpy, a comparison a threshold", peer_s, peer_s / ours_s)]
    print(markdown_table(("way", "CPU seconds", "× tailgate"), rows))
    claims = [
        Claim(f"CPU seconds for {size}", ours_s, BOUND_S * passes / PASSES),
        Claim("as fast as a comparison a threshold, times", peer_s / ours_s, 1.0, at_least=True),
        Claim("results equal to the last bit (1: yes)", float(same), 1.0, at_least=True),
    ]
    details = {"machine": machine("numpy"), "seed": SEED, "cpu_s": ours_s, "peer_cpu_s": peer_s}
    return finish("quality", claims, quick=quick, **details)


if __name__ == "__main__":
    sys.exit(main())
