"""The report's numbers as JSON for programs: `summary.json`. What is not known is null, never zero."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from tailgate.books import Books
from tailgate.quality import Decomposition
from tailgate.report.analysis import Analysis
from tailgate.report.exhibits import Exhibit
from tailgate.report.headline import headline
from tailgate.report.labelled import Curve, Quality
from tailgate.report.system import System
from tailgate.report.warnings import warnings_of

SCHEMA_VERSION = 1


def summarise(systems: Sequence[System], exhibits: Sequence[Exhibit]) -> dict[str, Any]:
    """Everything, ready for `json.dumps(allow_nan=False)`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "systems": [_system(system.analysis) | {"headline": list(headline(system))} for system in systems],
        "figures": {
            exhibit.key: {
                "title": exhibit.title,
                "numbers": {name: table.as_json() for name, table in exhibit.tables.items()},
                "missing": [{"system": name or None, "why": why} for name, why in exhibit.missing],
            }
            for exhibit in exhibits
        },
    }


def known_decomposition(decomposition: Decomposition, *, late_observed: bool) -> dict[str, float | None]:
    """The shares of a decomposition, of which two are unknown where late answers were cut.

    ``on_time_right + on_time_wrong + late + unanswered`` is 1 in either case.
    """
    d = decomposition
    return {
        "on_time_right": d.on_time_right,
        "on_time_wrong": d.on_time_wrong,
        "late": d.late_right + d.late_wrong,
        "late_right": d.late_right if late_observed else None,
        "late_wrong": d.late_wrong if late_observed else None,
        "unanswered": d.unanswered,
        "on_time": d.on_time,
        "right_given_on_time": _number(d.right_given_on_time),
    }


def _system(analysis: Analysis) -> dict[str, Any]:
    source, losses = analysis.source, analysis.source.losses
    return {
        "name": source.name,
        "vantage": source.vantage,
        "models": list(source.models),
        "warnings": list(warnings_of(analysis)),
        "run_valid": source.run.valid if source.run else None,
        "run_invalid_because": list(source.run.invalid_because) if source.run else None,
        "planned_passes": analysis.planned_passes,
        "start_unix_s": analysis.start_unix_s,
        "end_unix_s": analysis.end_unix_s,
        "arrivals": analysis.arrivals,
        "warm_up": analysis.warm_up,
        "labelled": analysis.quality.labelled if analysis.quality else 0,
        "deadline_s": analysis.deadline_s,
        "deadline_from": analysis.deadline_from,
        "late_answers_observed": analysis.cut_at_s is None,
        "cut_at_s": analysis.cut_at_s,
        "quality": _quality(analysis.quality, late_observed=analysis.cut_at_s is None) if analysis.quality else None,
        "latency_s": {f"p{percentile:g}": _number(at) for percentile, at in analysis.latency_s.items()},
        "outcomes": {outcome.label: count for outcome, count in analysis.outcomes.items()},
        "trace": {
            "damaged": losses.damaged,
            "torn_bytes": losses.torn_bytes,
            "missing": losses.missing,
            "dropped": losses.dropped,
            "unclosed": losses.unclosed,
        },
        "books": _books(source.books) if source.books else None,
        "events": [
            {"name": event.name, "start_unix_s": event.start_unix_s, "end_unix_s": event.end_unix_s}
            for event in source.events
        ],
        "parameters": parameters(analysis),
    }


def parameters(analysis: Analysis) -> dict[str, Any]:
    """What the trace's header says of the run, without what it says of its own layout; null for what JSON lacks."""
    fields = {key: value for key, value in analysis.source.header.items() if key not in ("record", "record_bytes")}
    strict: dict[str, Any] = json.loads(json.dumps(fields), parse_constant=lambda _: None)  # NaN and the infinities
    return strict


def _quality(quality: Quality, *, late_observed: bool) -> dict[str, Any]:
    worst = quality.worst_pass
    return {
        "time_critical_accuracy": quality.decomposition.on_time_right,
        "accuracy": _number(quality.decomposition.accuracy),
        "decomposition": known_decomposition(quality.decomposition, late_observed=late_observed),
        "worst_pass": worst.index if worst else None,
        "incomplete_passes": quality.incomplete_passes,
        "passes": [
            {
                "pass": row.index,
                "start_unix_s": row.start_unix_s,
                "end_unix_s": row.end_unix_s,
                "samples": row.samples,
                "answered": row.answered,
                "on_time": row.on_time,
                "right_on_time": row.right_on_time,
                "time_critical_accuracy": row.quality,
                "accuracy": row.accuracy,
            }
            for row in quality.passes
        ],
        "by_threshold_over": "passes" if quality.passes else "all labelled arrivals",
        "by_threshold": _curve(quality.curve),
        "at": dict(zip(quality.mark_names, _curve(quality.marks), strict=True)),
    }


def _curve(curve: Curve) -> list[dict[str, float]]:
    columns = (curve.thresholds_s, curve.best, curve.worst, curve.mean, curve.std)
    names = ("threshold_s", "best", "worst", "mean", "std")
    return [dict(zip(names, map(float, row), strict=True)) for row in zip(*columns, strict=True)]


def _books(books: Books) -> dict[str, Any]:
    return {
        "balanced": books.balanced,
        "breaches": list(books.breaches),
        "client": books.client,
        "not_sent": books.not_sent,
        "proxy": books.proxy,
        "matched": books.matched,
        "foreign": books.foreign,
        "raced": books.raced,
        "unseen": {status.name: count for status, count in books.unseen.items()},
        "pairs": [
            {"client": ours.label, "proxy": theirs.label, "count": count}
            for (ours, theirs), count in books.pairs.items()
        ],
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
