"""Invariants of single requests: client and proxy, joined by id."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tailgate.audit.evidence import Evidence, rows_of
from tailgate.audit.finding import Breach, Finding, of_rows
from tailgate.books import About, Books, reconcile, repeated
from tailgate.errors import Status
from tailgate.outcome import Outcome
from tailgate.trace.format import Contents, Records


def requests(evidence: Evidence, grace_s: float) -> Iterator[Finding]:
    """What each request's two rows say of each other.

    Args:
        evidence: Traces of both sides.
        grace_s: How much more than its deadline an answer may take on the client's clock, which runs from before the
            request reaches the proxy until after its answer has left; likewise how far the two sides' times may differ.
    """
    client, proxy = rows_of(evidence.client), rows_of(evidence.proxy)
    of_ours = np.isin(proxy["request_id"], client["request_id"])
    ours = proxy[of_ours]
    books = reconcile(client, ours)

    def told(about: About) -> tuple[Breach, ...]:
        return tuple(Breach(one.count, one.what, one.first) for one in books.unexplained if one.about is about)

    yield Finding("I2", "a request is booked once", len(client) + len(ours), told(About.NUMBER))
    yield Finding(
        "I3",
        "client and proxy tell the same of how each request ended",
        books.client,
        told(About.ENDING),
        note=_explained(books, len(proxy) - len(ours)),
    )
    once = np.isin(ours["request_id"], repeated(ours)["request_id"], invert=True)
    _, at_client, at_proxy = np.intersect1d(client["request_id"], ours[once]["request_id"], return_indices=True)
    mine, theirs = client[at_client], ours[once][at_proxy]
    yield _in_time(client, proxy, mine, theirs, grace_s)
    yield Finding("I6", "an answer is the one that its request was given", books.matched, told(About.ANSWER))
    yield Finding("I8", "client and proxy hold the same to be right", books.matched, told(About.LABEL))
    yield _times(mine, theirs, grace_s)
    pair = _source(evidence.client)[at_client] * len(evidence.proxy)
    pair += _source(evidence.proxy)[of_ours][once][at_proxy]
    yield _clocks(mine, theirs, pair, grace_s)


def _source(traces: tuple[Contents, ...]) -> npt.NDArray[np.intp]:
    """Of each row of `rows_of`: the number of its trace, which was written by one process with one clock."""
    return np.repeat(np.arange(len(traces)), [len(trace.records) for trace in traces])


def _explained(books: Books, foreign: int) -> str:
    """What is no breach and yet a difference."""
    unseen = ", ".join(f"{count:,} {status.name}" for status, count in books.unseen.items() if status is not Status.OK)
    said = {
        "never sent": books.not_sent,
        "answered while the client gave up": books.raced,
        "of other clients": foreign,
    }
    parts = [f"{count:,} {what}" for what, count in said.items() if count]
    return ", ".join([*([f"without a row at the proxy: {unseen}"] if unseen else []), *parts])


def _in_time(client: Records, proxy: Records, mine: Records, theirs: Records, grace_s: float) -> Finding:
    booked, given = proxy[proxy["outcome"] == Outcome.OK], client[client["outcome"] == Outcome.OK]
    late = client[client["outcome"] == Outcome.OK_LATE]
    over_s = late["latency_s"] - late["budget_s"]
    far = late[(over_s > grace_s) & np.isin(late["request_id"], booked["request_id"])]
    near = over_s[np.isin(late["request_id"], booked["request_id"])]
    # Whoever gives up may do so while the answer is on its way, but not when it should have come long ago: neither by
    # the time that its client waited nor by what was left of the time that the client gave.
    gave_up = np.isin(mine["status"], (Status.DEADLINE_EXCEEDED, Status.CANCELLED)) & (theirs["outcome"] == Outcome.OK)
    waited_s = mine["latency_s"] - mine["lag_s"] - theirs["latency_s"]
    in_vain = mine[gave_up & (np.minimum(waited_s, theirs["budget_s"] - theirs["latency_s"]) > grace_s)]
    return Finding(
        "I4",
        "what is called in time was in time",
        len(booked) + len(given),
        of_rows(booked[booked["latency_s"] > booked["budget_s"]], "rows of the proxy are in time, and over their time")
        + of_rows(given[given["latency_s"] > given["budget_s"]], "rows of the client are in time, and over their time")
        + of_rows(far, f"answers given in time came more than {grace_s * 1e3:g} ms late to the client")
        + of_rows(in_vain, f"answers given in time never came, to a client that waited {grace_s * 1e3:g} ms for them"),
        note=f"the latest to the client, {1e3 * near.max():.1f} ms" if len(near) else "",
    )


def _times(mine: Records, theirs: Records, grace_s: float) -> Finding:
    impossible = [~np.isfinite(rows["latency_s"]) | (rows["latency_s"] < 0) for rows in (mine, theirs)]
    both = (mine["status"] == Status.OK) & (theirs["status"] == Status.OK)
    longer = both & (theirs["latency_s"] > mine["latency_s"] + grace_s)
    return Finding(
        "I11",
        "times are not negative, and the proxy's part lies within the client's whole",
        len(mine),
        of_rows(mine[impossible[0]], "times of the client are impossible")
        + of_rows(theirs[impossible[1]], "times of the proxy are impossible")
        + of_rows(mine[longer], "requests took longer at the proxy than for their client"),
    )


def _clocks(mine: Records, theirs: Records, pair: npt.NDArray[np.intp], grace_s: float) -> Finding:
    """Whatever the offset between two wall clocks, a request comes to the proxy after it was due and before its answer
    is at the client: one offset has to do for all that are of the same two processes.
    """
    promise = "the two sides' clocks differ by one and the same offset"
    both = (mine["status"] == Status.OK) & (theirs["status"] == Status.OK)
    if not both.any():
        return Finding("I11", promise, unchecked="no request was answered")
    mine, apart_s, pair = mine[both], (theirs["arrival_unix_s"] - mine["arrival_unix_s"])[both], pair[both]
    # Each request allows the offsets between these two; the one that most allow is taken.
    least_s, most_s = apart_s - mine["latency_s"] - grace_s, apart_s + grace_s
    off = np.zeros(len(mine), np.bool_)
    notes: list[str] = []
    pairs = np.unique(pair)
    for one in pairs:
        these = np.flatnonzero(pair == one)
        least, most = least_s[these], most_s[these]
        begun = np.sort(least)
        allowed = np.searchsorted(begun, begun, side="right") - np.searchsorted(np.sort(most), begun, side="left")
        offset_s = float(begun[allowed.argmax()])
        wrong = (offset_s < least) | (offset_s > most)
        off[these] = wrong
        if not wrong.all():
            notes.append(_offset(least[~wrong].max() + grace_s, most[~wrong].min() - grace_s))
    if len(pairs) > 1:
        notes[1:] = [f"so much of the first of {len(pairs)} pairs of clocks"]
    return Finding(
        "I11",
        promise,
        len(mine),
        of_rows(mine[off], "requests came to the proxy before they were sent, or after they were answered"),
        note=", ".join(notes),
    )


def _offset(least_s: float, most_s: float) -> str:
    """What all requests say of the offset between the clocks: each that it is at least, or at most, so much."""
    if least_s <= most_s:
        return f"the proxy's is ahead by {1e3 * least_s:.1f} to {1e3 * most_s:.1f} ms"
    return f"they drift by {1e3 * (least_s - most_s):.1f} ms"
