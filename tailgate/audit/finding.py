"""What was found of one invariant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tailgate.books import NAMED, first_of
from tailgate.trace.format import Records


@dataclass(frozen=True)
class Breach:
    """One way in which an invariant does not hold.

    Attributes:
        count: How often.
        what: What is wrong, to follow the count.
        first: The ids of the first few requests of which it is; empty where it is of counts.
    """

    count: int
    what: str
    first: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One invariant, held against the evidence.

    Attributes:
        code: Its short name, such as ``I3``; several findings may be parts of one invariant.
        promise: What is to hold, in words.
        checked: Of how many things this was looked at: requests, rows, counters, as `promise` says.
        breaches: Where it does not.
        unchecked: Why nothing was looked at; empty where something was.
        note: What else is worth knowing, such as the worst that was seen; may be empty.
    """

    code: str
    promise: str
    checked: int = 0
    breaches: tuple[Breach, ...] = ()
    unchecked: str = ""
    note: str = ""

    @property
    def broken(self) -> int:
        """How many breaches there are."""
        return sum(breach.count for breach in self.breaches)


def of_rows(rows: Records, what: str) -> tuple[Breach, ...]:
    """A breach by these rows of a trace, if there are any."""
    return (Breach(len(rows), what, first_of(rows)),) if len(rows) else ()


def of_names(names: Sequence[str], what: str) -> tuple[Breach, ...]:
    """A breach by the requests of these ids, if there are any."""
    return (Breach(len(names), what, tuple(names[:NAMED])),) if names else ()


def unequal(left: int, right: int, what: str) -> tuple[Breach, ...]:
    """A breach of as many as two counts differ by, if they do."""
    return () if left == right else (Breach(abs(left - right), f"{what}: {left:,} and {right:,}"),)
