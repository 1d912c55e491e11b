"""How a request can end: the closed set of outcomes, and the one function that decides among them.

Lives here: the words and the table. Must not live here: what is done about an outcome, or any other reading of one;
everybody else takes the `Outcome` as it was decided, once, where everything was known.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum, auto
from typing import Final

from tailgate.errors import Status


class Mode(StrEnum):
    """What the proxy does at the deadline."""

    ENFORCE = "enforce"
    """The client is answered DEADLINE_EXCEEDED and the upstream's work is cancelled."""
    OBSERVE = "observe"
    """Nothing: a late answer is passed on, and scored as late."""
    DEFAULT_ANSWER = "default-answer"
    """The client is given an answer that was configured, marked as such, and the upstream's work is cancelled."""


class Outcome(IntEnum):
    """Every request that arrives has exactly one. The numbers stand in traces and are never given to another.

    The name in lower case is the value of the metric label and of the trailer ``tailgate-outcome``.
    """

    OK = 1
    """Answered by its deadline."""
    OK_LATE = 2
    """Answered after its deadline, and the answer was passed on (observe)."""
    OK_LATE_DISCARDED = 3
    """The upstream's answer was complete only after the deadline, and was not passed on (enforce)."""
    DEFAULT_ANSWERED = 4
    """The deadline came first, and the client was given the configured answer (default-answer)."""
    EXPIRED_ON_ARRIVAL = 10
    """Its deadline had passed when it came; refused."""
    EXPIRED_IN_QUEUE = 11
    """Its deadline passed while it waited for its turn at the upstream; refused, and never sent."""
    DEADLINE_IN_FLIGHT = 12
    """The deadline came while the upstream was at work; no answer."""
    SHED_QUEUE_FULL = 20
    """Refused: as many requests as allowed were in flight, or waited."""
    SHED_PREDICTED_LATE = 21
    """Refused: by all that is known of the upstream, its answer could not have come in time."""
    DRAINING = 22
    """Refused: the proxy was shutting down."""
    REJECTED_INVALID = 30
    """Refused: malformed."""
    REJECTED_LIMIT = 31
    """Refused: larger than allowed."""
    REJECTED_AUTH = 32
    """Refused: without a token that may do this."""
    CLIENT_CANCELLED = 40
    """The client left before the deadline."""
    UPSTREAM_UNAVAILABLE = 50
    """No upstream could be reached, or the connection broke."""
    UPSTREAM_ERROR = 51
    """The upstream answered with an error."""
    UPSTREAM_INVALID = 52
    """The upstream's bytes were no answer."""
    INTERNAL = 60
    """A fault of the proxy itself."""
    NOT_SENT = 70
    """Only at a client: the deadline had passed before the request could be sent."""

    __hash__ = int.__hash__  # an enumeration's own is ten times as slow, and books are looked up for every request

    @property
    def label(self) -> str:
        """The name under which it is exported."""
        return self.name.lower()

    @property
    def answered(self) -> bool:
        """Whether the client got an answer, late or not."""
        return self in ANSWERED


ANSWERED: Final = (Outcome.OK, Outcome.OK_LATE)
"""The outcomes with which the client got an answer, late or not."""

ANSWER_SEEN: Final = (*ANSWERED, Outcome.OK_LATE_DISCARDED)
"""The outcomes with which a complete answer was seen, whether or not the client got it: only these can be judged."""

PROXY_OUTCOMES: Final = tuple(outcome for outcome in Outcome if outcome is not Outcome.NOT_SENT)
"""The outcomes a proxy can book."""


