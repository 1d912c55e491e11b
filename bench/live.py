"""What the live page costs the process that serves it: `python bench/live.py [--quick]`.

A server of the page over a monitor with ten series and a full hour, on one core; 50 clients on another, which read
every snapshot. CPU of the server with the clients, less its CPU without them, in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from bench._common import Claim, finish, machine, markdown_table
from bench._cpu import cpu_of, on_core, two_cores
from bench._processes import started_command

CLIENTS, ROUNDS, SECONDS, QUICK_SECONDS = 50, 5, 12.5, 6.5
ALLOWED_SHARE = 0.05
FEWEST_A_SECOND = 0.9


@dataclass(frozen=True)
class Measured:
    """One round.

    Attributes:
        alone: Share of a core that the server used while nobody watched.
        watched: The same with all clients.
        snapshots_a_second: That each client got, in the mean.
        bytes_each: Of a snapshot.
    """

    alone: float
    watched: float
    snapshots_a_second: float
    bytes_each: float


class Watching:
    """A client that reads everything."""

    def __init__(self) -> None:
        self.snapshots = 0
        self.bytes = 0

    async def watch(self, session: aiohttp.ClientSession, url: str) -> None:
        async with session.get(url) as response:
            assert response.status == 200, await response.text()
            async for line in response.content:
                if line.startswith(b"data: "):
                    json.loads(line.removeprefix(b"data: "))
                    self.snapshots += 1
                    self.bytes += len(line)


async def measure(url: str, pid: int, seconds: float) -> Measured:
    """Once without clients, once with them."""
    before = cpu_of(pid)
    await asyncio.sleep(seconds)
    alone = (cpu_of(pid) - before).ran_s / seconds
    watching = [Watching() for _ in range(CLIENTS)]
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    # A line is a snapshot, so the reader's own limit of a line has to be larger.
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=1 << 21) as session:
        tasks = [asyncio.create_task(one.watch(session, url)) for one in watching]
        while not all(one.snapshots for one in watching):
            await asyncio.sleep(0.1)
            assert not any(task.done() for task in tasks), "a client was turned away"
        first = sum(one.snapshots for one in watching)
        before = cpu_of(pid)
        await asyncio.sleep(seconds)
        watched = (cpu_of(pid) - before).ran_s / seconds
        rate = (sum(one.snapshots for one in watching) - first) / CLIENTS / seconds
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    each = sum(one.bytes for one in watching) / sum(one.snapshots for one in watching)
    return Measured(alone, watched, rate, each)


async def run(rounds: int, seconds: float) -> list[Measured]:
    """All rounds against one server."""
    server_core, our_core = two_cores()
    command = (sys.executable, str(Path(__file__).parent / "_live_server.py"))
    with (
        TemporaryDirectory() as name,
        on_core(server_core),
        started_command(Path(name), "live", command, r"live page on (\S+)") as ((address,), pid),
        on_core(our_core),
    ):
        return [await measure(f"http://{address}/live/events", pid, seconds) for _ in range(rounds)]


def main() -> int:
    """Measure, print, write; 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round")
    quick: bool = parser.parse_args().quick
    rounds, seconds = (1, QUICK_SECONDS) if quick else (ROUNDS, SECONDS)
    found = asyncio.run(run(rounds, seconds))
    rows = [
        (f"{one.alone:.2%}", f"{one.watched:.2%}", f"{one.snapshots_a_second:.2f}", f"{one.bytes_each / 1000:.1f}")
        for one in found
    ]
    print(f"{CLIENTS} clients; {rounds} rounds of {seconds:g} s\n")
    print(markdown_table(("of a core, unwatched", "watched", "snapshots a second each", "kB each"), rows))
    claims = [
        Claim(
            f"share of a core that {CLIENTS} clients of the live page cost",
            statistics.median(one.watched - one.alone for one in found),
            ALLOWED_SHARE,
        ),
        Claim(
            "snapshots a second that each of them gets",
            statistics.median(one.snapshots_a_second for one in found),
            FEWEST_A_SECOND,
            at_least=True,
        ),
    ]
    return finish("live", claims, quick=quick, machine=machine("aiohttp"), measured=[asdict(one) for one in found])


if __name__ == "__main__":
    sys.exit(main())
