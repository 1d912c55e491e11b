"""How many calls an upstream is given at once: found from what it does with them, and followed when that changes.

By Little's law (Oper. Res. 9, 1961) a server that has n calls and takes t for each answers n / t a second, so every
call that ends tells the rate at the n it was sent with: nothing has to be timed, and the climb of the rate with n is
known from quiet times, too. Only answers in time count. Of all n the best is where

    rate(n) ** EAGER / t(n)

is largest: Kleinrock's generalized power (Int. Conf. on Communications, 1979). One that works on c calls at once is
best at c, whatever the exponent; one that batches, where more calls would bring it less than a fifth of their share:
doubling them fewer than 15 % more answers. A limit by a base time (Vegas, gradient) would take the longer time of a
larger batch for a queue.

Under load the limit goes back and forth between neighbouring levels, so that what is compared is of the same minutes
(the stochastic approximation of Kiefer and Wolfowitz, Ann. Math. Stat. 23, 1952); what was not seen for long is
forgotten, and looked at again.

After a time in which nothing came in time, and the limit was cut for it, it need not be found again step by step: every
call in time adds one until the limit is what it was, as a connection's window after a loss (slow start: Jacobson,
SIGCOMM 1988), so it doubles with each call's time.
"""

from __future__ import annotations

import math
from typing import Final

from tailgate.policy.levels import FORGOTTEN, LEVELS, Level, index_of

EAGER: Final = 4.0
"""How much more a hundredth of the rate is worth than a hundredth of the time."""
START: Final = 32
"""The limit before anything is known: more than a server without batching has workers, and one that batches is found
to want more within a second of load; with three times as much an overload at the very start costs seconds."""
LATEST: Final = 32
"""Calls that make the latest: by them it is seen that the upstream has become slower or quicker."""
ANOTHER: Final = 2.0
"""Where the latest calls take so many times as long, or as short, as is known of their levels, the upstream is
another, and all that is known is forgotten: it stood still, say, or does so no longer. By chance the mean of so many
calls is not off by this even where they vary by as much as their mean."""
LASTING: Final = 64
"""For so many calls in a row that has to be so before all is forgotten, and nothing is learned of them: a machine that
is disturbed for a moment is the same afterwards, and the few calls of that moment would be all that is known then."""
KNOWN: Final = 8.0
"""Calls without which nothing is known of a level."""
LEAST_VISIT: Final = 16
"""Calls for which the limit stays, at least."""
SETBACK: Final = 4
"""On the way back to an earlier limit one call in so many may be late, and one more; beyond that it is no longer the
right one, and the way is gone step by step."""
VISITS: Final[tuple[int, ...]] = (1, 0, 1, 2)
"""Levels above the best, in the order of the visits: mostly one above, for a place that is free while an answer is on
its way back costs more than a short wait at the upstream."""
AS_MUCH: Final = 0.87
"""The lowest level that brings so much of the best one's rate is what the upstream works on at once: one more only
bridges the time that an answer is on its way, and the others wait there. One that works on more would be brought five
sixths of its rate by the level below, at most."""
WARY: Final[tuple[int, ...]] = (0, 0, 0, 0, 0, 0, 0, 1)
"""The same where it is known that one above brings fewer answers in time: where deadlines are tight."""


