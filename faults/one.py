"""One run of one case, in a process of its own: `python -m faults.one CASE SEED` prints what became of it as JSON.

Cases that need a network of their own are started within one: `unshare --net -- python -m faults.one ...`.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from faults.cases import Case
from faults.every import case_named
from faults.stage import QUICK, Plan, play

TIMEOUT_S = 300.0


def run_apart(case: Case, seed: int, *, quick: bool) -> dict[str, Any]:
    """Run it in a process, and a network if need be, of its own."""
    apart = (
        ("unshare", "--net", "--") if any("network" in n or "packet" in n or "traffic" in n for n in case.needs) else ()
    )
    command = (*apart, sys.executable, "-m", "faults.one", case.name, str(seed), *(("--quick",) if quick else ()))
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        return {"wrong": [f"the run failed: {done.stderr.strip()[-600:]}"]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_here(case: Case, seed: int, plan: Plan) -> dict[str, Any]:
    """Run it, and put into words and numbers what became of it."""
    with TemporaryDirectory() as folder:
        ended = asyncio.run(play(case.strike, Path(folder), seed, plan, case.setting()))
    return {
        "calls": len(ended.log),
        "wrong": case.judge(ended),
        "recovery_s": ended.recovery_s,
        "latest_s": round(ended.latest_s, 4),
        "outcomes": {name: count for name, count in ended.outcomes.items() if count},
        **ended.details,
    }


def main() -> int:
    name, seed = sys.argv[1:3]
    print(json.dumps(run_here(case_named(name), int(seed), QUICK if "--quick" in sys.argv else Plan())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
