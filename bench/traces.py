"""How long it takes from Parquet files to the matrix of Q(θ): `python bench/traces.py [--quick]`.

100 files of one finished pass each, 50,000 samples a pass, 100 thresholds: `tailgate.trace.parquet.read_passes` and
`tailgate.quality.pass_quality`, in a process of their own, files in the page cache: CPU seconds of all its threads,
which on a quiet machine is no less than the clock shows, and the memory at its highest. The peer is DuckDB, asked for
the same matrix in SQL. Both must agree with the numbers that the files were made from.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt

from bench._common import Claim, cpu_seconds, finish, machine, markdown_table
from tailgate.errors import Status
from tailgate.outcome import Outcome
from tailgate.quality import default_thresholds, pass_quality
from tailgate.trace.format import RECORD, Contents
from tailgate.trace.parquet import table_of, write_table

THRESHOLDS, PASSES, SAMPLES = 100, 100, 50_000
BOUND_S, BOUND_MIB = 1.0, 2048.0
SEED = 2212_13925

FloatArray = npt.NDArray[np.float64]

READ = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
from tailgate.quality import pass_quality
from tailgate.trace.parquet import read_passes
folder, out, thresholds_s, runs = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
paths, spent = sorted(folder.glob("*.parquet")), []
for _ in range(1 + runs):
    start, cpu = time.perf_counter(), time.process_time()
    passes = read_passes(paths)
    quality = pass_quality(passes.response_s, passes.score, thresholds_s)
    spent.append((time.process_time() - cpu, time.perf_counter() - start))
np.save(out, quality)
cpu_s, wall_s = np.median(spent[1:], axis=0).tolist()
print(json.dumps({"cpu_s": cpu_s, "wall_s": wall_s, "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
"""


def write_pass(folder: Path, index: int, response_s: FloatArray, score: FloatArray) -> None:
    """One finished pass as `tailgate trace convert` writes it."""
    rows = np.zeros(len(score), RECORD)
    rows["outcome"], rows["status"], rows["version"] = Outcome.OK, Status.OK, 1
    rows["pass_index"], rows["sample"], rows["latency_s"] = index, np.arange(len(score)), response_s
    rows["arrival_unix_s"], rows["budget_s"] = 1.7e9 + index * 500 + np.arange(len(score)) / 100, 0.05
    rows["predicted"], rows["label"] = score, 1
    rows["request_id"] = [b"%d-%d" % (index, sample) for sample in range(len(score))]
    header = {"role": "client", "run_id": "bench"}
    contents = Contents(header, {0: "resnet50", 1: "1"}, {0: ""}, rows, 0, 0, 0, closed=True)
    path = folder / f"client.pass-{index:05d}.parquet"
    write_table(table_of(contents), path, header=header, pass_index=index)


def by_duckdb(folder: Path, thresholds_s: FloatArray) -> FloatArray:
    """The same matrix, asked for in SQL."""
    columns = ", ".join(f"avg(case when response_s <= {at!r} then score else 0 end)" for at in thresholds_s.tolist())
    rows = duckdb.execute(
        f"select pass_index, {columns} from read_parquet(?) group by pass_index order by pass_index",  # noqa: S608 — numbers of our own
        [str(folder / "*.parquet")],
    ).fetchall()
    return np.array(rows)[:, 1:].T


def main() -> int:
    """Measure, print, write; 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the passes, fewer runs")
    quick: bool = parser.parse_args().quick
    passes, runs = (PASSES // 20, 3) if quick else (PASSES, 5)

    generator = np.random.default_rng(SEED)
    response_s = 0.02 + generator.gamma(4, 0.005, (passes, SAMPLES))
    score = (generator.random(SAMPLES) < 0.7613).astype(np.float64)  # ResNet-50's top-1 accuracy
    thresholds_s = default_thresholds(response_s, THRESHOLDS)
    expected = pass_quality(response_s, score, thresholds_s)
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name) / "parquet", Path(name) / "quality.npy"
        folder.mkdir()
        for index in range(passes):
            write_pass(folder, index, response_s[index], score)
        size = sum(path.stat().st_size for path in folder.iterdir())
        del response_s
        command = [sys.executable, "-c", READ, str(folder), str(out), json.dumps(thresholds_s.tolist()), str(runs)]
        ours = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        same = bool((np.load(out) == expected).all())
        peer_same = bool(np.allclose(by_duckdb(folder, thresholds_s), expected, rtol=0, atol=1e-12))
        peer_s = cpu_seconds(lambda: by_duckdb(folder, thresholds_s), runs)
    ours_s, peak_mib = ours["cpu_s"], ours["peak_kib"] / 1024

    extent = f"{THRESHOLDS} thresholds × {passes} passes × {SAMPLES:,} samples"
    print(f"{extent} from {size / 2**20:.0f} MiB of Parquet, median of {runs} runs\n")
    rows = [("tailgate", ours_s, 1.0), ("DuckDB", peer_s, peer_s / ours_s)]
    print(markdown_table(("way", "CPU seconds", "× tailgate"), rows))
    claims = [
        Claim(f"CPU seconds for {extent} from Parquet", ours_s, BOUND_S),
        Claim("MiB of memory at the highest", peak_mib, BOUND_MIB),
        Claim("results equal to the last bit (1: yes)", float(same), 1.0, at_least=True),
        Claim("DuckDB sees the same (1: yes)", float(peer_same), 1.0, at_least=True),
    ]
    details = {
        "machine": machine("numpy", "pyarrow", "duckdb"),
        "seed": SEED,
        "cpu_s": ours_s,
        "wall_s": ours["wall_s"],
        "peer_cpu_s": peer_s,
    }
    return finish("traces", claims, quick=quick, **details)


if __name__ == "__main__":
    sys.exit(main())
