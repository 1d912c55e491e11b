"""Labels that came to another process than their request: how the two find each other.

Lives here: the decisions of each process, as state machines on messages. Must not live here: how messages travel, when
one is sent, a clock. Messages between two processes arrive in order; a link may be lost at any time, and with it what
was under way. A process may end, and then another life of it begins with nothing.

A label waits at its *home*, the process it came to. Every other process is a *host* of it: it is told the id, and
remembers it as a visit. Nothing at all is said of requests.

    home                                          host
    a label waits          ── offered(id) ──►     its request is known: claim; else remember the visit
                           ◄── claimed(id) ──     now, or when the request has ended here
    still waiting: lend it ── granted(n, label) ─► received and joined here, by the rules of any label
    handed over            ◄── taken(n) ──────
    it waits no longer     ── withdrawn(id) ──►   forget the visit

So a label has one home until its host has it: of two hosts that know the id, the one whose claim comes first gets it,
and the other's finds nothing. A grant is numbered and kept until it is known to have been taken. When a link is there
again the host says what it has taken: what is beyond is granted again, and if it is another life of the host, comes
back to wait as before. A host that ends therefore loses no label of a living home. What it took and did not say before
its end is in the books of both, since its own ended with it.

All is bounded by what waits: visits at a host by the labels waiting at their homes, and what is to be said by both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, NamedTuple

from tailgate.labels import Label, LabelJoin

AT_ONCE: Final = 50
"""So many ids and labels are in a message at most: half a millisecond's work for who gets it."""


class Grant(NamedTuple):
    """A label for a host.

    Attributes:
        number: From 1, in the order in which this home lent to this life of the host.
        label: The label.
    """

    number: int
    label: Label


class FromHome(NamedTuple):
    """From a home to a host. Grants come first, then withdrawals, then offers."""

    granted: list[Grant]
    withdrawn: list[str]
    offered: list[str]


class FromHost(NamedTuple):
    """From a host to a home.

    Attributes:
        claimed: Ids of labels whose request is known here.
        taken: The last grant that has arrived.
    """

    claimed: list[str]
    taken: int


class Home:
    """A process as the home of labels, towards one other; outlives the links between them."""

    def __init__(self, join: LabelJoin, on_news: Callable[[], None]) -> None:
        """There is no link yet.

        Args:
            join: Of this process.
            on_news: Called when there is something to say, or would be if there were a link.
        """
        self._join = join
        self._on_news = on_news
        self._up = False
        self._host_life: int | None = None
        self._granted: dict[int, Label] = {}  # and not known to be taken; by number, in order
        self._next = 1
        self._sent = 0
        self._offered: set[str] = set()
        self._changed: dict[str, None] = {}  # ids of which the host believes what is not so, in order
        self._claimed_in_vain: list[str] = []

    @property
    def needed(self) -> bool:
        """Whether there is anything to talk about."""
        return self._join.pending > 0

    def met(self, host_life: int, taken: int, now_unix_s: float) -> None:
        """There is a link: to which life of the host, and which grant of ours was the last to arrive there."""
        if host_life == self._host_life:
            self.taken(taken)
        else:
            lost, self._granted = self._granted, {}
            self._host_life, self._next = host_life, 1
            for label in lost.values():
                self._join.given_back(label, now_unix_s)
        self._up = True
        self._sent = next(iter(self._granted), self._next) - 1
        self._changed = dict.fromkeys(self._join.waiting)
        self._on_news()

    def lost(self) -> None:
        """There is no link any more."""
        self._up = False
        self._offered.clear()
        self._changed.clear()
        self._claimed_in_vain.clear()

    def changed(self, name: str) -> None:
        """A label of this id begins to wait here, or ceases to."""
        if self._up and (name in self._join.waiting) == (name in self._offered):
            self._changed.pop(name, None)  # what the host knows is right again
            return
        if self._up:
            self._changed[name] = None
        self._on_news()

    def heard(self, message: FromHost) -> None:
        """The host says something."""
        self.taken(message.taken)
        for name in message.claimed:
            offered = name in self._offered
            self._offered.discard(name)  # a grant ends the visit
            self._changed.pop(name, None)
            label = self._join.lend(name)
            if label is not None:
                self._granted[self._next] = label
                self._next += 1
            elif offered:
                # It claimed an earlier label of this id. If it has forgotten the request since, it holds a visit, which
                # has to end; if not, a later label has to be offered anew. So the withdrawal is not to be spared.
                self._claimed_in_vain.append(name)
        if self._has_news:
            self._on_news()

    def taken(self, number: int) -> None:
        """Grants up to this number have arrived."""
        while self._granted and (first := next(iter(self._granted))) <= number:
            del self._granted[first]
            self._join.handed_over()

    def message(self) -> FromHome | None:
        """What is to be said now; None if nothing is."""
        if not self._has_news:
            return None
        until = min(self._next, self._sent + 1 + AT_ONCE)
        granted = [Grant(number, self._granted[number]) for number in range(self._sent + 1, until)]
        self._sent = until - 1
        room = AT_ONCE - len(granted)
        withdrawn, self._claimed_in_vain = self._claimed_in_vain[:room], self._claimed_in_vain[room:]
        names = list(islice(self._changed, room - len(withdrawn)))
        offered = [name for name in names if name not in self._offered]
        withdrawn += [name for name in names if name in self._offered]
        for name in names:
            del self._changed[name]
        self._offered.difference_update(withdrawn)
        self._offered.update(offered)
        return FromHome(granted, withdrawn, offered)

    @property
    def _has_news(self) -> bool:
        return self._up and bool(self._sent + 1 < self._next or self._claimed_in_vain or self._changed)


