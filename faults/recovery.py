"""How long it takes until calls are answered again as before a fault. Numbers in, numbers out."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

CALLS = 50
"""Calls in a row that are looked at together."""
ENOUGH = 0.95
"""Of the share that was answered before the fault."""


def recovery_s(calls: Sequence[tuple[float, bool]], began_s: float, ended_s: float) -> float | None:
    """Seconds from a fault's end to the first call from which on enough of `CALLS` in a row are answered.

    Args:
        calls: When each was sent, rising, and whether it was answered in time.
        began_s: When the fault began.
        ended_s: When it ended.

    Returns:
        None where it never came to that.

    >>> calls = [(n / 100, not 2.0 <= n / 100 < 3.25) for n in range(500)]
    >>> recovery_s(calls, 2.0, 3.0)
    0.23
    """
    sent_s = [at_s for at_s, _ in calls]
    before = [answered for _, answered in calls[: bisect_left(sent_s, began_s)]]
    if not before:
        return None
    needed = ENOUGH * sum(before) / len(before) * CALLS
    first = bisect_left(sent_s, ended_s)
    for at in range(first, len(calls) - CALLS + 1):
        if sum(answered for _, answered in calls[at : at + CALLS]) >= needed:
            return max(round(sent_s[at] - ended_s, 3), 0.0)
    return None
