"""Tables under the figures of quality by threshold and of passes; their numbers are `tailgate.report.labelled`'s."""

from __future__ import annotations

from tailgate.report.labelled import Quality
from tailgate.report.table import Cell, Column, Table

THRESHOLD_COLUMNS = (
    Column("system", "System", "text"),
    Column("threshold_s", "Threshold", "time"),
    Column("best", "Best pass", "share"),
    Column("worst", "Worst pass", "share"),
    Column("mean", "Mean", "share"),
    Column("std", "Std. deviation (points)", "points"),
)
PASS_COLUMNS = (
    Column("system", "System", "text"),
    Column("pass", "Pass", "count"),
    Column("time_critical_accuracy", "Time-critical accuracy", "share"),
    Column("accuracy", "Accuracy of answers", "share"),
    Column("on_time", "On time", "count"),
    Column("answered", "Answered", "count"),
    Column("samples", "Samples", "count"),
)


def threshold_table(named: list[tuple[str, Quality]]) -> Table:
    """One row for each of the hundred even thresholds of each system."""
    rows: list[tuple[Cell, ...]] = []
    for name, quality in named:
        curve = quality.curve
        columns = (curve.thresholds_s, curve.best, curve.worst, curve.mean, curve.std)
        rows += [(name, *row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    return Table(THRESHOLD_COLUMNS, tuple(rows))


def pass_table(named: list[tuple[str, Quality]]) -> Table:
    """One row for each complete pass of each system."""
    rows: list[tuple[Cell, ...]] = [
        (name, row.index, row.quality, row.accuracy, row.on_time, row.answered, row.samples)
        for name, quality in named
        for row in quality.passes
    ]
    return Table(PASS_COLUMNS, tuple(rows))
