"""The fault matrix as data: `faults/matrix.toml`, read and checked for form."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).with_name("matrix.toml")


@dataclass(frozen=True)
class Row:
    """One fault.

    Attributes:
        number: Of the row.
        fault: What goes wrong.
        promise: What is promised then.
        tests: That show it, as pytest names them.
        cases: Of `python -m faults`, by name.
        not_run: Why it, or a part of it, is not run; empty where all of it is.
    """

    number: int
    fault: str
    promise: str
    tests: Sequence[str] = ()
    cases: Sequence[str] = ()
    not_run: str = ""


def read_matrix(path: Path = FILE) -> list[Row]:
    """Every row, in the order of the file."""
    return [Row(**row) for row in tomllib.loads(path.read_text(encoding="utf-8"))["row"]]
