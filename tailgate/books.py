"""Whether the books of a client and of the proxy it spoke to balance, joined by request id.

Equal totals prove nothing (two errors may cancel), and unequal ones need not be an error (a client's own timer may win
against an answer that is already on its way). So every request is looked at in both traces, each difference gets its
name, and only what nothing can explain is a breach.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum, auto

import numpy as np

from tailgate.errors import Status
from tailgate.outcome import ANSWERED, Outcome
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.trace.format import Records

_OWN_DOING = (Status.DEADLINE_EXCEEDED, Status.CANCELLED, Status.UNAVAILABLE)
"""What a client may end with on its own, whatever the proxy said: its timer ran out, or its connection broke."""
_WITHOUT_A_PROXY = (*_OWN_DOING, Status.RESOURCE_EXHAUSTED, Status.INTERNAL)
"""What a client may end with though no proxy took its request: it is too large for the client itself, say, or its
stream was reset."""

NAMED = 5
"""How many requests of a breach are named."""


class About(StrEnum):
    """In what respect two sides differ."""

    NUMBER = auto()
    """A request occurs more than once."""
    ENDING = auto()
    """It ended otherwise there than here."""
    ANSWER = auto()
    """It was answered otherwise."""
    LABEL = auto()
    """Something else is held to be right."""


@dataclass(frozen=True)
class Breach:
    """Requests that nothing explains.

    Attributes:
        about: In what respect.
        count: How many.
        what: What is wrong with them, to follow the count.
        first: The ids of up to `NAMED` of them, as traces keep them (`tailgate.trace.format.request_key`).
    """

    about: About
    count: int
    what: str
    first: tuple[str, ...]


@dataclass(frozen=True)
class Books:
    """The two traces, joined.

    Attributes:
        client: Requests of the client.
        not_sent: Of these, never sent, because their deadline had passed before.
        proxy: Arrivals at the proxy.
        matched: Requests in both.
        foreign: Arrivals at the proxy that are no requests of this client.
        unseen: Sent but without a row at the proxy, by the status the client ended with.
        raced: The proxy answered, and the client had given up at its deadline by then.
        pairs: Matched requests by outcome at the client and outcome at the proxy.
        unexplained: What nothing explains; empty when the books balance.
    """

    client: int
    not_sent: int
    proxy: int
    matched: int
    foreign: int
    unseen: dict[Status, int]
    raced: int
    pairs: dict[tuple[Outcome, Outcome], int]
    unexplained: tuple[Breach, ...]

    @property
    def breaches(self) -> tuple[str, ...]:
        """What nothing explains, in words."""
        return tuple(f"{breach.count} {breach.what}" for breach in self.unexplained)

    @property
    def balanced(self) -> bool:
        """Whether every request is accounted for."""
        return not self.unexplained


def reconcile(client: Records, proxy: Records) -> Books:
    """Join a client's records with those of the proxy it spoke to.

    Args:
        client: Observations of a load run.
        proxy: Observations of the proxy, which may have served others too.
    """
    found: list[Breach] = []

    def check(rows: Records, what: str, about: About = About.ENDING) -> None:
        if len(rows):
            found.append(Breach(about, len(rows), what, first_of(rows)))

    check(repeated(client), "request ids occur twice at the client", About.NUMBER)
    check(repeated(proxy), "request ids occur twice at the proxy", About.NUMBER)
    sent = client[client["outcome"] != Outcome.NOT_SENT]
    _, at_client, at_proxy = np.intersect1d(sent["request_id"], proxy["request_id"], return_indices=True)
    unseen = sent[np.isin(sent["request_id"], proxy["request_id"], invert=True)]
    mine, theirs = sent[at_client], proxy[at_proxy]
    client_ok = mine["status"] == Status.OK
    proxy_ok = np.isin(theirs["outcome"], ANSWERED)
    gave_up = np.isin(mine["status"], (Status.DEADLINE_EXCEEDED, Status.CANCELLED))
    both_failed = ~client_ok & ~proxy_ok
    same_status = (mine["status"] == theirs["status"]) | np.isin(mine["status"], _OWN_DOING)
    both_named = (mine["predicted"] > UNKNOWN_CLASS) & (theirs["predicted"] > UNKNOWN_CLASS)
    unsent = client["request_id"][client["outcome"] == Outcome.NOT_SENT]
    arrived_unsent = np.isin(proxy["request_id"], unsent) & np.isin(
        proxy["request_id"], sent["request_id"], invert=True
    )
    check(proxy[arrived_unsent], "rows of the proxy are of requests that the client did not send")
    check(unseen[unseen["status"] == Status.OK], "requests were answered without a row at the proxy")
    refused = unseen[np.isin(unseen["status"], (Status.OK, *_WITHOUT_A_PROXY), invert=True)]
    check(refused, "requests were refused without a row at the proxy")
    check(mine[client_ok & ~proxy_ok], "answers reached the client that the proxy did not book as given")
    check(mine[proxy_ok & ~client_ok & ~gave_up], "answers of the proxy ended as an error at the client")
    check(mine[both_failed & ~same_status], "failures have another status at the client than at the proxy")
    differ = client_ok & proxy_ok & both_named & (mine["predicted"] != theirs["predicted"])
    check(mine[differ], "answers differ between proxy and client", About.ANSWER)
    check(mine[mine["label"] != theirs["label"]], "labels differ between proxy and client", About.LABEL)
    pairs = np.bincount(mine["outcome"].astype(np.intp) << 8 | theirs["outcome"])
    return Books(
        client=len(client),
        not_sent=len(client) - len(sent),
        proxy=len(proxy),
        matched=len(mine),
        foreign=int(np.isin(proxy["request_id"], client["request_id"], invert=True).sum()),
        unseen={Status(status): count for status, count in sorted(Counter(unseen["status"].tolist()).items())},
        raced=int((proxy_ok & gave_up).sum()),
        pairs={(Outcome(pair >> 8), Outcome(pair & 0xFF)): int(pairs[pair]) for pair in np.flatnonzero(pairs).tolist()},
        unexplained=tuple(found),
    )


def repeated(rows: Records) -> Records:
    """The rows whose request id an earlier row has."""
    again = np.ones(len(rows), np.bool_)
    again[np.unique(rows["request_id"], return_index=True)[1]] = False
    return rows[again]


def first_of(rows: Records) -> tuple[str, ...]:
    """The request ids of the first few rows, to be read."""
    return tuple(request_id.decode(errors="replace") for request_id in rows["request_id"][:NAMED].tolist())
