"""What a person sees of a probe: progress on standard error while it runs, the answers on standard output."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from tailgate_loadgen.probe.verdict import Grade, Verdict

_STYLES: dict[Grade, str] = {"good": "green", "partly": "yellow", "bad": "red", "unknown": "dim"}


class Screen:
    """The terminal; silent where the user wants it so. Use as a context manager."""

    def __init__(self, *, quiet: bool) -> None:
        """Draw nothing yet."""
        self._output = Console(quiet=quiet)
        errors = Console(stderr=True, quiet=quiet)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            console=errors,
            auto_refresh=False,  # a thread that draws would take its time from the measurement
            transient=True,
            disable=quiet or not errors.is_terminal,
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
        """So much of it is done; a `total` of 0 is not known."""
        self._progress.update(self._task, description=what, completed=done, total=total or None, refresh=True)

    def table(self, verdicts: Mapping[str, Verdict], out: Path) -> None:
        """Show the answers, and where the rest is."""
        table = Table(show_header=False)
        for _ in range(2):
            table.add_column()
        for verdict in verdicts.values():
            style = _STYLES[verdict.grade]
            table.add_row(f"{verdict.question}\n[dim]{verdict.sentence}[/]", f"[{style}]{verdict.answer}[/]")
        self._output.print(table)
        self._output.print(f"report: {out / 'probe.html'}", highlight=False, soft_wrap=True)
