"""Which answers are looked at more closely, where looking at all of them would cost too much.

Lives here: the choice, as a function of time and chance. Must not live here: a clock, or what is looked at.
"""

from __future__ import annotations

import math
import random


class Sampler:
    """Chooses by chance alone, about so many a second, whatever the rate.

    Each that is chosen stands for as many as it was chosen from, so that sums over those that were chosen, each counted
    so often, are right on average (Horvitz and Thompson, 1952).
    """

    def __init__(self, per_second: int, seed: int | None = None) -> None:
        """Begin by choosing every one.

        Args:
            per_second: How many a second are to be chosen at most, about; 0: none. In the first second of a surge it
                may be a few times as many.
            seed: Of the choice.
        """
        self._per_second = per_second
        self._random = random.Random(seed).random  # noqa: S311 — a sample, no secret
        self._second = 0
        self._seen = 0
        self._chosen = 0
        self._one_in = 1

    def stands_for(self, now_s: float) -> int:
        """One more has come: how many it stands for; 0 if it is not chosen.

        Args:
            now_s: On any clock that does not go backwards.
        """
        if not self._per_second:
            return 0
        second = int(now_s)
        if second != self._second:
            rate = self._seen if second == self._second + 1 else 0
            self._one_in = max(math.ceil(rate / self._per_second), 1)
            self._second, self._seen, self._chosen = second, 0, 0
        self._seen += 1
        one_in = self._one_in
        if one_in > 1 and self._random() * one_in >= 1.0:
            return 0
        self._chosen += 1
        if self._chosen >= 2 * self._per_second:
            self._one_in, self._chosen = 2 * one_in, self._per_second
        return one_in
