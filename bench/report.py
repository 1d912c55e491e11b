"""How long a full report of five million rows takes: `python bench/report.py [--quick]`.

One load run of 100 passes of 50,000 samples, whose stalls are known (`_stalls`), as a trace of 640 MB with the
summary beside it. `tailgate report --png --csv` in a process of its own: every figure, the page, the JSON, the CSV
files and the pictures. CPU seconds of all its threads, which on a quiet machine is no less than the clock shows, and
the memory at its highest. What the page says is held against the numbers that the trace was made from.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench._big_trace import DEADLINE_S, write_run
from bench._common import Claim, finish, machine, markdown_table
from bench._stalls import ACCURACY, BATCH, SAMPLES, Stalls
from tailgate.quality import pass_quality

PASSES = 100
BOUND_S, BOUND_MIB, PAGE_MIB = 30.0, 2048.0, 1.0
SEED = 2212_13925
STALLS = Stalls(0.01, 20)


def measured(folder: Path, out: Path) -> tuple[float, float, float]:
    """Seconds by the clock, CPU seconds and MiB at the highest, of one report."""
    command = [sys.executable, "-m", "tailgate", "report", str(folder), "--out", str(out), "--png", "--csv"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"tailgate report ended with {process.returncode}")
    return wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> int:
    """Measure, print, write; 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the samples")
    quick: bool = parser.parse_args().quick
    generator = np.random.default_rng(SEED)
    response_s = np.repeat(STALLS.times(generator, PASSES), BATCH, axis=1)
    score = (generator.random(SAMPLES) < ACCURACY).astype(np.float64)
    if quick:
        response_s, score = response_s[:, : SAMPLES // 20], score[: SAMPLES // 20]
    expected = pass_quality(response_s, score, [DEADLINE_S])[0]
    rows = response_s.size
    with tempfile.TemporaryDirectory() as name:
        folder, out = write_run(Path(name) / "run", response_s, score), Path(name) / "report"
        size = sum(path.stat().st_size for path in folder.iterdir())
        del response_s
        wall_s, cpu_s, peak_mib = measured(folder, out)
        page_mib = (out / "report.html").stat().st_size / 2**20
        summary: dict[str, Any] = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    quality = summary["systems"][0]["quality"]
    told = [row["time_critical_accuracy"] for row in quality["passes"]]
    drawn = [name for name, figure in summary["figures"].items() if figure["numbers"]]

    extent = f"a report of {PASSES} passes × {len(score):,} samples"
    print(f"{rows:,} rows, {size / 2**20:.0f} MiB of trace; {len(drawn)} figures: {', '.join(drawn)}\n")
    print(markdown_table(("seconds", "CPU seconds", "MiB at the highest"), [(wall_s, cpu_s, peak_mib)]))
    claims = [
        Claim(f"seconds by the clock for {extent}", wall_s, BOUND_S),
        Claim(f"CPU seconds for {extent}", cpu_s, BOUND_S),
        Claim("MiB of memory at the highest", peak_mib, BOUND_MIB),
        Claim("MiB of the page", page_mib, PAGE_MIB),
        Claim("figures that such a run can have", len(drawn), 8, at_least=True),
        Claim("passes equal to those it was made from (1: yes)", float(told == expected.tolist()), 1.0, at_least=True),
    ]
    details = {"machine": machine("numpy", "matplotlib"), "seed": SEED, "rows": rows, "wall_s": wall_s, "cpu_s": cpu_s}
    return finish("report", claims, quick=quick, **details)


if __name__ == "__main__":
    sys.exit(main())
