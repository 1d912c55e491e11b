"""Every fault that can be brought about from outside: `python -m faults [--seeds N] [--only WORDS] [--quick]`.

Each of `faults/cases.py` and `faults/root.py` strikes a whole proxy under steady load, once for each seed. `tailgate
audit` judges the books of every run; beside it stands how long it took until calls were answered again as before. What
a machine does not allow is listed with its reason. Rows that are shown by tests alone are not here: faults/matrix.toml.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from rich.console import Console
from rich.progress import track

from bench._common import Claim, finish, machine, markdown_table
from faults.cases import Case
from faults.every import EVERY
from faults.machine import unmet
from faults.one import run_apart

SEEDS = 10


def row_of(case: Case, runs: list[dict[str, Any]]) -> tuple[object, ...]:
    """What is shown of a case."""
    took_s = [run["recovery_s"] for run in runs if run.get("recovery_s") is not None]
    calls = sum(run.get("calls", 0) for run in runs)
    latest_ms = 1e3 * max((run["latest_s"] for run in runs if "latest_s" in run), default=0.0)
    broken = sum(bool(run["wrong"]) for run in runs)
    return case.row, case.name, len(runs), calls, max(took_s, default=float("nan")), latest_ms, broken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"runs of every case ({SEEDS})")
    parser.add_argument("--only", default="", metavar="WORDS", help="cases whose name contains this")
    parser.add_argument("--quick", action="store_true", help="one seed, shorter")
    options = parser.parse_args()
    seeds = 1 if options.quick else options.seeds
    chosen = [case for case in EVERY if options.only in case.name]
    lacking = {case.name: why for case in chosen if (why := unmet(case.needs)) is not None}
    able = [case for case in chosen if case.name not in lacking]
    found: dict[str, list[dict[str, Any]]] = {case.name: [] for case in able}
    turns = [(seed, case) for seed in range(1, seeds + 1) for case in able]
    for seed, case in track(turns, "faults", console=Console(stderr=True)):
        run = run_apart(case, seed, quick=options.quick)
        found[case.name].append({"seed": seed, **run})
        for wrong in run["wrong"]:
            print(f"{case.name}, seed {seed}: {wrong}", file=sys.stderr)
    header = (
        "row",
        "fault",
        "runs",
        "calls",
        "recovery, s, the longest",
        "latest ending after its deadline, ms",
        "runs with a breach",
    )
    print(markdown_table(header, [row_of(case, found[case.name]) for case in able]))
    for name, why in lacking.items():
        print(f"\nnot run: {name}: {why}")
    runs = [run for of_case in found.values() for run in of_case]
    slow = [
        f"{case.name}, seed {run['seed']}"
        for case in able
        for run in found[case.name]
        if (run.get("recovery_s") or 0.0) > case.bound_s
    ]
    claims = [
        Claim("runs in which anything was wrong, of all", sum(bool(run["wrong"]) for run in runs), 0),
        Claim("runs after which calls were answered as before later than promised", len(slow), 0),
        Claim("calls that were judged", sum(run.get("calls", 0) for run in runs), 1, at_least=True),
    ]
    whole = not options.only and not options.quick
    details = {"seeds": seeds, "runs": found, "not_run": lacking, "slow": slow}
    return finish("faults", claims, quick=not whole, machine=machine("h2", "grpcio"), **details)


if __name__ == "__main__":
    sys.exit(main())
