"""The fault matrix is whole, and what it names is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from faults.every import EVERY
from faults.matrix import read_matrix

ROOT = Path(__file__).resolve().parents[2]
ROWS = read_matrix()


def collected(files: set[str]) -> frozenset[str]:
    """Every test of these files, as pytest itself names them."""
    command = (sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *sorted(files))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return frozenset(line for line in done.stdout.splitlines() if "::" in line)


def not_among(names: frozenset[str]) -> list[str]:
    """What the matrix names, and is none of these: with parameters, or without, or the file as a whole."""
    known = names | {name.partition("[")[0] for name in names} | {name.partition("::")[0] for name in names}
    return [test for row in ROWS for test in row.tests if test not in known]


def test_every_row_is_there_once_and_in_order() -> None:
    assert [row.number for row in ROWS] == list(range(1, 56))


def test_every_row_is_shown_by_a_test_or_a_case_or_says_why_not() -> None:
    assert [row.number for row in ROWS if not (row.tests or row.cases or row.not_run)] == []


def test_every_test_that_the_matrix_names_can_be_run(every_test: frozenset[str]) -> None:
    # Of a whole suite every test is known already; a run of some asks for the others.
    if rest := not_among(every_test):
        assert not_among(every_test | collected({test.partition("::")[0] for test in rest})) == []


def test_every_case_stands_in_the_row_it_says_and_the_matrix_names_no_other() -> None:
    named = {name for row in ROWS for name in row.cases}
    assert named == {case.name for case in EVERY}
    rows = {row.number: row.cases for row in ROWS}
    assert [case.name for case in EVERY if case.name not in rows[case.row]] == []
    assert len(named) == len(EVERY)


def test_the_tables_of_the_document_are_fresh() -> None:
    command = (sys.executable, "scripts/reliability.py", "--check")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
