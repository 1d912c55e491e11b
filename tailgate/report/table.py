"""The numbers under a figure, the same for the page, for `summary.json` and for CSV files. Pure."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Cell = str | int | float | bool | None
Kind = Literal["text", "count", "share", "points", "time", "number", "either", "yes"]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: For programs, with its unit: ``_s`` for seconds; shares have none.
        heading: For people.
        kind: How people read its cells: shares in percent, times in the unit that suits them; `either` of the two as
            the row's column ``unit`` says.
    """

    name: str
    heading: str
    kind: Kind


@dataclass(frozen=True)
class Table:
    """Rows of cells in the columns' order; None is what is not known."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def as_json(self) -> list[dict[str, Cell]]:
        """One object a row, ready for `json.dumps(allow_nan=False)`."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]

    def as_csv(self) -> str:
        """RFC 4180 with a line of names; unknown cells are empty, numbers in full precision."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(column.name for column in self.columns)
        writer.writerows(self.rows)
        return text.getvalue()


def known(value: float) -> float | None:
    """The number, or None where it is not finite."""
    return float(value) if math.isfinite(value) else None


def spread(rows: Sequence[tuple[Cell, ...]], most: int) -> list[tuple[Cell, ...]]:
    """At most so many of the rows, evenly picked, the first and the last among them.

    >>> spread([(0,), (1,), (2,), (3,), (4,)], 3)
    [(0,), (2,), (4,)]
    """
    if len(rows) <= most:
        return list(rows)
    return [rows[round(place * (len(rows) - 1) / (most - 1))] for place in range(most)]
