"""Tumbling windows over live traffic, by the time at which requests arrived.

Lives here: which window a request and its label belong to, and when a window is final. Must not live here: a clock
(`now` is an argument), or what windows mean (`counts.py`, `history.py`).

A window is made of `BLOCKS` blocks. Requests and labels are counted in their block, in any order, until the window is
*final*: when its end is `wait_s` old. From then on it never changes; what comes later is counted apart. A block is
*ripe* when its own end is `wait_s` old: some blocks together can then be shown to a detector, which need not wait for
the rest of the window.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Final, NamedTuple

from tailgate.counts import Counts
from tailgate.observation import Observation, Verdict
from tailgate.tally import Tally

BLOCKS: Final = 10
"""Of one window. The running estimate loses one at a time, so it moves by a tenth of a window and does not jump."""

_ROOM_WINDOWS = 4  # that may be open at once, beside those that wait: a loop that stood still finds its way back
_RIGHT: Final = Verdict.RIGHT


class Window(NamedTuple):
    """A window that is final.

    Attributes:
        number: Of windows since 1970; those in direct succession count up by one.
        from_unix_s: When it began; it holds what arrived then, and nothing that arrived as it ended.
        tally: What was counted in it.
    """

    number: int
    from_unix_s: float
    tally: Tally


class Ripe(NamedTuple):
    """Some blocks that became ripe, and in which something arrived, as one."""

    until_unix_s: float
    counts: Counts


class Progress(NamedTuple):
    """What became ripe, and what final, in order."""

    ripe: list[Ripe]
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


class _Hot:
    """The block that was counted in last, where most likely the next request belongs as well."""

    __slots__ = ("counts", "from_unix_s", "tally", "until_unix_s")

    def __init__(self, from_unix_s: float, until_unix_s: float, counts: Counts, tally: Tally) -> None:
        self.from_unix_s = from_unix_s
        self.until_unix_s = until_unix_s
        self.counts = counts
        self.tally = tally

    def holds(self, at_unix_s: float) -> bool:
        """Whether it is the block of this time."""
        return self.from_unix_s <= at_unix_s < self.until_unix_s


_NOWHERE: Final = _Hot(math.inf, -math.inf, Counts(), Tally([], []))


class Windows:
    """The windows of one series that are not final yet, and the running estimate.

    Memory is bounded: blocks are kept while their window is open or they belong to the running estimate, and at most so
    many that a clock set far ahead cannot fill it.
    """

    def __init__(
        self,
        bounds_s: tuple[float, ...],
        *,
        window_s: float = 60.0,
        wait_s: float = 10.0,
        keep_windows: int = 1440,
        blocks_at_once: int = 5,
    ) -> None:
        """Start with no traffic, and nothing final.

        Args:
            bounds_s: Upper bounds of the latency histograms, rising.
            window_s: Length of a window; windows begin at whole multiples of it.
            wait_s: How long after its end a window waits for what is still on its way.
            keep_windows: How many windows are made up for, at most, after a gap in time.
            blocks_at_once: How many ripe blocks are shown as one; a divisor of `BLOCKS`.

        Raises:
            ValueError: A length is not above 0, `wait_s` is negative, or `blocks_at_once` is no divisor.
        """
        if not (window_s > 0 and wait_s >= 0 and keep_windows > 0):
            raise ValueError(
                f"window_s is {window_s}, wait_s {wait_s}, keep_windows {keep_windows}; "
                "expected a length above 0, a wait of at least 0, and at least one window"
            )
        if blocks_at_once < 1 or BLOCKS % blocks_at_once:
            raise ValueError(f"blocks_at_once is {blocks_at_once}; expected 1, 2, 5 or {BLOCKS}")
        self.too_late = TooLate()
        self.window_s = window_s
        self.block_s = window_s / BLOCKS
        self._bounds_s = bounds_s
        self._wait_s = wait_s
        self._keep_windows = keep_windows
        self._at_once = blocks_at_once
        self._room = _ROOM_WINDOWS * BLOCKS + math.ceil(wait_s / self.block_s)
        self._blocks: dict[int, Counts] = {}
        self._tallies: dict[int, Tally] = {}  # of open windows; their counts are still in their blocks
        self._hot = _NOWHERE
        self._ripe = 0  # the first block that is not ripe
        self._final = 0  # the first window that is not final; 0 is 1970

    def fall_due(self, arrival_unix_s: float) -> None:
        """The deadline of a request has passed, and it goes on: it is late now, whatever becomes of it.

        So an upstream that hangs shows at once, rather than when, and if, it answers.
        """
        hot = self._hot if self._hot.holds(arrival_unix_s) else self._open(arrival_unix_s)
        if hot is None:
            self.too_late.requests += 1
        else:
            hot.counts.requests += 1

    def observe(self, observation: Observation) -> None:
        """A request ended; one that is overdue was counted before, by `fall_due`, and only how it ended is added."""
        at_unix_s = observation.arrival_unix_s
        hot = self._hot if self._hot.holds(at_unix_s) else self._open(at_unix_s)
        if hot is None:
            self.too_late.requests += not observation.overdue
            return
        outcome, tally = observation.outcome, hot.tally
        if not observation.overdue:
            hot.counts.observe(outcome, observation.expected)
        tally.outcomes[outcome] += 1
        tally.latency[bisect_left(self._bounds_s, observation.latency_s)] += 1

    def judge(self, observation: Observation, weight: float = 1.0) -> None:
        """The label of a request is known and settled. It may come before or after `observe` of the same request.

        Raises:
            ValueError: The weight is not above 0, or not finite.
        """
        at_unix_s = observation.arrival_unix_s
        hot = self._hot if self._hot.holds(at_unix_s) else self._open(at_unix_s)
        if hot is None:
            self.too_late.labels += 1
            return
        right = observation.verdict is _RIGHT
        hot.counts.judge(observation.outcome, right=right, weight=weight)
        if right:
            hot.tally.right_latency[bisect_left(self._bounds_s, observation.latency_s)] += 1

    def advance(self, now_unix_s: float) -> Progress:
        """Time went on.

        A clock that is set back by more than a window begins anew: what was open is given up, and counted as too late,
        rather than nothing be counted until the clock is again where it was.
        """
        ripe = max(self._place(now_unix_s - self._wait_s), 0)
        if ripe < self._ripe - BLOCKS:
            self._give_up()
            self._hot = _NOWHERE
            self._ripe, self._final = ripe, ripe // BLOCKS
        if ripe <= self._ripe:
            return Progress([], [])
        self._hot = _NOWHERE
        groups = {index // self._at_once for index in self._blocks}
        shown = [
            self._shown(group)
            for group in sorted(groups)
            if self._ripe // self._at_once <= group < ripe // self._at_once
        ]
        windows = [self._closed(number) for number in range(self._first_to_close(ripe // BLOCKS), ripe // BLOCKS)]
        self._ripe, self._final = ripe, ripe // BLOCKS
        running = self._running(now_unix_s)
        for index in [index for index in self._blocks if index < min(self._final * BLOCKS, running)]:
            del self._blocks[index]
        for number in [number for number in self._tallies if number < self._final]:
            del self._tallies[number]  # of windows that are too long gone to be made up for
        return Progress(shown, windows)

    def running(self, now_unix_s: float) -> tuple[float, Counts]:
        """What arrived in the last window's length, to a block: since when, and its counts."""
        first = self._running(now_unix_s)
        return first * self.block_s, self._counts(first, BLOCKS)

    def _place(self, at_unix_s: float) -> int:
        """The block of a time. Windows begin where they say, to the last bit, also where a tenth of one is no float."""
        window = at_unix_s // self.window_s
        within = int((at_unix_s - window * self.window_s) // self.block_s)
        return int(window) * BLOCKS + min(within, BLOCKS - 1)

    def _open(self, at_unix_s: float) -> _Hot | None:
        """Where to count what arrived then; None if that is final, or there is no room."""
        index = self._place(at_unix_s)
        if index < self._final * BLOCKS:
            return None
        counts = self._blocks.get(index)
        if counts is None:
            if len(self._blocks) >= self._room:
                return None
            counts = self._blocks[index] = Counts()
        window, within = divmod(index, BLOCKS)
        tally = self._tallies.get(window)
        if tally is None:
            tally = self._tallies[window] = Tally.empty(self._bounds_s)
        start_s, until_s = window * self.window_s, (window + 1) * self.window_s
        self._hot = _Hot(
            start_s + within * self.block_s,
            until_s if within == BLOCKS - 1 else start_s + (within + 1) * self.block_s,
            counts,
            tally,
        )
        return self._hot

    def _counts(self, first: int, blocks: int) -> Counts:
        return Counts.sum(self._blocks[index] for index in range(first, first + blocks) if index in self._blocks)

    def _shown(self, group: int) -> Ripe:
        first = group * self._at_once
        return Ripe((first + self._at_once) * self.block_s, self._counts(first, self._at_once))

    def _running(self, now_unix_s: float) -> int:
        """The first block of the running estimate."""
        return self._place(now_unix_s) - BLOCKS + 1

    def _first_to_close(self, final: int) -> int:
        """The first window to close where those before `final` become final."""
        if self._final:
            return max(self._final, final - self._keep_windows)
        oldest = min(self._blocks, default=final * BLOCKS) // BLOCKS  # nothing was final: begin with the first request
        return max(oldest, final - self._keep_windows)

    def _closed(self, number: int) -> Window:
        tally = self._tallies.pop(number, None)
        if tally is None:
            tally = Tally.empty(self._bounds_s)
        tally.counts = self._counts(number * BLOCKS, BLOCKS)
        return Window(number, number * self.window_s, tally)

    def _give_up(self) -> None:
        for index, counts in self._blocks.items():
            if index >= self._final * BLOCKS:
                self.too_late.requests += counts.requests
                self.too_late.labels += counts.labelled
        self._blocks.clear()
        self._tallies.clear()
