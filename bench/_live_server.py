"""A live page over a monitor that has seen an hour of traffic: what bench/live.py watches.

Ten series, as ten slices of one model; an answer in a hundred is late, one in twenty wrong. Traffic goes on at 20
requests a second, so that every snapshot differs from the one before.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

from aiohttp import web

from tailgate.ledger import latency_buckets_s
from tailgate.monitor import Monitor
from tailgate.objective import Objective
from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate_proxy.live.feed import Feed
from tailgate_proxy.live.page import add_live

SERIES, A_MINUTE, DEADLINE_S, PAUSE_S = 10, 120, 0.05, 0.05


def observation(chance: random.Random, part: int, at_unix_s: float) -> Observation:
    """A request of a slice."""
    late = chance.random() < 0.01
    return Observation(
        request_id="",
        model="digits",
        version="1",
        arrival_unix_s=at_unix_s,
        budget_s=DEADLINE_S,
        latency_s=chance.uniform(0.06, 0.2) if late else chance.lognormvariate(-4.2, 0.4),
        outcome=Outcome.OK_LATE if late else Outcome.OK,
        predicted=1,
        label=2 if chance.random() < 0.05 else 1,
        slice=f"slice {part}",
    )


def an_hour(now_unix_s: float) -> Monitor:
    """A monitor that has seen one."""
    chance = random.Random(1)  # noqa: S311 — traffic, not secrets
    objective = Objective(objective=0.9, floor=0.8, deadline_s=DEADLINE_S)
    monitor = Monitor(bounds_s=latency_buckets_s([DEADLINE_S]), objectives={"digits": objective})
    for minute in range(62, -1, -1):
        for number in range(SERIES * A_MINUTE):
            seen = observation(chance, number % SERIES, now_unix_s - 60 * (minute + chance.random()))
            monitor.observe(seen)
            monitor.judge(seen)
        monitor.advance(now_unix_s - 60 * minute)
    for _ in range(2 * SERIES):
        monitor.advance(now_unix_s)
    return monitor


async def main() -> None:
    """Serve until told to end."""
    monitor = an_hour(time.time())
    chance = random.Random(2)  # noqa: S311 — as above

    def document() -> dict[str, Any]:
        now_unix_s = time.time()
        proxy = {
            "mode": "observe",
            "deadline_s": DEADLINE_S,
            "version": "",
            "compiled": False,
            "upstream": {"address": "127.0.0.1:8001", "ready": True},
            "draining": False,
            "received": 0,
            "in_flight": 0,
        }
        return {"quality": monitor.snapshot(now_unix_s), "proxy": proxy, "at_unix_s": now_unix_s}

    application = web.Application()
    add_live(application, Feed(document))
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"live page on 127.0.0.1:{runner.addresses[0][1]}", flush=True)
    while True:
        await asyncio.sleep(PAUSE_S)
        seen = observation(chance, chance.randrange(SERIES), time.time())
        monitor.observe(seen)
        monitor.judge(seen)
        monitor.advance(time.time())


if __name__ == "__main__":
    asyncio.run(main())
