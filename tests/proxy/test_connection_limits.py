"""When a client's connection has kept the proxy waiting for too long, by numbers; and how many there may be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tailgate_proxy.connection_limits import ConnectionLimits, End, PeerCounts, Standing

LIMITS = ConnectionLimits(settle_s=10.0, midway_s=5.0, stall_s=30.0, idle_s=100.0, most=3, most_of_peer=2)
AT_REST = Standing(0.0, 0.0, settled=True, midway_since_s=None, waiting_since_s=None, busy=False)


@pytest.mark.parametrize(
    ("standing", "limit_s", "end"),
    [
        (replace(AT_REST, settled=False), 10.0, End.SETTLE_TIMEOUT),
        (replace(AT_REST, midway_since_s=0.0, busy=True), 5.0, End.MIDWAY_TIMEOUT),
        (replace(AT_REST, waiting_since_s=0.0, busy=True), 30.0, End.STALL_TIMEOUT),
        (AT_REST, 100.0, End.IDLE_TIMEOUT),
    ],
)
def test_a_connection_ends_after_its_limit_and_not_at_it(standing: Standing, limit_s: float, end: End) -> None:
    assert LIMITS.ends(standing, limit_s) is None
    assert LIMITS.ends(standing, limit_s + 0.001) is end


def test_calls_may_take_as_long_as_their_deadlines_let_them() -> None:
    assert LIMITS.ends(replace(AT_REST, busy=True), 1e6) is None


def test_what_a_client_has_said_counts_not_how_old_its_connection_is() -> None:
    assert LIMITS.ends(replace(AT_REST, heard_s=1000.0), 1100.0) is None


@pytest.mark.parametrize(
    ("connections", "of_peer", "refusal"),
    [(0, 0, None), (2, 1, None), (2, 2, End.TOO_MANY_OF_PEER), (3, 0, End.TOO_MANY), (3, 2, End.TOO_MANY)],
)
def test_a_connection_beyond_what_there_may_be_is_turned_away(
    connections: int, of_peer: int, refusal: End | None
) -> None:
    assert LIMITS.admits(connections, of_peer) is refusal


def test_addresses_that_have_left_are_forgotten() -> None:
    counts = PeerCounts()
    for peer in ("a", "b", "a"):
        counts.add(peer)
    assert (counts.total, counts.of("a"), counts.of("b"), counts.of("c")) == (3, 2, 1, 0)
    for peer in ("a", "b", "a"):
        counts.remove(peer)
    assert (counts.total, counts.of("a")) == (0, 0)
    assert not counts._of_peer