class Host:
    """A process as the host of labels that wait elsewhere."""

    def __init__(self, join: LabelJoin) -> None:
        """No visits.

        Args:
            join: Of this process.
        """
        self.join = join
        self._visits: dict[str, list[Visits]] = {}
        self._homes: dict[int, Visits] = {}

    @property
    def visits(self) -> int:
        """Visits that are remembered."""
        return sum(map(len, self._visits.values()))

    def met(self, home: int, home_life: int, on_news: Callable[[], None]) -> Visits:
        """There is a link from a home, which takes the place of any earlier one.

        Args:
            home: Its number.
            home_life: Which life of it.
            on_news: Called when there is something to say to it.
        """
        before = self._homes.get(home)
        if before is not None:
            before.lost()
        taken = before.taken if before is not None and before.life == home_life else 0
        self._homes[home] = visits = Visits(self, home_life, taken, on_news)
        return visits

    def seen(self, name: str) -> None:
        """A request has ended here."""
        if self._visits:
            for visits in self._visits.pop(name, ()):
                visits.claim(name)

    def remember(self, name: str, visits: Visits) -> None:
        """A visit of an unknown request."""
        self._visits.setdefault(name, []).append(visits)

    def forget(self, name: str, visits: Visits) -> None:
        """The end of a visit."""
        others = self._visits.get(name, [])
        others.remove(visits)
        if not others:
            self._visits.pop(name, None)


class Visits:
    """A process as the host of the labels of one home; one for each link.

    Attributes:
        life: Of the home.
        taken: The last grant of it that arrived.
    """

    def __init__(self, host: Host, life: int, taken: int, on_news: Callable[[], None]) -> None:
        """For `Host.met`."""
        self.life = life
        self.taken = taken
        self._host = host
        self._on_news = on_news
        self._up = True
        self._names: set[str] = set()
        self._claims: dict[str, None] = {}
        self._said_taken = taken

    def lost(self) -> None:
        """There is no such link any more: who visited is offered again."""
        self._up = False
        self._forget(tuple(self._names))
        self._claims.clear()

    def claim(self, name: str) -> None:
        """The request of a visit has ended here."""
        self._names.discard(name)
        self._claims[name] = None
        self._on_news()

    def heard(self, message: FromHome, now_unix_s: float) -> None:
        """The home says something."""
        if not self._up:
            return
        join = self._host.join
        for number, label in message.granted:
            self._forget((label.request_id,))
            self.taken = number
            join.take(label, now_unix_s)
        self._forget(message.withdrawn)
        for name in message.offered:
            if join.knows(name):
                self._claims[name] = None
            elif name not in self._names:
                self._names.add(name)
                self._host.remember(name, self)
        if self._claims or self.taken > self._said_taken:
            self._on_news()

    def message(self) -> FromHost | None:
        """What is to be said now; None if nothing is."""
        if not self._up or (not self._claims and self.taken == self._said_taken):
            return None
        claimed = list(islice(self._claims, AT_ONCE))
        for name in claimed:
            del self._claims[name]
        self._said_taken = self.taken
        return FromHost(claimed, self.taken)

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._claims.pop(name, None)
            if name in self._names:
                self._names.remove(name)
                self._host.forget(name, self)


class Sharing:
    """All of the above of one process: what its join tells, and what it is told."""

    def __init__(self, join: LabelJoin, on_news: dict[int, Callable[[], None]]) -> None:
        """Watch the join.

        Args:
            join: Of this process.
            on_news: For every other process, by number: called when there is something to say to it as a host.
        """
        self.homes = {number: Home(join, call) for number, call in on_news.items()}
        self.host = Host(join)
        join.watcher = self

    def changed(self, name: str) -> None:
        """A label of this id begins to wait here, or ceases to."""
        for home in self.homes.values():
            home.changed(name)

    def seen(self, name: str) -> None:
        """A request of this id has ended here."""
        self.host.seen(name)
