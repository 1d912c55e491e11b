"""A request, as far as admission is concerned: where it is, why it was refused, how it ended.

Must not live here: any decision (`tailgate.policy.admission`).
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum, auto
from typing import Generic, TypeVar

from tailgate.deadline import Deadline


class Refusal(Enum):
    """Why one was refused."""

    EXPIRED = auto()  # its deadline passed while it waited
    PREDICTED_LATE = auto()  # it would probably have been late
    LINE_FULL = auto()  # as many wait as can be served within its deadline


class State(Enum):
    """Where a request is."""

    NEW = auto()
    WAITING = auto()
    SENT = auto()
    OVER = auto()


class Ended(Enum):
    """How one that was sent has ended."""

    IN_TIME = auto()
    LATE = auto()  # answered, and late
    CUT_OFF = auto()  # its deadline passed before the upstream answered
    NOT_BEGUN = auto()
    """Its deadline passed before it had a connection: it was tried in vain, and says nothing of the upstream's time."""
    OVERLOADED = auto()  # the upstream refused it, because it has too much to do
    OVERTAKEN = auto()
    """Cancelled, because another call of the same request was answered, or both were in vain (`policy.hedging`): this
    one would have taken longer than until then, and nothing else follows."""
    UNTOLD = auto()
    """The client left, or the upstream answered with an error or not at all: nothing follows for the time it takes."""


Item = TypeVar("Item")


class Ticket(Generic[Item]):
    """A request, as far as admission is concerned.

    Attributes:
        item: Whose it is.
        kind: What the upstream's time depends on: model and size class. From a small set.
        deadline: Of the request.
        watched: Whether it must be neither held up nor refused, only scored (mode observe).
        state: Where it is.
        tried: Whether it would have been refused, and is tried to see whether rightly.
        refusal: Why it was refused, if it was.
        entered_s: When it came.
        sent_s: When it was sent, and the upstream's time begins; later, where its body took longer to come.
    """

    __slots__ = (
        "at_once",
        "begun_s",
        "by_places_s",
        "by_rate_s",
        "deadline",
        "ends_s",
        "entered_s",
        "item",
        "kind",
        "number",
        "refusal",
        "sent_s",
        "state",
        "takes_s",
        "tried",
        "watched",
    )

    def __init__(self, item: Item, kind: Hashable, deadline: Deadline, *, watched: bool = False) -> None:
        """One that has not been asked for."""
        self.item = item
        self.kind = kind
        self.deadline = deadline
        self.watched = watched
        self.state = State.NEW
        self.tried = False
        self.refusal: Refusal | None = None
        self.entered_s = 0.0
        self.sent_s = 0.0
        self.at_once = 0  # how many were at the upstream when it was sent, itself among them
        self.by_places_s = self.by_rate_s = -1.0  # how long it would wait until it is begun, by two forecasts; -1: none
        self.begun_s = -1.0  # when the upstream has begun with it, as far as can be told; -1: it has not
        self.takes_s = 0.0  # how long that takes, about, and
        self.ends_s = 0.0  # when it will have ended then
        self.number = 0  # of those that were begun

    @property
    def at_s(self) -> float:
        """The instant of its deadline."""
        return self.deadline.at_s
