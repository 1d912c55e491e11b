"""The books of a client and of its proxy: every request has its counterpart or a name for why it has none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.books import reconcile
from tailgate.errors import Status
from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate.trace.format import decode

Make = Callable[..., Observation]
TraceOf = Callable[[Sequence[Observation]], bytes]

# What may happen to a request, as client and proxy each see it; None: it never came to the proxy.
EXPLAINED: dict[str, tuple[dict[str, object], dict[str, object] | None]] = {
    "answered": ({}, {}),
    "answered late": ({"outcome": Outcome.OK_LATE}, {"outcome": Outcome.OK_LATE}),
    "late at the client only": ({"outcome": Outcome.OK_LATE}, {}),
    "raced": (
        {"outcome": Outcome.DEADLINE_IN_FLIGHT, "status": Status.DEADLINE_EXCEEDED, "predicted": -1},
        {},
    ),
    "cut": (
        {"outcome": Outcome.DEADLINE_IN_FLIGHT, "status": Status.DEADLINE_EXCEEDED, "predicted": -1},
        {"outcome": Outcome.DEADLINE_IN_FLIGHT, "status": Status.DEADLINE_EXCEEDED, "predicted": -1},
    ),
    "shed": (
        {"outcome": Outcome.SHED_QUEUE_FULL, "status": Status.RESOURCE_EXHAUSTED, "predicted": -1},
        {"outcome": Outcome.SHED_QUEUE_FULL, "status": Status.RESOURCE_EXHAUSTED, "predicted": -1},
    ),
    "its own timer first": (
        {"outcome": Outcome.DEADLINE_IN_FLIGHT, "status": Status.DEADLINE_EXCEEDED, "predicted": -1},
        {"outcome": Outcome.UPSTREAM_ERROR, "status": Status.INTERNAL, "predicted": -1},
    ),
    "left": (
        {"outcome": Outcome.CLIENT_CANCELLED, "status": Status.CANCELLED, "predicted": -1},
        {"outcome": Outcome.DEADLINE_IN_FLIGHT, "status": Status.DEADLINE_EXCEEDED, "predicted": -1},
    ),
    "connection broken": (
        {"outcome": Outcome.UPSTREAM_UNAVAILABLE, "status": Status.UNAVAILABLE, "predicted": -1},
        {"outcome": Outcome.CLIENT_CANCELLED, "status": Status.CANCELLED, "predicted": -1},
    ),
    "named by the client only": ({}, {"predicted": -1}),
    "named by the proxy only": ({"predicted": -1}, {}),
    "unseen": ({"outcome": Outcome.DEADLINE_IN_FLIGHT, "status": Status.DEADLINE_EXCEEDED, "predicted": -1}, None),
    "refused unseen": ({"outcome": Outcome.UPSTREAM_UNAVAILABLE, "status": Status.UNAVAILABLE, "predicted": -1}, None),
    "not sent": ({"outcome": Outcome.NOT_SENT, "status": Status.DEADLINE_EXCEEDED, "predicted": -1}, None),
}

UNEXPLAINED: dict[str, tuple[dict[str, object], dict[str, object] | None]] = {
    "1 rows of the proxy are of requests that the client did not send": (
        {"outcome": Outcome.NOT_SENT, "status": Status.DEADLINE_EXCEEDED, "predicted": -1},
        {},
    ),
    "1 failures have another status at the client than at the proxy": (
        {"outcome": Outcome.UPSTREAM_ERROR, "status": Status.INTERNAL, "predicted": -1},
        {"outcome": Outcome.SHED_QUEUE_FULL, "status": Status.RESOURCE_EXHAUSTED, "predicted": -1},
    ),
    "1 requests were answered without a row at the proxy": ({}, None),
    "1 requests were refused without a row at the proxy": (
        {"outcome": Outcome.REJECTED_INVALID, "status": Status.INVALID_ARGUMENT, "predicted": -1},
        None,
    ),
    "1 answers reached the client that the proxy did not book as given": (
        {},
        {"outcome": Outcome.OK_LATE_DISCARDED, "status": Status.DEADLINE_EXCEEDED},
    ),
    "1 answers of the proxy ended as an error at the client": (
        {"outcome": Outcome.UPSTREAM_ERROR, "status": Status.INTERNAL, "predicted": -1},
        {},
    ),
    "1 answers differ between proxy and client": ({"predicted": 4}, {}),
    "1 labels differ between proxy and client": ({"label": 4}, {}),
}


@given(cases=st.lists(st.sampled_from(sorted(EXPLAINED)), max_size=30), data=st.data())
def test_whatever_has_an_explanation_is_counted_under_it_and_the_books_balance(
    observation: Make, trace_of: TraceOf, cases: list[str], data: st.DataObject
) -> None:
    client = [observation(number, **EXPLAINED[case][0]) for number, case in enumerate(cases)]
    proxy = [
        observation(number, **theirs) for number, case in enumerate(cases) if (theirs := EXPLAINED[case][1]) is not None
    ]
    proxy = data.draw(st.permutations(proxy))
    books = reconcile(decode(trace_of(client), "client").records, decode(trace_of(proxy), "proxy").records)
    counts = Counter(cases)
    assert books.balanced, books.breaches
    assert (books.client, books.proxy, books.matched) == (len(client), len(proxy), len(proxy))
    assert books.foreign == 0
    assert books.not_sent == counts["not sent"]
    assert books.raced == counts["raced"]
    assert books.unseen == {
        status: counts[case]
        for status, case in [(Status.DEADLINE_EXCEEDED, "unseen"), (Status.UNAVAILABLE, "refused unseen")]
        if counts[case]
    }
    outcomes = {o.request_id: o.outcome for o in client}
    assert books.pairs == Counter((outcomes[o.request_id], o.outcome) for o in proxy)
    assert list(books.pairs) == sorted(books.pairs)
    assert books.matched + sum(books.unseen.values()) + books.not_sent == books.client  # nobody is lost


@pytest.mark.parametrize("breach", UNEXPLAINED)
@given(cases=st.lists(st.sampled_from(sorted(EXPLAINED)), max_size=10), place=st.integers(0, 10))
def test_a_single_unexplained_request_among_any_others_breaks_the_books(
    observation: Make, trace_of: TraceOf, breach: str, cases: list[str], place: int
) -> None:
    ends = [EXPLAINED[case] for case in cases]
    mixed = [*ends[:place], UNEXPLAINED[breach], *ends[place:]]
    client = [observation(n, **ours) for n, (ours, _) in enumerate(mixed)]
    proxy = [observation(n, **theirs) for n, (_, theirs) in enumerate(mixed) if theirs is not None]
    books = reconcile(decode(trace_of(client), "client").records, decode(trace_of(proxy), "proxy").records)
    assert books.breaches == (breach,)
    assert not books.balanced


@pytest.mark.parametrize("where", ["client", "proxy"])
def test_a_request_booked_twice_breaks_the_books(observation: Make, trace_of: TraceOf, where: str) -> None:
    sides = {"client": [observation(0), observation(1)], "proxy": [observation(0), observation(1)]}
    sides[where].append(sides[where][0])
    records = {side: decode(trace_of(booked), side).records for side, booked in sides.items()}
    assert f"1 request ids occur twice at the {where}" in reconcile(records["client"], records["proxy"]).breaches


def test_a_request_that_was_never_sent_cannot_have_arrived(observation: Make, trace_of: TraceOf) -> None:
    client = [observation(0, outcome=Outcome.NOT_SENT, status=Status.DEADLINE_EXCEEDED, predicted=-1)]
    books = reconcile(decode(trace_of(client), "client").records, decode(trace_of([observation(0)]), "proxy").records)
    assert not books.balanced


def test_requests_of_other_clients_are_counted_and_no_breach(observation: Make, trace_of: TraceOf) -> None:
    client, proxy = [observation(0)], [observation(number) for number in range(4)]
    books = reconcile(decode(trace_of(client), "client").records, decode(trace_of(proxy), "proxy").records)
    assert (books.balanced, books.proxy, books.matched, books.foreign) == (True, 4, 1, 3)


def test_ids_too_long_for_a_record_are_joined_all_the_same(observation: Make, trace_of: TraceOf) -> None:
    long = [observation(number)._replace(request_id="x" * 100 + str(number)) for number in range(5)]
    books = reconcile(decode(trace_of(long), "client").records, decode(trace_of(long[::-1]), "proxy").records)
    assert (books.balanced, books.matched) == (True, 5)
