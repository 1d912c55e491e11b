"""Whose fault it is that an answer came late: of its time, what lay before the proxy, in it and behind it, and for how
much of what lay outside the client itself stood still.

A client that has no core to run on sends late and reads late; by its own clock the answer is late then, whatever the
proxy did. Both clocks of the machine are read on both sides, so the parts of one answer add up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench._raw_client import Asked

BEAT_S: Final = 0.005
"""How often the loop is to come round."""
LEAST_S: Final = 0.02
"""What is less is the ordinary work of a turn."""


class Stalls:
    """When the event loop of this process stood still.

    Attributes:
        spans: From when until when, on the monotonic clock, in rising order.
    """

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []

    async def watch(self) -> None:
        """Note every standstill, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            before_s = loop.time()
            await asyncio.sleep(BEAT_S)
            if loop.time() - before_s > BEAT_S + LEAST_S:
                self.spans.append((before_s, loop.time()))

    def within(self, from_s: float, until_s: float) -> float:
        """For how many of these seconds it stood still."""
        return sum(max(0.0, min(end_s, until_s) - max(start_s, from_s)) for start_s, end_s in self.spans)

    @property
    def total_s(self) -> float:
        """For how long in all."""
        return sum(end_s - start_s for start_s, end_s in self.spans)


@dataclass(frozen=True)
class Parts:
    """The parts of one late answer, in seconds.

    Attributes:
        late_s: How late it was, by its client's clock.
        before_s: From its sending until the proxy's stamp.
        there_s: From there until it was handed to the client's stream.
        after_s: From there until its client had it.
        stood_still_s: Of what lay outside the proxy, for how long its client stood still.
    """

    late_s: float
    before_s: float
    there_s: float
    after_s: float
    stood_still_s: float


def parts(asked: Asked, row: Any, stalls: Stalls) -> Parts:
    """Of an answer, by its client's log, the proxy's row of it and what the client's loop did meanwhile."""
    before_s, there_s = float(row["arrival_unix_s"]) - asked.sent_unix_s, float(row["latency_s"])
    stamped_s = asked.sent_s + before_s
    handed_s = stamped_s + there_s
    return Parts(
        late_s=asked.ended_s - asked.sent_s - asked.budget_s,
        before_s=before_s,
        there_s=there_s,
        after_s=asked.ended_s - handed_s,
        stood_still_s=stalls.within(asked.sent_s, stamped_s) + stalls.within(handed_s, asked.ended_s),
    )


def despite_running(late: Sequence[Parts], tolerance_s: float) -> int:
    """How many answers would be later than that also if their clients had not stood still."""
    return sum(one.late_s - one.stood_still_s > tolerance_s for one in late)
