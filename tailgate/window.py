"""Tumbling windows over live traffic, by the time at which requests arrived.

Lives here: which window a request and its label belong to, and when a window is final. Must not live here: a clock (`now`
is an argument), or what windows mean (`counts.py`, `history.py`).

A window is made of `BLOCKS` blocks. Requests and labels are counted in their block, in any order, until the window is
*final*: when its end is `wait_s` old. From then on it never changes; what comes later is counted apart. A block is *ripe*
when its own end is `wait_s` old: then it can be shown to a detector, which need not wait for the rest of its window.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tailgate.counts import Counts
from tailgate.observation import Observation, Verdict
from tailgate.outcome import PROXY_OUTCOMES, Outcome

BLOCKS: Final = 10
"""Of one window. The running estimate loses one at a time, so it moves by a tenth of a window and does not jump."""

_ROOM_WINDOWS = 4  # that may be open at once, beside those that wait: a loop that stood still finds its way back
_RIGHT: Final = Verdict.RIGHT


@dataclass(slots=True)
class Tally:
    """Everything that is counted of one stretch of traffic.

    Attributes:
        counts: Its sums.
        outcomes: Requests by outcome.
        latency: Requests by latency: how many up to each bound (inclusive) and above the one before; the last are
            those above all bounds.
        right_latency: The same of right answers, late ones included.
    """

    latency: list[int]
    right_latency: list[int]
    counts: Counts = field(default_factory=Counts)
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(PROXY_OUTCOMES, 0))

    @classmethod
    def empty(cls, bounds_s: tuple[float, ...]) -> Tally:
        """A stretch without traffic."""
        width = len(bounds_s) + 1
        return cls([0] * width, [0] * width)

    def add(self, other: Tally) -> None:
        """Add another stretch to this one."""
        self.counts.add(other.counts)
        for outcome, count in other.outcomes.items():
            self.outcomes[outcome] += count
        self.latency = [mine + its for mine, its in zip(self.latency, other.latency, strict=True)]
        self.right_latency = [mine + its for mine, its in zip(self.right_latency, other.right_latency, strict=True)]

    def remove_distributions(self, other: Tally) -> None:
        """Take the outcomes and latencies of a stretch away again; its counts, which are not all whole, stay."""
        for outcome, count in other.outcomes.items():
            self.outcomes[outcome] -= count
        self.latency = [mine - its for mine, its in zip(self.latency, other.latency, strict=True)]
        self.right_latency = [mine - its for mine, its in zip(self.right_latency, other.right_latency, strict=True)]


class Window(NamedTuple):
    """A window that is final.

    Attributes:
        index: Of its place: windows in direct succession count up by one.
        from_unix_s: When it began; it holds what arrived then, and nothing that arrived as it ended.
        tally: What was counted in it.
    """

    index: int
    from_unix_s: float
    tally: Tally


class Block(NamedTuple):
    """A block that is ripe, and in which something arrived."""

    until_unix_s: float
    counts: Counts


class Progress(NamedTuple):
    """What became ripe, and what final, in order."""

    blocks: list[Block]
    windows: list[Window]


@dataclass
class TooLate:
    """What could not be counted in its window.

    Attributes:
        requests: That ended after their window was final.
        labels: That were known after the window of their request was final.
    """

    requests: int = 0
    labels: int = 0


class Windows:
    """The windows of one series that are not final yet, and the running estimate.

    Memory is bounded: blocks are kept while their window is open or they belong to the running estimate, and at most so
    many that a clock set far ahead cannot fill it.
    """

    def __init__(
        self, bounds_s: tuple[float, ...], *, window_s: float = 60.0, wait_s: float = 10.0, keep_windows: int = 1440
    ) -> None:
        """Start with no traffic, and nothing final.

        Args:
            bounds_s: Upper bounds of the latency histograms, rising.
            window_s: Length of a window; windows begin at whole multiples of it.
            wait_s: How long after its end a window waits for what is still on its way.
            keep_windows: How many windows are made up for, at most, after a gap in time.

        Raises:
            ValueError: A length is not above 0, or `wait_s` is negative.
        """
        if not (window_s > 0 and wait_s >= 0 and keep_windows > 0):
            raise ValueError(
                f"window_s is {window_s}, wait_s {wait_s}, keep_windows {keep_windows}; "
                "expected a length above 0, a wait of at least 0, and at least one window"
            )
        self.too_late = TooLate()
        self.window_s = window_s
        self.block_s = window_s / BLOCKS
        self._bounds_s = bounds_s
        self._wait_s = wait_s
        self._keep_windows = keep_windows
        self._room = _ROOM_WINDOWS * BLOCKS + math.ceil(wait_s / self.block_s)
        self._blocks: dict[int, Tally] = {}
        self._ripe = 0  # the first block that is not ripe
        self._final = 0  # the first window that is not final; 0 is 1970

    def observe(self, observation: Observation) -> None:
        """A request ended."""
        tally = self._block(observation.arrival_unix_s)
        if tally is None:
            self.too_late.requests += 1
            return
        tally.counts.observe(observation.outcome)
        tally.outcomes[observation.outcome] += 1
        tally.latency[bisect_left(self._bounds_s, observation.latency_s)] += 1

    def judge(self, observation: Observation, weight: float = 1.0) -> None:
        """The label of a request is known and settled. It may come before or after `observe` of the same request.

        Raises:
            ValueError: The weight is not above 0, or not finite.
        """
        tally = self._block(observation.arrival_unix_s)
        if tally is None:
            self.too_late.labels += 1
            return
        right = observation.verdict is _RIGHT
        tally.counts.judge(observation.outcome, right=right, weight=weight)
        if right:
            tally.right_latency[bisect_left(self._bounds_s, observation.latency_s)] += 1

    def advance(self, now_unix_s: float) -> Progress:
        """Time went on.

        A clock that is set back by more than a window begins anew: what was open is given up, and counted as too late,
        rather than nothing be counted until the clock is again where it was.
        """
        ripe = max(self._place(now_unix_s - self._wait_s), 0)
        if ripe < self._ripe - BLOCKS:
            self._give_up()
            self._ripe, self._final = ripe, ripe // BLOCKS
        if ripe <= self._ripe:
            return Progress([], [])
        blocks = [
            Block((index + 1) * self.block_s, self._blocks[index].counts)
            for index in sorted(self._blocks)
            if self._ripe <= index < ripe
        ]
        windows = [self._closed(index) for index in range(self._first_to_close(ripe // BLOCKS), ripe // BLOCKS)]
        self._ripe, self._final = ripe, ripe // BLOCKS
        running = self._running(now_unix_s)
        for index in [index for index in self._blocks if index < min(self._final * BLOCKS, running)]:
            del self._blocks[index]
        return Progress(blocks, windows)

    def running(self, now_unix_s: float) -> tuple[float, Counts]:
        """What arrived in the last window's length, to a block: since when, and its counts."""
        first = self._running(now_unix_s)
        tallies = [self._blocks[index] for index in range(first, first + BLOCKS) if index in self._blocks]
        return first * self.block_s, Counts.sum(tally.counts for tally in tallies)

    def _place(self, at_unix_s: float) -> int:
        """The block of a time. Windows begin where they say, to the last bit, also where a tenth of one is no float."""
        window = at_unix_s // self.window_s
        within = int((at_unix_s - window * self.window_s) // self.block_s)
        return int(window) * BLOCKS + min(within, BLOCKS - 1)

    def _block(self, at_unix_s: float) -> Tally | None:
        index = self._place(at_unix_s)
        if index < self._final * BLOCKS:
            return None
        tally = self._blocks.get(index)
        if tally is None and len(self._blocks) < self._room:
            tally = self._blocks[index] = Tally.empty(self._bounds_s)
        return tally

    def _running(self, now_unix_s: float) -> int:
        """The first block of the running estimate."""
        return self._place(now_unix_s) - BLOCKS + 1

    def _first_to_close(self, final: int) -> int:
        """The first window to close where those before `final` become final."""
        if self._final:
            return max(self._final, final - self._keep_windows)
        oldest = min(self._blocks, default=final * BLOCKS) // BLOCKS  # nothing was final: begin with the first request
        return max(oldest, final - self._keep_windows)

    def _closed(self, index: int) -> Window:
        total = Tally.empty(self._bounds_s)
        for block in range(index * BLOCKS, (index + 1) * BLOCKS):
            tally = self._blocks.get(block)
            if tally is not None:
                total.add(tally)
        return Window(index, index * self.window_s, total)

    def _give_up(self) -> None:
        for index, tally in self._blocks.items():
            if index >= self._final * BLOCKS:
                self.too_late.requests += tally.counts.requests
                self.too_late.labels += tally.counts.labelled
        self._blocks.clear()
