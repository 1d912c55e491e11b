"""When a request that one member has not answered yet is given to a second one as well, and when not.

Where one call in a hundred takes far longer than the others for no reason of its own, because a member stands still for
a moment, another member answers sooner than the first one ever will: so the second call is made once the first has
taken longer than nearly all of its kind do. It costs little, for few calls come to that (Dean and Barroso, "The Tail
at Scale", Comm. ACM 56(2), 2013). To an upstream that is short of room it is the opposite of help: all its calls take
long then. So it is made only with room that nobody needs, of a small budget, and where it can still be in time.

Must not live here: how a call is made or cancelled, and who learns from it.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from tailgate.policy.retry_budget import RetryBudget

AFTER: Final = 0.95
"""The paper's own quantile: one call in twenty comes to it."""
BUDGET: Final = 0.05
"""As many as come to that; with fewer, those that are only a little slow would take it from those that stall."""
MOST_SAVED: Final = 20.0
"""So many hedges at once, after a time without any: about as many as a member has in hand when it stops."""
REAL_CHANCE: Final = 0.5
"""Rather in time than not: what is left of the deadline must be at least the time that half of the calls take."""
_EXACT: Final = 1e-6  # what many sums may lose of a token


class Unhedged(Enum):
    """Why a request was given to nobody else, although its call took longer than nearly all."""

    ALONE = "alone"
    """No other member is in use, or too few are well."""
    BUSY = "busy"
    """Others wait for their turn, the upstream is at its limit, or it is not what it was."""
    TOO_LATE = "too_late"
    """Another member's answer would probably be late, too."""
    BUDGET = "budget"
    """Too many were already, or were tried again."""

    __hash__ = object.__hash__  # an enumeration's own is many times as slow


class Prospect(NamedTuple):
    """How it would be with a second call of a request, now.

    Attributes:
        chance: Share of the calls of its kind that take at most the time it has left.
        spare: Whether there is room that nobody needs.
    """

    chance: float
    spare: bool


class Hedging:
    """Of one upstream.

    Attributes:
        after: The quantile of the time of its kind after which a call is worth a second one.
        budget: Hedges for each request, at most.
        unhedged: How often there was none, by why.

    >>> hedging = Hedging(0.95, 0.5, retries := RetryBudget())
    >>> for _ in range(20):
    ...     retries.request(0.0)
    ...     hedging.request()
    >>> hedging.refusal(0.0, others=1, prospect=Prospect(0.9, spare=True)) is None
    True
    >>> hedging.refusal(0.0, others=1, prospect=Prospect(0.9, spare=False))
    <Unhedged.BUSY: 'busy'>
    """

    def __init__(self, after: float, budget: float, retries: RetryBudget) -> None:
        """Nothing is saved up yet.

        Args:
            after: Above 0, below 1.
            budget: The same.
            retries: Of the same upstream, which together with hedges are a tenth of its requests at most.
        """
        self.after = after
        self.budget = budget
        self.unhedged = dict.fromkeys(Unhedged, 0)
        self._retries = retries
        self._saved = 0.0

    def request(self) -> None:
        """A request came, whose first call is now made."""
        self._saved = min(self._saved + self.budget, MOST_SAVED)

    def refusal(self, now_s: float, *, others: int, prospect: Prospect) -> Unhedged | None:
        """Why a request whose call has taken so long is given to nobody else; None: it may be, and `spend` comes next.

        Args:
            now_s: The time.
            others: Members that could be asked instead.
            prospect: Of a second call.
        """
        if not others:
            why = Unhedged.ALONE
        elif not prospect.spare:
            why = Unhedged.BUSY
        elif prospect.chance < REAL_CHANCE:
            why = Unhedged.TOO_LATE
        elif self._saved < 1.0 - _EXACT or not self._retries.covers_hedge(now_s):
            why = Unhedged.BUDGET
        else:
            return None
        self.unhedged[why] += 1
        return why

    def spend(self, now_s: float) -> None:
        """It was given to another."""
        self._saved -= 1.0
        self._retries.spend(now_s)
