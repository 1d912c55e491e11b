"""How long a client's connection may keep the proxy waiting, and how many there may be. Pure; time is an argument."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Final

BACKLOG: Final = 256
"""Connections that may wait at the kernel until they are taken: as many as are within a tenth of a second. Nobody sees
what waits there: its calls have no stamp yet, and their clients may have left. Each brings all the calls that fit into
its buffer, so behind a long line the proxy would go on with an attack for seconds after its end. A client for which
there is no room tries again after a second.
"""


class End(StrEnum):
    """Why a client's connection ended: the values of a metric label."""

    CLIENT = auto()
    """The client closed it, or its network did."""
    PROTOCOL = auto()
    """It broke a rule of HTTP/2, or one of its limits."""
    SETTLE_TIMEOUT = auto()
    """It did not acknowledge our settings: it is no HTTP/2 client, or half open."""
    MIDWAY_TIMEOUT = auto()
    """It began a frame or a header block and did not complete it."""
    STALL_TIMEOUT = auto()
    """It asked, and did not read the answers."""
    IDLE_TIMEOUT = auto()
    """Nothing was asked for a long time."""
    TOO_MANY = auto()
    """There were as many connections as there may be."""
    TOO_MANY_OF_PEER = auto()
    """There were as many from its address."""
    ANSWERS_HELD = auto()
    """Its answers waited for it, and there was no room left to hold them."""
    STOPPED = auto()
    """The proxy stopped."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits.

    Attributes:
        settle_s: Until a new connection has acknowledged our settings.
        midway_s: Until what was begun is complete.
        stall_s: Until what waits for the client has made progress.
        idle_s: Without any call.
        most: Connections in all.
        most_of_peer: Connections from one address.
    """

    settle_s: float = 10.0
    midway_s: float = 10.0
    stall_s: float = 30.0
    idle_s: float = 3600.0
    most: int = 10_000
    most_of_peer: int = 1000

    def admits(self, connections: int, of_peer: int) -> End | None:
        """Why a connection cannot be taken, with so many there already; None if it can."""
        if connections >= self.most:
            return End.TOO_MANY
        return End.TOO_MANY_OF_PEER if of_peer >= self.most_of_peer else None

    def ends(self, standing: Standing, now_s: float) -> End | None:
        """Why a connection has to end now; None if it may go on."""
        if not standing.settled and now_s - standing.made_s > self.settle_s:
            return End.SETTLE_TIMEOUT
        if standing.midway_since_s is not None and now_s - standing.midway_since_s > self.midway_s:
            return End.MIDWAY_TIMEOUT
        if standing.waiting_since_s is not None and now_s - standing.waiting_since_s > self.stall_s:
            return End.STALL_TIMEOUT
        if not standing.busy and now_s - standing.heard_s > self.idle_s:
            return End.IDLE_TIMEOUT
        return None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a connection stands.

    Attributes:
        made_s: When it was made.
        heard_s: When the client last said something.
        settled: Whether it has acknowledged our settings.
        midway_since_s: Since when something is begun and not complete; None: nothing is.
        waiting_since_s: Since when something waits for the client to read, without progress; None: nothing does.
        busy: Whether calls are on it.
    """

    made_s: float
    heard_s: float
    settled: bool
    midway_since_s: float | None
    waiting_since_s: float | None
    busy: bool


class PeerCounts:
    """How many connections there are, and from where."""

    def __init__(self) -> None:
        """None."""
        self.total = 0
        self._of_peer: Counter[str] = Counter()

    def of(self, peer: str) -> int:
        """How many from this address."""
        return self._of_peer[peer]

    def add(self, peer: str) -> None:
        """One more."""
        self.total += 1
        self._of_peer[peer] += 1

    def remove(self, peer: str) -> None:
        """One less."""
        self.total -= 1
        self._of_peer[peer] -= 1
        if not self._of_peer[peer]:
            del self._of_peer[peer]
