"""What has come of a simulation so far: tables for the document, claims, the results file.

All is written every few minutes, so that a run of hours can be stopped at any time.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

from bench._common import Claim, machine, markdown_table, write_results
from bench._sim_plan import KINDS
from bench._sim_planted import PLANTED, Found

ALL: Final = (*KINDS, "mixed")
HOURS: Final = 1000.0
QUICK_HOURS: Final = 13.0
WRITE_EVERY_S: Final = 120.0
DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "simulation.md"
BEGIN, END = "<!-- simulated: begin -->", "<!-- simulated: end -->"
HEADER: Final = (
    "what goes wrong", "seeds", "hours", "events", "requests", "faults", "in time", "begun again",
    "as before after, s: half / 95 % / all", "failing",
)  # fmt: skip
PLANTED_HEADER: Final = ("planted", "breaks", "world", "found after, virtual s")
WITHIN: Final = ("half", "95 %", "all")


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of one world.

    Attributes:
        kind: Of the world.
        seed: Of the world.
        hours: Virtual.
        cpu_s: What it took.
        events: That happened.
        requests: That came.
        repeats: Calls to an upstream that were made again.
        back_s: After each fault: how long until all was as before.
        outcomes: How many requests ended how.
        broken: The promise that was broken, when, and how; None: none was.
    """

    kind: str
    seed: int
    hours: float
    cpu_s: float
    events: int
    requests: int
    repeats: int
    back_s: tuple[float, ...]
    outcomes: dict[str, int]
    broken: tuple[str, float, str] | None

    @property
    def replay(self) -> str:
        """What was broken, and the command that runs this world alone."""
        assert self.broken is not None
        promise, at_s, how = self.broken
        command = f"python bench/simulation.py --kind '{self.kind}' --seed {self.seed}"
        return f"BROKEN at {at_s:.3f} s: {promise} ({how}). Alone: {command}"


@dataclass
class Results:
    """What has come of one run so far.

    Attributes:
        hours: Virtual ones that are wanted.
        look: Whether the run is for looking alone: the document stays as it is.
        ran: Worlds.
        found: Planted bugs, in their order.
    """

    hours: float
    look: bool
    ran: list[Ran] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)

    def gather(self, found: Iterable[Found], ran: Iterable[Ran], clock: Callable[[], float] = time.monotonic) -> bool:
        """Take what comes until there is no more, or somebody interrupts, and write it now and then.

        Returns:
            Whether there is no more.
        """
        due_s = clock() + WRITE_EVERY_S
        what_comes: Iterable[Found | Ran] = chain(found, ran)
        try:
            for one in what_comes:
                if isinstance(one, Found):
                    self.found.append(one)
                else:
                    self.ran.append(one)
                    if one.broken is not None:
                        print(one.replay, flush=True)
                if clock() >= due_s:
                    self.write()
                    due_s = clock() + WRITE_EVERY_S
        except KeyboardInterrupt:
            return False
        return True

    @property
    def reached(self) -> float:
        """Virtual hours so far."""
        return sum(one.hours for one in self.ran)

    def claims(self) -> list[Claim]:
        """What is said of them; what is not reached yet does not hold yet."""
        failing = sum(one.broken is not None for one in self.ran)
        caught = sum(one.promise != "" for one in self.found)
        return [
            Claim("virtual hours", round(self.reached, 1), QUICK_HOURS if self.look else HOURS, at_least=True),
            Claim(f"worlds that broke a promise, in {self.reached:.0f} virtual hours", failing, 0),
            Claim("planted bugs found", caught, len(PLANTED), at_least=True),
        ]

    def settings(self) -> dict[str, Any]:
        """What the results file says besides its claims."""
        return {
            "quick": self.hours < HOURS,
            "machine": machine(),
            "cpu_s": round(sum(one.cpu_s for one in self.ran), 1),
            "events": sum(one.events for one in self.ran),
            "requests": sum(one.requests for one in self.ran),
            "faults": sum(len(one.back_s) for one in self.ran),
            "back_s": {
                kind: dict(zip(WITHIN, within(back_s), strict=True))
                for kind in (*ALL, "all")
                if (back_s := self._back_s(kind))
            },
            "failing": [one.replay for one in self.ran if one.broken is not None],
            "planted": [[PLANTED[n].name, one.promise, one.kind, one.seed] for n, one in enumerate(self.found)],
        }

    def write(self) -> None:
        """The results file, and the document's tables if that was written."""
        if not self.ran or not write_results("simulation", self.claims(), **self.settings()) or self.look:
            return
        before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        partial = DOCUMENT.with_name(f".{DOCUMENT.name}")
        partial.write_text(f"{before}{BEGIN}\n{self.tables()}{END}{after}", encoding="utf-8")
        partial.replace(DOCUMENT)

    def tables(self) -> str:
        """Worlds and planted bugs, in Markdown."""
        cpu_s = sum(one.cpu_s for one in self.ran) / max(self.reached, 1.0)
        rows = [self._row(kind) for kind in (*ALL, "all") if self._of(kind)]
        planted = [
            (PLANTED[number].name, one.promise or "**not found**", f"{one.kind} {one.seed}", round(one.at_s, 1))
            for number, one in enumerate(self.found)
        ]
        caught = sum(one.promise != "" for one in self.found)
        return (
            f"{self.reached:.0f} virtual hours, {cpu_s:.0f} s of a core for each ({machine()['cpu']}): "
            f"1,000 of them are {cpu_s * HOURS / 3600.0:.1f} hours of a core.\n\n{markdown_table(HEADER, rows)}\n\n"
            f"**Planted bugs found: {caught} of {len(PLANTED)}.**\n\n{markdown_table(PLANTED_HEADER, planted)}\n"
        )

    def _of(self, kind: str) -> list[Ran]:
        return [one for one in self.ran if kind in (one.kind, "all")]

    def _back_s(self, kind: str) -> list[float]:
        return [seconds for one in self._of(kind) for seconds in one.back_s]

    def _row(self, kind: str) -> tuple[object, ...]:
        these = self._of(kind)
        outcomes = sum((Counter(one.outcomes) for one in these), Counter[str]())
        requests = sum(one.requests for one in these)
        seeds = [one.seed for one in these]
        back_s = self._back_s(kind)
        return (
            kind,
            f"{min(seeds)}–{max(seeds)}",
            round(sum(one.hours for one in these)),
            sum(one.events for one in these),
            requests,
            len(back_s),
            f"{outcomes['ok'] / max(requests, 1):.1%}",
            sum(one.repeats for one in these),
            " / ".join(f"{seconds:.1f}" for seconds in within(back_s)) if back_s else "",
            sum(one.broken is not None for one in these),
        )


def within(back_s: list[float]) -> tuple[float, ...]:
    """After how many seconds all was as before: after half of the faults, 95 % of them, and all."""
    ordered = sorted(back_s)
    return tuple(round(ordered[math.ceil(share * len(ordered)) - 1], 1) for share in (0.5, 0.95, 1.0))
