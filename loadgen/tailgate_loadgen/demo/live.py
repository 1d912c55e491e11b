"""What one sees while the demo runs: the proxy's own counters, a few times a second, as a picture in the terminal."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_BARS = "▁▂▃▄▅▆▇█"
WINDOW_S = 2.0
HISTORY = 60


@dataclass
class Watch:
    """The recent past, from one status document to the next.

    Attributes:
        accuracy: Of labelled answers within the last window, or None while there is none.
        time_critical: Over all labelled requests that ended within the last window, or None.
        history: `time_critical` over time, and whether there was contention.
    """

    accuracy: float | None = None
    time_critical: float | None = None
    latest: dict[str, Any] = field(default_factory=dict)
    history: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=HISTORY))
    _snapshots: deque[tuple[float, dict[str, Any]]] = field(default_factory=deque)

    def update(self, now_s: float, status: dict[str, Any], *, contention: bool) -> None:
        """Take the status document of this instant."""
        self.latest = status
        if not status["labelled"]:
            self._snapshots.clear()  # warm-ups have no labels; what is shown begins after them
        self._snapshots.append((now_s, status))
        while now_s - self._snapshots[0][0] > WINDOW_S:
            self._snapshots.popleft()
        first = self._snapshots[0][1]
        ended = status["labelled"] - first["labelled"]
        answers = status["answered_labelled"] - first["answered_labelled"]
        if ended:
            time_critical = (status["right_in_time"] - first["right_in_time"]) / ended
            self.time_critical = time_critical
            self.history.append((time_critical, contention))
        if answers:
            self.accuracy = (status["right"] - first["right"]) / answers


def render(watch: Watch, elapsed_s: float, total_s: float, *, contention: bool) -> RenderableType:
    """The picture."""
    figures = Table.grid(padding=(0, 3))
    figures.add_row(
        _figure("accuracy of the answers", watch.accuracy, "cyan"),
        _figure("time-critical accuracy", watch.time_critical, "red" if contention else "green"),
    )
    line = Text("time-critical accuracy  ")
    for value, contended in watch.history:
        line.append(_BARS[round(value * (len(_BARS) - 1))], "red" if contended else "green")
    outcomes = ", ".join(f"{name} {count:,}" for name, count in watch.latest.get("outcomes", {}).items() if count)
    state = Text(" CPU CONTENTION ", "bold white on red") if contention else Text(" healthy ", "bold white on green")
    return Panel(
        Group(
            figures,
            line,
            Text(outcomes or "waiting for the first answers", "dim"),
            ProgressBar(total_s, min(elapsed_s, total_s)),
        ),
        title=Text.assemble("Tailgate demo  ", state, f"  {elapsed_s:.0f} of about {total_s:.0f} s"),
    )


def _figure(name: str, value: float | None, style: str) -> Text:
    return Text.assemble((f"{name} ", ""), ("–" if value is None else f"{value:6.1%}", f"bold {style}"))
