"""How strict to be in refusing what will probably be late, so that few are refused that need not have been.

What a refused request would have come to nobody sees. So some that would be refused are tried: they wait behind all
others, take nobody's place, and are sent only while there is room for them. One of those that is answered in time was
a false refusal. The strictness goes down with each, and up with each that was rightly refused, by steps whose ratio
is that of the ceiling; the long-run share of false refusals then ends at the ceiling or under it, whatever the
upstream does: adaptive conformal inference (Gibbs and Candès, NeurIPS 2021, proposition 4.1). At strictness 0 nothing
is refused, so that nothing is tried, and nothing could raise it again; there, what would be refused at 1 counts as
rightly not refused. What comes of one that is tried is known only later: those that are under way meanwhile may all be
false at the end of an overload, and none of them is forgotten, however low the strictness is already.
"""

from __future__ import annotations

import random
from typing import Final

CEILING: Final = 0.1
"""Share of refusals that may be false."""
STEP: Final = 0.1
"""Ten false refusals in a row end all refusing; the share is held to the ceiling within 1/(STEP × tried)."""
SHARE: Final = 0.02
"""Share of would-be refusals that is tried."""
UNDER_WAY: Final = 4
"""While so many are, no other is tried by chance alone: when an overload ends, all of them may come in time at once,
and before that is known the strictness is what it was."""
LEAST_S: Final = 0.1
TIMES: Final = 10.0
"""One is tried at least every `LEAST_S`, or every ten times as long as the upstream takes: where all is refused, only
these notice that the upstream is well again. Alone they take a tenth of one place."""


class FalseRefusals:
    """The strictness for one upstream.

    Attributes:
        tried: Would-be refusals that were tried, and of which it is known what came of them.
        in_time: How many of those were answered in time.
    """

    __slots__ = ("_ceiling", "_level", "_random", "_tried_s", "in_time", "tried")

    def __init__(self, ceiling: float = CEILING, seed: int | None = None) -> None:
        """Begin strict.

        Args:
            ceiling: Largest share of false refusals.
            seed: Of the choice which are tried.
        """
        self._ceiling = ceiling
        self._random = random.Random(seed).random  # noqa: S311 — a sample, no secret
        self._tried_s = float("-inf")
        self._level = 1.0  # below 0, too: cut off at 0 it would be forgotten how far it had gone down
        self.tried = 0
        self.in_time = 0

    @property
    def strictness(self) -> float:
        """From 0, refuse nothing, to 1."""
        return max(self._level, 0.0)

    def tries(self, now_s: float, upstream_s: float, *, under_way: int = 0) -> bool:
        """Whether one that would be refused now is to be tried.

        Args:
            now_s: Now.
            upstream_s: How long the upstream takes, about.
            under_way: Of how many that are tried it is not known yet what comes of them.
        """
        due = now_s - self._tried_s >= max(LEAST_S, TIMES * upstream_s)
        if due or (under_way < UNDER_WAY and self._random() < SHARE):
            self._tried_s = now_s
            return True
        return False

    def scored(self, *, in_time: bool) -> None:
        """One that was tried has ended."""
        self.tried += 1
        self.in_time += in_time
        if in_time:
            self._level -= STEP * (1.0 - self._ceiling)
        else:
            self.spared()

    def spared(self) -> None:
        """One that would be refused at 1 was not, at 0; one of those that would have been tried."""
        self._level = min(self._level + STEP * self._ceiling, 1.0)
