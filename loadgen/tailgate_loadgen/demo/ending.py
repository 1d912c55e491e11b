"""The end of the demo: what happened in each phase, whether the books balance, where the report lies."""

from __future__ import annotations

import json
import math
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tailgate.books import Books, reconcile
from tailgate.cli import main
from tailgate.errors import TraceError
from tailgate.trace.files import read_folder
from tailgate.trace.format import Records
from tailgate.units import format_duration
from tailgate_loadgen.demo.phases import Phase, measure, split
from tailgate_loadgen.demo.play import Script
from tailgate_loadgen.outputs import SUMMARY_NAME


def show_ending(script: Script, console: Console) -> bool:
    """Print the table, write the report, say where it is; returns whether the books balance."""
    client, proxy = (_records(script.out, role) for role in ("client", "proxy"))
    deadline_s = script.deadline_ms / 1e3
    events = json.loads((script.out / "events.json").read_text())
    scored = client[client["pass_index"] >= 0]  # without warm-ups
    whole = measure("whole run", scored, deadline_s)
    phases = [p for e in events for p in split(scored, deadline_s, e["start_unix_s"], e["end_unix_s"])]
    console.print(_table([*phases, whole], deadline_s))
    books = reconcile(client, proxy)
    console.print(_sentence(books))
    summary = json.loads((script.out / SUMMARY_NAME).read_text())
    if not summary["valid"]:
        console.print(f"[yellow]The run is not valid: {'; '.join(summary['invalid_because'])}.[/]")
    report = script.out / "report"
    main(["report", str(script.out), "--out", str(report)])
    return books.balanced


def _records(folder: Path, role: str) -> Records:
    for contents in read_folder(folder):
        if contents.header["role"] == role:
            return contents.records
    raise TraceError(f"{folder} holds no trace of the {role}")


def _table(phases: list[Phase], deadline_s: float) -> Table:
    table = Table(title=f"Right answers, and right answers within {format_duration(deadline_s)}")
    table.add_column("phase", no_wrap=True)
    for name in ("requests", "accuracy of answers", "right in time", "worst second", "p99"):
        table.add_column(name, justify="right")
    for phase in phases:
        p99 = "no answer" if math.isinf(phase.p99_s) else format_duration(phase.p99_s)
        table.add_row(
            phase.name,
            f"{phase.arrivals:,}",
            "–" if math.isnan(phase.accuracy) else f"{phase.accuracy:.1%}",
            f"{phase.time_critical:.1%}",
            f"{phase.worst:.1%}",
            p99,
            style="red" if "contention" in phase.name else None,
        )
    return table


def _sentence(books: Books) -> str:
    unseen = sum(books.unseen.values())
    state = "[green]The books balance[/]" if books.balanced else "[red]The books do not balance[/]"
    parts = [
        f"{books.client:,} requests at the client, {books.proxy:,} at the proxy, {books.matched:,} in both",
        f"{unseen} unseen by the proxy",
        f"{books.raced} answered while the client's own timer ran out",
        f"{books.not_sent} never sent",
        *books.breaches,
    ]
    return f"{state}: {'; '.join(parts)}."
