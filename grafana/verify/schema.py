"""The dashboards held against Grafana's TypeScript types: the compiler knows every field that one may have."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

_COMPILE = (
    *("node_modules/.bin/tsc", "--noEmit", "--skipLibCheck", "--strict"),
    *("--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022"),
)
_EXPECTED = (
    re.compile(r"TS2322: Type '\"[^']+\"' is not assignable to type '\w+'\.$"),  # an enumeration's value as JSON has it
    re.compile(r"'\"expr\"' does not exist in type 'DataQuery'"),  # of Prometheus's own query type, in annotations
    re.compile(r"'\"auto\"' does not exist in type 'VariableModel'"),  # which the builders add to query variables
)


def mistakes(folder: Path, dashboards: Path) -> list[str]:
    """What the compiler says against the dashboards, but for what JSON cannot say otherwise.

    Args:
        folder: Where Grafana's packages and the compiler are installed.
        dashboards: Where the JSON files are.
    """
    sources = []
    for path in sorted(dashboards.glob("*.json")):
        source = folder / f"{path.stem}.ts"
        source.write_text(
            f"import {{ Dashboard }} from '@grafana/schema';\nexport const page: Dashboard = {path.read_text()};\n"
        )
        sources.append(source.name)
    done = subprocess.run(  # noqa: S603  # our own words
        [*_COMPILE, *sources], cwd=folder, capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if "error TS" in line]
    if done.returncode != 0 and not lines:
        raise RuntimeError(f"tsc: {done.stderr or done.stdout}")
    return [f"TYPES {line}" for line in lines if not any(known.search(line) for known in _EXPECTED)]
