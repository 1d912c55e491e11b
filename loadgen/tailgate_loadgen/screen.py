"""What a person sees: progress on standard error while it runs, a table on standard output at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tailgate.units import format_duration
from tailgate_loadgen.stop_rule import Standing
from tailgate_loadgen.tally import Tally

REDRAW_S = 1.0
GAP_S = 4e-3
"""Drawing takes over a millisecond of the loop that sends, so it waits for a gap in the schedule…"""
MAX_TRIES = 80
"""…but not for longer than this many looks, `LOOK_S` apart, where the rate leaves no such gap."""
LOOK_S = 0.05


class Screen:
    """The terminal; silent where it is none, or where the user wants it so. Use as a context manager."""

    def __init__(self, *, quiet: bool) -> None:
        """Draw nothing yet."""
        self._errors = Console(stderr=True, quiet=quiet)
        self._output = Console(quiet=quiet)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TimeRemainingColumn(),
            console=self._errors,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=quiet or not self._errors.is_terminal,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Screen:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the progress away."""
        self._progress.stop()

    def progress(self, what: str, done: int, total: int) -> None:
        """So much of it is done."""
        self._progress.update(self._task, description=what, completed=done, total=total, refresh=True)

    def note(self, text: str) -> None:
        """Something worth knowing afterwards."""
        self._errors.print(text, highlight=False, soft_wrap=True)

    async def follow(self, tally: Tally, idle_s: Callable[[], float]) -> None:
        """Draw how the run stands, until cancelled.

        Args:
            tally: Its counts.
            idle_s: How long there is nothing to send.
        """
        if self._progress.disable:
            return
        while True:
            await asyncio.sleep(REDRAW_S)
            for _ in range(MAX_TRIES):
                if idle_s() > GAP_S:
                    break
                await asyncio.sleep(LOOK_S)
            self.progress(str(tally), tally.started, tally.total)

    def table(self, summary: dict[str, Any]) -> None:
        """Show a run's summary."""
        self._output.print(summary_table(summary))


def summary_table(summary: dict[str, Any]) -> Table:
    """The figures of a summary that matter most."""
    table = Table(title=f"{summary['run']['model']} at {summary['run']['target']}", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    over = summary["over_passes"]
    for name, value in (
        ("requests", _requests(summary)),
        ("rate due, achieved", f"{_number(summary['scheduled_rate'])}/s, {_number(summary['achieved_rate'])}/s"),
        ("outcomes", "\n".join(f"{name} {count:,}" for name, count in summary["outcomes"].items())),
        ("accuracy of answers", _percent(summary["accuracy_of_answers"])),
        (f"right within {format_duration(summary['deadline_s'])}", _percent(summary["time_critical_accuracy"])),
        (f"worst … best of {over['passes']} passes", f"{_percent(over['worst'])} … {_percent(over['best'])}"),
        ("latency p50, p99, p99.9", _times(summary["latency_s"], "p50", "p99", "p99.9")),
        ("own lag p50, p99, p99.9, max", _times(summary["lag_s"], "p50", "p99", "p99.9", "max")),
        *_generator(summary["run"].get("generator")),
        *_stopping(summary.get("stopping")),
        ("run", "valid" if summary["valid"] else "INVALID"),
    ):
        table.add_row(name, value)
    return table


def _requests(summary: dict[str, Any]) -> str:
    not_needed = f", {summary['not_needed']:,} not needed" if summary["not_needed"] else ""
    return f"{summary['arrivals']:,} of {summary['scheduled']:,}{not_needed}"


def _generator(strain: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    """What was asked of a process that sends, where the run says it."""
    if not strain:
        return
    asked = f"at most {strain['peak_rate']:,.0f} requests a second"
    if strain["share"] is None:
        yield "asked of the generator", f"{asked}\nnot calibrated: {strain['uncalibrated_because']}"
    else:
        yield "asked of the generator", f"{asked}\n{strain['share']:.1%} of what it can send"


def _stopping(stopping: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Whether the passes were enough, where that was asked."""
    if not stopping:
        return
    met, curve = stopping["met_after_passes"], stopping["curve"]
    last = f"\n{Standing(**curve[-1])}" if curve else ""
    watched = "" if stopping["watched_to_the_end"] else "\nnobody watched to the end"
    yield "enough passes", ("never" if met is None else f"after {met}") + last + watched


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.2%}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _times(values: dict[str, float | None], *names: str) -> str:
    found = (values[name] for name in names)
    return ", ".join("none" if value is None else format_duration(value) for value in found)
