"""What one client's abuse costs the others: `python bench/abuse.py [--quick] [--only WORDS]`.

A victim sends requests at a steady rate on its own connection, before, during and after each attack of
`fuzz/adversary`, which is repeated for as long as the victim looks. The table shows the p99 of its latencies in each of
the three, of the quietest round: what an attack leaves behind is there in every round, what the machine does besides is
not. After the rounds that all attacks get, those are given more, up to a limit, whose quietest time after is not yet
near the quietest time that any attack was preceded by. The claim is about the time after, against that quietest of all
times before; the row without any attack shows what is left of the machine.
The proxy has a core of its own where there are two, as has what plays its clients and its upstream. Attacks that show
only with other limits than the defaults are left to the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.progress import track

from bench._answer import canned_answer, framed
from bench._common import Claim, finish, machine, markdown_table
from bench._driver import Driven, Driver
from bench._processes import started, started_command
from bench._requests import Requests
from fuzz.adversary.cases import CASES

RATE, TIMEOUT_US, BODY = 200.0, 10_000_000, 1_000
LARGEST_GROWTH = 1.2
NOTHING = "no attack at all"
HERE = Path(__file__).parent


@dataclass
class Seen:
    """What the victim saw: the p99 of each round, in seconds. And what the attacker did."""

    before_s: list[float] = field(default_factory=list)
    during_s: list[float] = field(default_factory=list)
    after_s: list[float] = field(default_factory=list)
    attacks: int = 0
    surprises: int = 0
    wrong: int = 0

    def growth(self, quiet_s: float) -> float:
        """The time after, of its quietest round, over what is quiet."""
        return min(self.after_s) / quiet_s

    def take(self, place: list[float], driven: Driven) -> None:
        """Keep the p99 of a stretch; requests that were not answered with OK and every byte are counted."""
        place.append(driven.latency_s(0.99))
        self.wrong += len(driven.wrong)


def measure(seen: Seen, name: str, address: str, seconds: float) -> None:
    """One round of one attack."""
    host, _, port = address.rpartition(":")
    victim = Driver(address, Requests(BODY, address, TIMEOUT_US), framed(canned_answer()), connections=1)
    try:
        before = victim.open_loop(RATE, seconds)
        attacker = None
        if name != NOTHING:
            command = (sys.executable, str(HERE / "_attacker.py"), host, port, str(seconds + 0.3), name)
            attacker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        during = victim.open_loop(RATE, seconds + 0.3)  # an attacker takes a moment to start
        if attacker is not None:
            attacks, surprises = attacker.communicate(timeout=60)[0].split()
            seen.attacks += int(attacks)
            seen.surprises += int(surprises)
        after = victim.open_loop(RATE, seconds)
    finally:
        victim.close()
    seen.take(seen.before_s, before)
    seen.take(seen.during_s, during)
    seen.take(seen.after_s, after)


@contextmanager
def proxy(folder: Path, cores: list[int]) -> Iterator[tuple[str, str, int]]:
    """Start upstream and proxy; yields the proxy's two addresses and its process."""
    upstream = (sys.executable, str(HERE / "_upstream.py"), str(1 << 22))
    ports = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    pattern = r"proxy listening on (\S+), admin on (\S+)"
    with started_command(folder, "upstream", upstream, r"upstream listening on (\S+)") as ((address,), upstream_pid):
        arguments = ("proxy", "--upstream", address, *ports, "--deadline", "10s", "--log-level", "error")
        with started(folder, *arguments, ready=pattern) as ((listen, admin), pid):
            if len(cores) > 1:
                os.sched_setaffinity(pid, {cores[0]})
                os.sched_setaffinity(upstream_pid, {cores[1]})
                os.sched_setaffinity(0, {cores[1]})
            yield listen, admin, pid


def quietest(seen: dict[str, Seen]) -> float:
    """The p99 of the quietest second in which there had been no attack for a while. Of so many one is a lucky one: the
    hundredth part of them may be quieter.
    """
    before_s = sorted(p99_s for one in seen.values() for p99_s in one.before_s)
    return before_s[len(before_s) // 100]


def lost_calls(admin: str) -> int:
    """How many calls the proxy cannot account for, now that nobody asks for anything."""
    with urllib.request.urlopen(f"http://{admin}/status.json", timeout=10) as response:
        status = json.load(response)
    lost: int = abs(status["received"] - sum(status["outcomes"].values()))
    return lost


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--only", metavar="WORDS", default="", help="attacks whose name contains this")
    arguments = parser.parse_args()
    rounds, most, seconds = (1, 1, 0.5) if arguments.quick else (5, 25, 1.0)
    names = [NOTHING, *(case.name for case in CASES if not case.settings and arguments.only in case.name)]
    seen = {name: Seen() for name in names}
    with TemporaryDirectory() as name, proxy(Path(name), sorted(os.sched_getaffinity(0))) as (listen, admin, pid):
        measure(Seen(), NOTHING, listen, 1.0)  # warm
        for _ in range(rounds):
            for attack in track(names, "every attack", console=Console(stderr=True)):
                measure(seen[attack], attack, listen, seconds)
        for _ in range(most - rounds):
            quiet_s = quietest(seen)
            again = [name for name in names if seen[name].growth(quiet_s) > LARGEST_GROWTH]
            for attack in track(again, "once more", console=Console(stderr=True)):
                measure(seen[attack], attack, listen, seconds)
        lost = lost_calls(admin)
        alive = Path(f"/proc/{pid}").exists()
    quiet_s = quietest(seen)
    header = (
        "attack", "rounds", "before, ms", "during, ms", "after, ms", "after / quiet", "attacks", "surprises", "wrong"
    )  # fmt: skip
    rows: list[tuple[object, ...]] = []
    for attack, one in seen.items():
        times = [1e3 * min(stretch) for stretch in (one.before_s, one.during_s, one.after_s)]
        rows.append(
            (attack, len(one.after_s), *times, one.growth(quiet_s), one.attacks, one.surprises, one.wrong)
        )  # fmt: skip
    print(
        f"p99 of a client with {RATE:.0f} requests/s, while another client attacks; quiet is {1e3 * quiet_s:.3g} ms\n"
    )
    print(markdown_table(header, rows))
    growth = {attack: one.growth(quiet_s) for attack, one in seen.items() if attack != NOTHING}
    worst = max(growth, key=growth.__getitem__)
    claims = [
        Claim(f"p99 after an attack, times a quiet one, the worst: {worst}", growth[worst], LARGEST_GROWTH),
        Claim("p99 after an attack, times a quiet one, median of all", statistics.median(growth.values()), 1.1),
        Claim("requests of others with a wrong answer or none", sum(one.wrong for one in seen.values()), 0),
        Claim("attacks in which the attacker was not treated as it should", sum(s.surprises for s in seen.values()), 0),
        Claim("calls without an outcome", lost, 0),
        Claim("proxies that died", 0 if alive else 1, 0),
    ]
    details = {
        "rounds": rounds,
        "most_rounds": most,
        "seconds": seconds,
        "quiet_ms": 1e3 * quiet_s,
        "rows": [dict(zip(header, row, strict=True)) for row in rows],
    }
    return finish("abuse", claims, quick=arguments.quick or bool(arguments.only), machine=machine("hpack"), **details)


if __name__ == "__main__":
    sys.exit(main())
