"""Hedging in one pool: calls are watched, and once one has taken too long another may be made for the same request.

Whether one is, is decided in `tailgate.policy.hedging`, and who gets it by the pool; here is what comes between.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Protocol

from tailgate.deadline import Deadline
from tailgate.policy.hedging import Hedging
from tailgate.policy.retry_budget import RetryBudget
from tailgate_proxy.call import Second
from tailgate_proxy.pipeline import Watched
from tailgate_proxy.upstreams.attempt import Attempt
from tailgate_proxy.upstreams.member import Member

_log = logging.getLogger(__name__)


class Elsewhere(Protocol):
    """Who knows the members of a pool."""

    def others(self, first: Attempt) -> list[Member]:
        """Those that a second call could be made to; empty also where there must be none."""
        ...

    def hedge(self, second: Second, others: list[Member]) -> None:
        """Make it to one of them."""
        ...


class Hedges:
    """Of one pool.

    Attributes:
        hedging: Decides; None: nothing is hedged.
    """

    def __init__(
        self, elsewhere: Elsewhere, retries: RetryBudget, watch: Callable[[Watched], None], clock: Callable[[], float]
    ) -> None:
        """Nothing is hedged before `use`.

        Args:
            elsewhere: The pool.
            retries: What it may make again.
            watch: Has `time_up` called once a limit has passed.
            clock: Tells the time.
        """
        self.hedging: Hedging | None = None
        self._elsewhere = elsewhere
        self._retries = retries
        self._watch = watch
        self._clock = clock

    def use(self, after: float | None, budget: float) -> None:
        """From now on, make a second call once the first has taken longer than this quantile of its kind; None: never.

        Args:
            after: The quantile.
            budget: Hedges for each request, at most.
        """
        if after is None:
            self.hedging = None
        elif self.hedging is None:
            self.hedging = Hedging(after, budget, self._retries)
        else:
            self.hedging.after, self.hedging.budget = after, budget

    def sent(self, first: Attempt) -> None:
        """All of a call's body was given to its connection: its member's time begins."""
        if self.hedging is None:
            return
        second = first.requester.second()
        if second is None:
            return
        usual_s = second.usual_s(self.hedging.after)
        if usual_s < math.inf:
            self._watch(_Hedge(self, first, second, Deadline(self._clock(), usual_s)))

    def make(self, first: Attempt, second: Second) -> None:
        """A call has taken longer than nearly all: make the other, if that may be."""
        hedging, now_s = self.hedging, self._clock()
        if hedging is None:  # it is configured anew
            return
        others = self._elsewhere.others(first)
        if hedging.refusal(now_s, others=len(others), prospect=second.prospect()) is None:
            hedging.spend(now_s)
            second.take_place()
            self._elsewhere.hedge(second, others)


class _Hedge:
    """One call that is watched.

    Attributes:
        limit: When it has taken longer than nearly all.
    """

    __slots__ = ("_first", "_hedges", "_rung", "_second", "limit")

    def __init__(self, hedges: Hedges, first: Attempt, second: Second, limit: Deadline) -> None:
        self.limit = limit
        self._hedges = hedges
        self._first = first
        self._second = second
        self._rung = False

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to be watched."""
        return self._rung or self._first.over

    def time_up(self) -> None:
        """The limit has passed."""
        self._rung = True
        try:
            self._hedges.make(self._first, self._second)
        except Exception:  # noqa: BLE001 — the first call goes on, and the timer has others to serve
            _log.exception("a request could not be hedged")
            self._second.drop()

    def stop(self) -> None:
        """The proxy stops: the request is told so itself."""
