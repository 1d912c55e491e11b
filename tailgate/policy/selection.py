"""Which members of an upstream are used, and which of them gets the next call.

Opinions (readiness, ejection) leave members out, but never so many that the others could not carry the load: where more
than half would be out, the opinions are set aside and all are used (Envoy's panic threshold). That somebody has no
connection is no opinion: such a member is not asked while there is one that has.

Of the members in use two are drawn, and the one with fewer calls outstanding gets it (Mitzenmacher, "The Power of Two
Choices in Randomized Load Balancing", 2001): nearly as even as asking all, and many proxies that do so at once do not
all choose the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """How a member stands.

    Attributes:
        ready: By its probes.
        ejected: By its calls.
        connected: Whether there is a connection to it.
    """

    ready: bool
    ejected: bool
    connected: bool


@dataclass(frozen=True, slots=True)
class Selection:
    """Who is used.

    Attributes:
        members: Their numbers; empty only where there are none at all.
        panic: Whether so many would be out that all are used.
    """

    members: tuple[int, ...]
    panic: bool


def select(standings: Sequence[Standing]) -> Selection:
    """Who is used, by how each stands."""
    numbers = range(len(standings))
    trusted = [number for number in numbers if standings[number].ready and not standings[number].ejected]
    panic = 2 * len(trusted) < len(standings)
    candidates = list(numbers) if panic else trusted
    connected = [number for number in candidates if standings[number].connected]
    return Selection(tuple(connected or candidates), panic)


def choose(outstanding: Sequence[int], draw: Callable[[], float]) -> int:
    """Which of several gets the next call.

    Args:
        outstanding: Calls that each has; at least one number.
        draw: Gives numbers that are even in [0, 1).
    """
    count = len(outstanding)
    if count == 1:
        return 0
    first = int(draw() * count)
    other = int(draw() * (count - 1))
    other += other >= first  # any but the first
    return other if outstanding[other] < outstanding[first] else first
