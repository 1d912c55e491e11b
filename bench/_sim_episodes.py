"""Whether all is well again some time after a fault: what was answered in time before and after, and by whom."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

from bench._sim_call import Call
from bench._sim_network import Network
from bench._sim_plan import AFTER_S, BEFORE_S, RECOVERED_S, Episode, Plan
from tailgate.outcome import Outcome

CALM: Final = 0.99
BACK: Final = 0.95
LIKELY: Final = 4.0
"""Standard errors that chance is given: of 10,000 episodes it makes not one look worse than this."""
TELLING: Final = 40
"""Requests of which a share is taken, where one says how soon all was well again."""
EVEN: Final = 3.0
"""A member that is well gets at least a third of an even share."""
ENOUGH: Final = 25
"""Calls a member, on average, without which shares say nothing."""


@dataclass
class Window:
    """What became of requests that arrived between two instants."""

    start_s: float
    end_s: float
    ended: list[tuple[float, bool]] = field(default_factory=list)

    def share(self) -> float:
        """Of those answered in time."""
        return sum(good for _, good in self.ended) / max(len(self.ended), 1)

    def error(self) -> float:
        """The standard error of that, and not 0 where all were."""
        count = max(len(self.ended), 1)
        share = (sum(good for _, good in self.ended) + 1.0) / (count + 2.0)
        return math.sqrt(share * (1.0 - share) / count)


class Recovery:
    """One episode: from when it is busy to when all has to be well again."""

    def __init__(self, episode: Episode, plan: Plan, network: Network) -> None:
        """It is busy, and nothing is wrong yet."""
        self.episode = episode
        again_s = episode.end_s + RECOVERED_S
        # A request counts for a window if all of its time is in there.
        self._before = Window(episode.start_s - BEFORE_S, episode.start_s - plan.deadline_s)
        self._since = Window(episode.end_s, again_s + AFTER_S - plan.deadline_s)
        self._after = Window(again_s, again_s + AFTER_S - plan.deadline_s)
        self._network = network
        self._plan = plan
        self._begun: dict[str, int] = {}
        # Bursts may be more than can be answered in time.
        self._alone = next(one.burst for one in plan.traffic if one.end_s >= episode.start_s) == 1

    def ended(self, call: Call, outcome: Outcome) -> None:
        """A request has."""
        at_s = call.deadline.start_s
        for window in (self._before, self._since, self._after):
            if window.start_s <= at_s < window.end_s:
                window.ended.append((at_s, outcome is Outcome.OK))

    def recovered(self) -> None:
        """From now on all has to be as before."""
        self._begun = {address: machine.begun for address, machine in self._network.machines.items()}

    def breaches(self) -> list[tuple[str, str]]:
        """The promises that were not kept, and how; to be asked when it is over."""
        found = []
        before, after = self._before, self._after
        if self._alone and before.share() < CALM - LIKELY * before.error():
            found.append(("calm", f"{before.share():.1%} of {len(before.ended)} before: {self.episode}"))
        allowed = LIKELY * math.hypot(before.error(), after.error())
        if after.share() < BACK * before.share() - allowed:
            how = f"{after.share():.1%} of {len(after.ended)} after, {before.share():.1%} before: {self.episode}"
            found.append(("as before", how))
        members = self._network.names["sim"] if self._plan.by_name else list(self._network.machines)
        calls = {one: self._network.machines[one].begun - self._begun[one] for one in members}
        total = sum(calls.values())
        if total >= ENOUGH * len(members) and min(calls.values()) * EVEN * len(members) < total:
            found.append(("used again", f"calls after {self.episode}: {calls}"))
        return found

    def seconds(self) -> float:
        """How long after the fault's end requests came of which not as many were answered in time as before."""
        ended = sorted(self._since.ended)
        least = BACK * self._before.share() * TELLING
        for last in range(len(ended) - 1, TELLING - 2, -1):
            if sum(good for _, good in ended[last - TELLING + 1 : last + 1]) < least:
                worst = [at_s for at_s, good in ended[: last + 1] if not good]
                return worst[-1] - self.episode.end_s
        return 0.0
