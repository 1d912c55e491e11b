"""Write the tables of docs/reliability.md from faults/matrix.toml and what was measured, or with --check compare.

The words around them are written by hand; what is between the two marks of a table is not.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from faults.matrix import Row, read_matrix

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "reliability.md"
RESULTS = ROOT / "bench" / "results"


def matrix_table(rows: list[Row], measured: dict[str, Any]) -> str:
    """A line for each row of the matrix."""
    lines = ["| # | fault | promise | shown by | recovery |", "|---:|---|---|---|---|"]
    lines += [
        f"| {row.number} | {row.fault} | {row.promise} | {_shown_by(row)} | {_recovery(row, measured)} |"
        for row in rows
    ]
    return "\n".join(lines)


def figures_table(measured: dict[str, Any]) -> str:
    """What the last whole run of `python -m faults` showed, in all."""
    if not measured:
        return "Not measured yet: `make faults`."
    runs = [run for of_case in measured["runs"].values() for run in of_case]
    wrong = sum(bool(run["wrong"]) for run in runs)
    lines = [
        f"{len(measured['runs'])} faults with {measured['seeds']} seeds each: {len(runs)} runs, "
        f"{sum(run.get('calls', 0) for run in runs):,} calls, {wrong} runs in which anything was wrong."
    ]
    lines += [f"Not run there: *{name}*, {why}." for name, why in measured["not_run"].items()]
    return "\n".join(lines)


def _shown_by(row: Row) -> str:
    files: dict[str, int] = {}
    for test in row.tests:
        name = test.partition("::")[0]
        files[name] = files.get(name, 0) + 1
    parts = [f"[{Path(name).stem}](../{name})" + (f" ({count})" if count > 1 else "") for name, count in files.items()]
    if row.cases:
        parts.append("`faults`: " + ", ".join(f"*{name}*" for name in row.cases))
    if row.not_run:
        parts.append(f"not run: {row.not_run}")
    return "; ".join(parts)


def _recovery(row: Row, measured: dict[str, Any]) -> str:
    runs = [run for name in row.cases for run in measured.get("runs", {}).get(name, ())]
    took_s = [run["recovery_s"] for run in runs if run.get("recovery_s") is not None]
    return f"{max(took_s):.2f} s" if took_s else ""


def with_tables(text: str, tables: dict[str, str]) -> str:
    """The document with what stands between its marks anew."""
    for name, table in tables.items():
        opening, closing = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, found, rest = text.partition(opening)
        _, closed, after = rest.partition(closing)
        if not (found and closed):
            sys.exit(f"{DOCUMENT.name} has no marks of the table {name!r}; see scripts/reliability.py")
        text = f"{before}{opening}{table}\n{closing}{after}"
    return text


def main() -> int:
    """Write, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a table is stale")
    options = parser.parse_args()
    results = RESULTS / "faults.json"
    measured = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    before = DOCUMENT.read_text(encoding="utf-8")
    tables = {"matrix": matrix_table(read_matrix(), measured), "figures": figures_table(measured)}
    fresh = with_tables(before, tables)
    if not options.check:
        DOCUMENT.write_text(fresh, encoding="utf-8")
        return 0
    if fresh != before:
        sys.stderr.write("docs/reliability.md is stale; run `python scripts/reliability.py`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
