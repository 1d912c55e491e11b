"""What the benchmarks share: a claim with its bound, a Markdown table, a results file, the machine in words.

A benchmark measures Tailgate and a peer in the same run, prints a table, writes ``bench/results/NAME.json`` and exits
with 1 if a claim does not hold. Nothing here or in the results says whose machine it was.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
WORTH_SAYING = 0.01


@dataclass(frozen=True)
class Claim:
    """Something that the project says of itself, and what was measured.

    Attributes:
        claim: In words, with the unit.
        value: Measured.
        bound: What the value must not exceed; or must reach, if `at_least`.
        at_least: Which of the two.
    """

    claim: str
    value: float
    bound: float
    at_least: bool = False

    @property
    def ok(self) -> bool:
        """Whether it holds."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def cpu_seconds(work: Callable[[], object], runs: int) -> float:
    """Median of the CPU seconds that this process spends on some work, after one run that does not count."""
    work()
    spent: list[float] = []
    for _ in range(runs):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return statistics.median(spent)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown; numbers are aligned to the right."""
    numeric = [all(isinstance(row[column], (int, float)) for row in rows) for column in range(len(header))]
    lines = [list(header), ["---:" if right else "---" for right in numeric]]
    lines += [[f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine(*packages: str) -> dict[str, str | int]:
    """What a reader needs to know of the machine and of the versions of these packages; no name, no path."""
    described: dict[str, str | int] = {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }
    return described | {package: version(package) for package in packages}


def finish(name: str, claims: Sequence[Claim], *, quick: bool, **details: Any) -> int:
    """Print the claims and write the results file of this name; returns the exit status."""
    rows = [(claim.claim, claim.value, claim.bound, "yes" if claim.ok else "**no**") for claim in claims]
    print(f"\n{markdown_table(('claim', 'measured', 'bound', 'holds'), rows)}")
    stolen = stolen_share()
    if stolen is not None and stolen >= WORTH_SAYING:
        print(f"\nThe host took {stolen:.0%} of this machine's processors meanwhile: times by the clock say little.")
    if not write_results(name, claims, quick=quick, **details):
        print(f"\n{name}.json holds the results of a full run and stays as it is; a quick run does not replace it")
    return 0 if all(claim.ok for claim in claims) else 1


def write_results(name: str, claims: Sequence[Claim], *, quick: bool, **details: Any) -> bool:
    """Write the results file of this name, whole or not at all; returns whether it was written.

    A quick run is for looking, so it does not take the place of a full run's results.
    """
    RESULTS.mkdir(exist_ok=True)
    results = RESULTS / f"{name}.json"
    if quick and results.exists() and not json.loads(results.read_text(encoding="utf-8"))["quick"]:
        return False
    content = {
        "claims": [{**asdict(claim), "ok": claim.ok} for claim in claims],
        "quick": quick,
        "stolen_share": stolen_share(),
        **details,
    }
    partial = RESULTS / f".{name}.{os.getpid()}"
    partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(results)
    return True


def stolen_share() -> float | None:
    """The share of the processors' time that a virtual machine's host gave to others since this was imported; None
    where the kernel does not tell.
    """
    if _AT_FIRST is None or (now := _processor_times()) is None:
        return None
    spent = [last - first for first, last in zip(_AT_FIRST, now, strict=True)]
    return spent[_STEAL] / max(sum(spent), 1)


def _processor_times() -> list[int] | None:
    """Of all processors together, in ticks: user, nice, system, idle, iowait, irq, softirq, steal (proc(5))."""
    try:
        return [int(field) for field in Path("/proc/stat").read_text(encoding="utf-8").split()[1:9]]
    except (OSError, ValueError):
        return None


_STEAL = 7
_AT_FIRST = _processor_times()


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
