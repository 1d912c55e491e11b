"""NVIDIA's perf_analyzer against our server, directly and through our proxy: `python bench/perf_analyzer.py [--quick]`.

An independent client of the V2 protocol has to complete an open-loop run at a request rate, on both ways; what the
proxy adds is the ratio of the two medians of latency. The client is fetched on the first run: the last version that
runs on an older glibc, the CUDA runtime it links (no GPU is needed), and Debian's libb64.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from bench._common import Claim, finish, machine, markdown_table
from bench._processes import started

WHEELS = ("tritonclient==2.51.0", "nvidia-cuda-runtime-cu12==12.9.79")
DEBIAN = "libb64-0d"
RATE, REQUESTS, RUNS = 100, 500, 3


def fetch(folder: Path) -> tuple[Path, str]:
    """perf_analyzer and the library path it needs, downloaded into `folder` unless they are there."""
    binary = folder / "tritonclient-2.51.0.data" / "data" / "bin" / "perf_analyzer"
    if not binary.exists():
        folder.mkdir(parents=True, exist_ok=True)
        run = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest")
        for wheel, platform in zip(WHEELS, ("manylinux1_x86_64", "manylinux2014_x86_64"), strict=True):
            subprocess.run([*run, str(folder), "--platform", platform, wheel], check=True)
        for archive in folder.glob("*.whl"):
            zipfile.ZipFile(archive).extractall(folder)
        subprocess.run(["apt-get", "download", "-qq", DEBIAN], cwd=folder, check=True)
        (package,) = folder.glob("*.deb")
        subprocess.run(["dpkg-deb", "--extract", str(package), str(folder / "debian")], check=True)
        binary.chmod(0o755)
    libraries = [folder / "nvidia" / "cuda_runtime" / "lib", *(folder / "debian" / "usr" / "lib").glob("*-linux-gnu")]
    return binary, os.pathsep.join(str(path) for path in libraries)


def measure(binary: Path, libraries: str, address: str, requests: int, folder: Path) -> dict[str, float]:
    """One open-loop run; latencies in milliseconds, and the number of requests it says it completed."""
    out = folder / "out.csv"
    done = subprocess.run(
        [
            str(binary), "-m", "digits", "-i", "grpc", "-u", address, "--service-kind", "triton", "--async",
            "--request-rate-range", str(RATE), "--request-distribution", "poisson", "--request-count", str(requests),
            "--percentile", "99", "-f", str(out),
        ],
        env={**os.environ, "LD_LIBRARY_PATH": libraries}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"perf_analyzer ended with {done.returncode}: {done.stdout[-800:]}{done.stderr[-800:]}")
    (row,) = csv.DictReader(out.open())
    count = next(line for line in done.stdout.splitlines() if "Request count:" in line)
    return {
        "p50_ms": float(row["p50 latency"]) / 1e3,
        "p99_ms": float(row["p99 latency"]) / 1e3,
        "completed": float(count.partition(":")[2]),
    }


def main() -> int:
    """Measure, print, write; 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one run of 200 requests on each way")
    quick: bool = parser.parse_args().quick
    requests, runs = (200, 1) if quick else (REQUESTS, RUNS)
    binary, libraries = fetch(Path(__file__).parent / ".peers" / "perf_analyzer")
    results: dict[str, list[dict[str, float]]] = {"directly": [], "through the proxy": []}
    with TemporaryDirectory() as name:
        folder = Path(name)
        server = ("server", "--model", "digits", "--weights", "random:1", "--device", "cpu", "--threads", "1")
        with started(folder, *server, "--listen", "127.0.0.1:0", ready=r"server listening on (\S+)") as ((direct,), _):
            proxy = ("proxy", "--upstream", direct, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
            pattern = r"proxy listening on (\S+), admin on (\S+)"
            with started(folder, *proxy, "--deadline", "5s", ready=pattern) as ((proxied, admin), _):
                for _ in range(runs):
                    results["directly"].append(measure(binary, libraries, direct, requests, folder))
                    results["through the proxy"].append(measure(binary, libraries, proxied, requests, folder))
                with urllib.request.urlopen(f"http://{admin}/status.json") as response:
                    status = json.load(response)
    medians = {
        way: {key: statistics.median(run[key] for run in measured) for key in measured[0]}
        for way, measured in results.items()
    }
    print(f"perf_analyzer 2.51.0, {RATE} requests a second, Poisson, {runs} × {requests} requests on each way\n")
    rows = [(way, m["p50_ms"], m["p99_ms"], int(m["completed"])) for way, m in medians.items()]
    print(markdown_table(("way", "p50 ms", "p99 ms", "completed"), rows))
    asked = runs * requests
    claims = [
        Claim(f"requests completed {way}, of {asked}", sum(run["completed"] for run in measured), asked, at_least=True)
        for way, measured in results.items()
    ]
    claims.append(
        Claim(f"of these booked as ok by the proxy, of {asked}", status["outcomes"]["ok"], asked, at_least=True)
    )
    ratio = medians["through the proxy"]["p50_ms"] / medians["directly"]["p50_ms"]
    claims.append(Claim("p50 through the proxy, times that of the direct way", ratio, 4.0))
    return finish("perf_analyzer", claims, quick=quick, machine=machine("grpcio", "torch"), runs=results)


if __name__ == "__main__":
    sys.exit(main())
