"""How late the event loop wakes: the time during which calls could end that no handler saw."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tailgate.ledger import Histogram

INTERVAL_S = 0.02
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


async def keep_measuring(lag: Histogram, clock: Callable[[], float]) -> None:
    """Sleep for `INTERVAL_S` again and again, and count how much longer it took."""
    while True:
        asked_s = clock() + INTERVAL_S
        await asyncio.sleep(INTERVAL_S)
        lag.add(max(clock() - asked_s, 0.0))
