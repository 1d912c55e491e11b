"""Whether an upstream answers anybody in time: it stands still, say, after it did its work.

Must not live here: what is done about it (`tailgate.policy.admission`).
"""

from __future__ import annotations

from typing import Final

IN_VAIN: Final = 20
"""An upstream is dark after so many calls in a row that were not in time (where one in four is, chance alone does that
once in three hundred times), and"""
IN_VAIN_BUDGETS: Final = 2.0
"""after so many times their budget: too many calls at once are all late only as long as the first of them wait."""


class Darkness:
    """Of one upstream.

    Attributes:
        dark: Whether nothing comes in time any more.
    """

    __slots__ = ("_in_time_s", "_in_vain", "_longest_s", "dark")

    def __init__(self) -> None:
        """It is light, and nothing was seen yet."""
        self.dark = False
        self._in_vain = 0  # calls since the last that was in time
        self._in_time_s = 0.0  # when that was
        self._longest_s = 0.0  # the longest budget among them

    def light(self, now_s: float) -> bool:
        """A call was in time; returns whether it is the first after a darkness."""
        was_dark, self.dark = self.dark, False
        self._in_vain, self._in_time_s, self._longest_s = 0, now_s, 0.0
        return was_dark

    def in_vain(self, now_s: float, budget_s: float, *, proven: bool) -> bool:
        """A call was not in time; returns whether it is dark with it, and was not before.

        Args:
            now_s: Now.
            budget_s: The time that the call had.
            proven: Whether the upstream is known to answer in time: only then can that have ended.
        """
        self._in_vain += 1
        self._longest_s = max(self._longest_s, budget_s)
        lasted_s = now_s - self._in_time_s
        if self.dark or not proven or self._in_vain < IN_VAIN or lasted_s < IN_VAIN_BUDGETS * self._longest_s:
            return False
        self.dark = True
        return True