class Ending(StrEnum):
    """What was seen to end a request in the proxy, before anybody asked whether that was in time."""

    ANSWERED = auto()  # the upstream's answer is complete
    EXPIRED = auto()  # no time was left on arrival
    QUEUED = auto()  # the time was up before it had its turn at the upstream
    DEADLINE = auto()  # the proxy's timer, or the upstream's word that the time was up
    DEFAULTED = auto()  # the proxy's timer, and the configured answer was given
    SHED = auto()
    PREDICTED_LATE = auto()
    DRAINING = auto()
    INVALID = auto()
    TOO_LARGE = auto()
    UNAUTHORIZED = auto()
    CANCELLED = auto()  # the client left
    UNREACHABLE = auto()
    UPSTREAM_ERROR = auto()
    UPSTREAM_INVALID = auto()
    FAULT = auto()


#                       in time                         late, not passed on          late, observe
_DECISION: Final[dict[Ending, tuple[Outcome, Outcome, Outcome]]] = {
    Ending.ANSWERED: (Outcome.OK, Outcome.OK_LATE_DISCARDED, Outcome.OK_LATE),
    # A client's own timer and ours race: one that leaves at its deadline has met it, not changed its mind.
    Ending.CANCELLED: (Outcome.CLIENT_CANCELLED, Outcome.DEADLINE_IN_FLIGHT, Outcome.DEADLINE_IN_FLIGHT),
    **{
        ending: (outcome, outcome, outcome)
        for ending, outcome in {
            Ending.EXPIRED: Outcome.EXPIRED_ON_ARRIVAL,
            Ending.QUEUED: Outcome.EXPIRED_IN_QUEUE,
            Ending.DEADLINE: Outcome.DEADLINE_IN_FLIGHT,
            Ending.DEFAULTED: Outcome.DEFAULT_ANSWERED,
            Ending.SHED: Outcome.SHED_QUEUE_FULL,
            Ending.PREDICTED_LATE: Outcome.SHED_PREDICTED_LATE,
            Ending.DRAINING: Outcome.DRAINING,
            Ending.INVALID: Outcome.REJECTED_INVALID,
            Ending.TOO_LARGE: Outcome.REJECTED_LIMIT,
            Ending.UNAUTHORIZED: Outcome.REJECTED_AUTH,
            Ending.UNREACHABLE: Outcome.UPSTREAM_UNAVAILABLE,
            Ending.UPSTREAM_ERROR: Outcome.UPSTREAM_ERROR,
            Ending.UPSTREAM_INVALID: Outcome.UPSTREAM_INVALID,
            Ending.FAULT: Outcome.INTERNAL,
        }.items()
    },
}


def decide(ending: Ending, mode: Mode, *, late: bool) -> Outcome:
    """The outcome of a request in the proxy.

    Args:
        ending: What ended it.
        mode: What the proxy does at the deadline.
        late: Whether its deadline had passed by then (`Deadline.passed`).
    """
    in_time, late_enforce, late_observe = _DECISION[ending]
    if not late:
        return in_time
    return late_observe if mode is Mode.OBSERVE else late_enforce


_CLIENT_DECISION: dict[Status, Outcome] = {
    Status.DEADLINE_EXCEEDED: Outcome.DEADLINE_IN_FLIGHT,
    Status.CANCELLED: Outcome.CLIENT_CANCELLED,
    Status.UNAVAILABLE: Outcome.UPSTREAM_UNAVAILABLE,
    Status.RESOURCE_EXHAUSTED: Outcome.SHED_QUEUE_FULL,
    Status.INVALID_ARGUMENT: Outcome.REJECTED_INVALID,
    Status.NOT_FOUND: Outcome.REJECTED_INVALID,
    Status.UNAUTHENTICATED: Outcome.REJECTED_AUTH,
    Status.PERMISSION_DENIED: Outcome.REJECTED_AUTH,
}


def decide_at_client(status: Status, *, late: bool) -> Outcome:
    """The outcome of a request as its client saw it, from the status alone and the client's own clock."""
    if status is Status.OK:
        return Outcome.OK_LATE if late else Outcome.OK
    return _CLIENT_DECISION.get(status, Outcome.UPSTREAM_ERROR)