class ConcurrencyLimit:
    """The limit of one upstream, or of several that share its load.

    Attributes:
        limit: Calls at once, now.
        best: The level that is best by what is known, without the going back and forth.
        proven: The latest level at which most calls were in time; 0 before there was one.
        workers: How many the upstream works on at once, about; more wait there.
    """

    __slots__ = (
        "_at",
        "_back",
        "_calls",
        "_doubted",
        "_expected",
        "_levels",
        "_most",
        "_peak",
        "_seconds",
        "_setbacks",
        "_target",
        "_until",
        "_visit",
        "_visits",
        "limit",
        "proven",
        "workers",
    )

    def __init__(self, most: int = LEVELS[-1]) -> None:
        """Start at `START`; never give more than `most`."""
        self._levels = [Level() for _ in LEVELS]
        self._most = most
        self._at = index_of(min(START, most))
        self._visit = 0
        self._visits = VISITS
        self._until = LEAST_VISIT
        self._calls = 0
        self._doubted = 0  # calls in a row for which the upstream has seemed to be another
        self._seconds = 0.0  # of a call, on average over the latest
        self._expected = 0.0  # of the same calls: what is known of their levels
        self._peak = 0.0  # calls that end in a second at the best level
        self._target = 0  # the level that was proven before nothing came in time any more
        self._back = False  # whether the limit is on its way back to that
        self._setbacks = 0.0
        self.limit = self.workers = min(START, most)
        self.proven = 0

    @property
    def best(self) -> int:
        """The number at which it does best, by what is known."""
        return min(LEVELS[self._at], self._most)

    @property
    def returning(self) -> bool:
        """Whether it is on its way back to what it was before nothing came in time."""
        return self._back

    @property
    def seconds(self) -> float:
        """How long a call is there, on average over the latest; 0 before the first."""
        return self._seconds

    @property
    def rate(self) -> float:
        """Calls that end in a second while the limit is used up; 0 before the first has.

        That of the best level, corrected by how much longer or shorter the latest calls took than their levels say.
        """
        if not self._seconds:
            return 0.0
        return self._peak * self._expected / self._seconds if self._peak else self.limit / self._seconds

    def ended(
        self, at_once: int, seconds: float, *, good: bool, refused: bool = False, worked_s: float | None = None
    ) -> None:
        """A call has ended.

        Args:
            at_once: How many there were when it was sent, itself among them.
            seconds: How long it was there.
            good: Whether it was answered, and in time.
            refused: Whether the upstream refused it. It does so at once, and must not seem quick for that: such a call
                counts as if it had taken as long as others.
            worked_s: For how much of that time it did not wait there for others; None: for all of it.
        """
        if refused:
            seconds = max(seconds, self._seconds)
            worked_s = None
        seconds = max(seconds, 1e-6)
        if self._back:
            self._return(at_once, good=good)
        level = self._levels[index_of(at_once)]
        self._calls += 1
        if not self._doubted or not level.calls:
            level.add(self._calls, at_once, seconds, seconds if worked_s is None else worked_s, good=good)
        expected = level.seconds / level.calls
        newest = 1.0 / min(self._calls, LATEST)
        self._seconds += (seconds - self._seconds) * newest
        self._expected += (expected - self._expected) * newest
        if 1.0 / ANOTHER < self._seconds / self._expected < ANOTHER:
            self._doubted = 0
        else:
            self._doubted += 1
            if self._doubted >= LASTING:
                self._forget()
        self._until -= 1
        if self._until <= 0 and not self._back:
            self._move()

    def lost(self) -> None:
        """Nothing comes in time any more, whatever the limit: the one that served well is to be returned to."""
        self._target, self._back = self.proven, False

    def found(self) -> None:
        """The first call in time after that: what is known is of another time, and the way back begins."""
        self._seconds = self._expected = self._peak = 0.0
        self._calls = self._doubted = 0
        self._levels = [Level() for _ in LEVELS]
        self._visits = VISITS
        self._back, self._setbacks = self._target > self.limit, 1.0

    def _return(self, at_once: int, *, good: bool) -> None:
        """One place more for each call in time, until the limit is what it was, or has shown that it is too high."""
        if good:
            self.limit += 1
            self._setbacks = min(self._setbacks + 1.0 / SETBACK, 1.0 + self.limit / SETBACK)
        elif at_once <= self.limit:  # else it is of the time before
            self._setbacks -= 1.0
        if self.limit >= self._target or self._setbacks < 0.0:
            self._at, self._target, self._back = index_of(self.limit), 0, False
            self.workers = self.limit
            self._visit, self._until = 0, max(LEAST_VISIT, self.limit)

    def _forget(self) -> None:
        """Keep the limit and the rate, and learn all else anew."""
        self._doubted = 0
        self._peak = self.rate
        self._expected = self._seconds
        self._levels = [Level() for _ in LEVELS]
        self._visits = VISITS

    def _move(self) -> None:
        """Look at what is known, and go on to the next visit."""
        known = [
            index
            for index, level in enumerate(self._levels)
            if level.calls >= KNOWN and self._calls - level.last <= FORGOTTEN
        ]
        if known:
            self._at = self._climb(known)
            at = self._levels[min(known, key=lambda index: abs(index - self._at))]
            self._peak = at.at_once / at.seconds
            self.workers = self._at_once(known)
            if 2.0 * at.good > at.calls:
                self.proven = self.best
            self._visits = WARY if self._falls(known) else VISITS
        self._visit = (self._visit + 1) % len(self._visits)
        self.limit = min(LEVELS[min(self._at + self._visits[self._visit], len(LEVELS) - 1)], self._most)
        self._until = max(LEAST_VISIT, self.limit)

    def _at_once(self, known: list[int]) -> int:
        """How many the upstream works on at once: the fewest that bring about as much as it does best with."""
        for index in known:
            level = self._levels[index]
            if index < self._at and level.at_once >= AS_MUCH * self._peak * level.seconds:
                return LEVELS[index]
        return self.best

    def _climb(self, known: list[int]) -> int:
        here, top = self._at, known[-1]
        if all(self._levels[index].good <= 0.0 for index in known):
            return index_of(max(LEVELS[min(here, top)] // 2, 1))  # too many by far: nothing comes in time
        worth = {index: self._worth(index) for index in known}
        best = max(known, key=lambda index: worth[index][0])
        near = min(known, key=lambda index: abs(index - here))
        if best != near and not _differ(worth[best], worth[near]):
            return here  # chance alone must not move it, or it would drive it anywhere
        if best == top:  # there is nothing that says that more would not be better still
            return max(here, best)
        if best > 0 and not (best - 1 in worth and _differ(worth[best], worth[best - 1])):
            return best - 1  # and there is nothing that says that fewer would not be as good
        return best

    def _falls(self, known: list[int]) -> bool:
        """Whether one level above brings fewer answers in time for the same work, rather than as many that take longer.

        What a call waits there is none: where all are sent at once, as those of a burst are, the one too many waits as
        long as the others take, and by the rate of its level that one would seem to do harm.
        """
        here, above = self._at, self._at + 1
        if here not in known or above not in known:
            return False
        one, other = self._levels[here], self._levels[above]
        if one.good <= 0.0 or other.good <= 0.0 or one.worked <= 0.0 or other.worked <= 0.0:
            return one.good > 0.0
        error = math.sqrt(self._worth(here)[1] + self._worth(above)[1]) / (EAGER + 1.0)
        return math.log(one.good / one.worked) - math.log(other.good / other.worked) > error

    def _worth(self, index: int) -> tuple[float, float]:
        """The logarithm of a level's power, and the square of its standard error."""
        level = self._levels[index]
        calls = level.calls
        at_once, seconds = level.at_once / calls, level.seconds / calls
        # As if one more call had been there for as long as usual and in vain: so few lucky ones prove nothing.
        share = level.good / (calls + 1.0)
        if share <= 0.0:
            return -math.inf, 0.0
        spent = (level.seconds + self._seconds) / (calls + 1.0)
        rate = at_once * share / spent
        variation = max(level.squares / calls / seconds**2 - 1.0, 0.0) + (1.0 - min(share, 1.0)) / share
        error = (EAGER + 1.0) ** 2 * variation / calls
        return (EAGER + 1.0) * math.log(rate) - math.log(at_once), error


def _differ(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether one level is worth more than another by more than chance makes of it: by a standard error."""
    return one[0] - other[0] > math.sqrt(one[1] + other[1])
