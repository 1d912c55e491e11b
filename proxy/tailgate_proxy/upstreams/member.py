"""One server of a pool: its connections, and what is known of it by its probes and by its calls."""

from __future__ import annotations

from dataclasses import dataclass, field

from tailgate.policy.attempts import Result
from tailgate.policy.ejection import Ejection
from tailgate.policy.health import Health
from tailgate.policy.selection import Standing
from tailgate_proxy.upstreams.places import Place
from tailgate_proxy.upstreams.upstream import Upstream


def _none_of_each() -> dict[Result, int]:
    return dict.fromkeys(Result, 0)


@dataclass(slots=True)
class Tally:
    """What became of the calls to one address. It outlives a member that vanishes and comes back.

    Attributes:
        results: Calls that have ended, by how.
        repeats: Calls, ended or not, that were made because another had failed.
        ejections: How often it was ejected.
        hedges: Calls, ended or not, that were made because another member had not answered yet.
        hedges_won: Those of them that were answered first.
    """

    results: dict[Result, int] = field(default_factory=_none_of_each)
    repeats: int = 0
    ejections: int = 0
    hedges: int = 0
    hedges_won: int = 0


class Member:
    """One server.

    Attributes:
        name: Its address, as people and metrics name it.
        place: Where it is.
        upstream: The way to it.
        health: What its probes say.
        ejection: What its calls say.
        tally: What became of them.
        outstanding: How many have not ended.
        heard_s: When it last did its work.
    """

    __slots__ = ("ejection", "health", "heard_s", "name", "outstanding", "place", "tally", "upstream")

    def __init__(self, place: Place, upstream: Upstream, tally: Tally) -> None:
        """Nothing is known of it."""
        self.name = place.name
        self.place = place
        self.upstream = upstream
        self.health = Health()
        self.ejection = Ejection()
        self.tally = tally
        self.outstanding = 0
        self.heard_s = float("-inf")

    def standing(self, now_s: float) -> Standing:
        """How it stands."""
        return Standing(self.health.ready(now_s), self.ejection.out(now_s), self.upstream.connected)
