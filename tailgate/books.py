"""Whether the books of a client and of the proxy it spoke to balance, joined by request id.

Equal totals prove nothing (two errors may cancel), and unequal ones need not be an error (a client's own timer may win
against an answer that is already on its way). So every request is looked at in both traces, each difference gets its
name, and only what nothing can explain is a breach.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from tailgate.errors import Status
from tailgate.outcome import Outcome
from tailgate.trace.format import Records

_ANSWERED = (Outcome.OK, Outcome.OK_LATE)


@dataclass(frozen=True)
class Books:
    """The two traces, joined.

    Attributes:
        client: Requests of the client.
        not_sent: Of these, never sent, because their deadline had passed before.
        proxy: Arrivals at the proxy.
        matched: Requests in both.
        unseen: Sent but without a row at the proxy, by the status the client ended with.
        raced: The proxy answered, and the client had given up at its deadline by then.
        pairs: Matched requests by outcome at the client and outcome at the proxy.
        breaches: What nothing explains, in words; empty when the books balance.
    """

    client: int
    not_sent: int
    proxy: int
    matched: int
    unseen: dict[Status, int]
    raced: int
    pairs: dict[tuple[Outcome, Outcome], int]
    breaches: tuple[str, ...]

    @property
    def balanced(self) -> bool:
        """Whether every request is accounted for."""
        return not self.breaches


def reconcile(client: Records, proxy: Records) -> Books:
    """Join a client's records with those of the proxy it spoke to.

    Args:
        client: Observations of a load run.
        proxy: Observations of the proxy, all of them of requests in the client's trace.
    """
    breaches: list[str] = []

    def check(count: int, what: str) -> None:
        if count:
            breaches.append(f"{count} {what}")

    check(len(client) - len(np.unique(client["request_id"])), "request ids occur twice at the client")
    check(len(proxy) - len(np.unique(proxy["request_id"])), "request ids occur twice at the proxy")
    sent = client[client["outcome"] != Outcome.NOT_SENT]
    _, at_client, at_proxy = np.intersect1d(sent["request_id"], proxy["request_id"], return_indices=True)
    unseen = sent[np.isin(sent["request_id"], proxy["request_id"], invert=True)]
    mine, theirs = sent[at_client], proxy[at_proxy]
    client_ok = mine["status"] == Status.OK
    proxy_ok = np.isin(theirs["outcome"], _ANSWERED)
    gave_up = np.isin(mine["status"], (Status.DEADLINE_EXCEEDED, Status.CANCELLED))
    both = client_ok & proxy_ok
    foreign = np.isin(proxy["request_id"], sent["request_id"], invert=True)
    check(int(foreign.sum()), "rows of the proxy have no request that the client sent")
    check(int((unseen["status"] == Status.OK).sum()), "requests were answered without a row at the proxy")
    check(int((client_ok & ~proxy_ok).sum()), "answers reached the client that the proxy did not book as given")
    check(int((proxy_ok & ~client_ok & ~gave_up).sum()), "answers of the proxy ended as an error at the client")
    check(int((both & (mine["predicted"] != theirs["predicted"])).sum()), "answers differ between proxy and client")
    check(int((mine["label"] != theirs["label"]).sum()), "labels differ between proxy and client")
    pairs = np.bincount(mine["outcome"].astype(np.intp) << 8 | theirs["outcome"])
    return Books(
        client=len(client),
        not_sent=len(client) - len(sent),
        proxy=len(proxy),
        matched=len(mine),
        unseen={Status(status): count for status, count in sorted(Counter(unseen["status"].tolist()).items())},
        raced=int((proxy_ok & gave_up).sum()),
        pairs={(Outcome(pair >> 8), Outcome(pair & 0xFF)): int(pairs[pair]) for pair in np.flatnonzero(pairs).tolist()},
        breaches=tuple(breaches),
    )
