"""What one client's abuse costs the others: `python bench/abuse.py [--quick] [--rounds N] [--only WORDS]`.

A victim sends requests at a steady rate on its own connection, before, during and after each attack of
`fuzz/adversary`, which is repeated for as long as the victim looks. What an attack leaves behind is there in every
round; what a shared machine does besides is not, and is far larger: the p99 of a second in which nobody attacks
differs ten times from that of the next. So beside its p99, what is claimed of each attack rests on what one second
shows in spite of that, medians over rounds of a pair of stretches: the proxy's CPU for one of the victim's requests,
and the median of its latencies. The p99 is also claimed of all attacks together, whose stretches before and after are
alike but for them, and each attack's is tested: whether it is longer than those before by more than chance (Mann and
Whitney, 1947; Holm, 1979). The proxy has a core of its own where there are two, as has what plays its clients and its
upstream. Attacks that show only with other limits than the defaults are left to the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from scipy.stats import mannwhitneyu

from bench._answer import canned_answer, framed
from bench._common import Claim, finish, machine, markdown_table
from bench._cpu import cpu_of
from bench._driver import Driver
from bench._processes import started, started_command
from bench._requests import Requests
from fuzz.adversary.cases import CASES

RATE, TIMEOUT_US, BODY = 200.0, 10_000_000, 1_000
LARGEST_GROWTH = 1.2
NOTHING = "no attack at all"
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Stretch:
    """A stretch of the victim's requests: their latencies in seconds, and the proxy's CPU for one of them."""

    latency_s: NDArray[np.float64]
    cpu_s: float

    @property
    def p50_s(self) -> float:
        """The median."""
        return float(np.median(self.latency_s))

    @property
    def p99_s(self) -> float:
        """By rank."""
        return float(np.quantile(self.latency_s, 0.99, method="inverted_cdf"))


@dataclass
class Seen:
    """What the victim saw, round by round, and what the attacker did."""

    before: list[Stretch] = field(default_factory=list)
    during: list[Stretch] = field(default_factory=list)
    after: list[Stretch] = field(default_factory=list)
    attacks: int = 0
    surprises: int = 0
    wrong: int = 0

    def growth(self, of: Callable[[Stretch], float]) -> float:
        """After over before, the median of the rounds."""
        return statistics.median(of(then) / of(now) for now, then in zip(self.before, self.after, strict=True))

    def median(self, stretches: Sequence[Stretch]) -> float:
        """The p99 in milliseconds, the median of the rounds."""
        return 1e3 * statistics.median(stretch.p99_s for stretch in stretches)


def measure(seen: Seen, name: str, proxy: Proxy, seconds: float) -> None:
    """One round of one attack."""
    host, _, port = proxy.listen.rpartition(":")
    victim = Driver(proxy.listen, Requests(BODY, proxy.listen, TIMEOUT_US), framed(canned_answer()), connections=1)

    def look(into: list[Stretch], seconds: float) -> None:
        began = cpu_of(proxy.pid)
        driven = victim.open_loop(RATE, seconds)
        used = cpu_of(proxy.pid) - began
        seen.wrong += len(driven.wrong)  # not answered with OK and every byte
        latency_s = np.array([one.ended_s - one.started_s for one in driven.ended])
        into.append(Stretch(latency_s, used.ran_s / len(latency_s)))

    try:
        look(seen.before, seconds)
        attacker = None
        if name != NOTHING:
            command = (sys.executable, str(HERE / "_attacker.py"), host, port, str(seconds + 0.3), name)
            attacker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        look(seen.during, seconds + 0.3)  # an attacker takes a moment to start
        if attacker is not None:
            attacks, surprises = attacker.communicate(timeout=60)[0].split()
            seen.attacks += int(attacks)
            seen.surprises += int(surprises)
        look(seen.after, seconds)
    finally:
        victim.close()


@dataclass(frozen=True)
class Proxy:
    """What is attacked: its addresses and its process."""

    listen: str
    admin: str
    pid: int


@contextmanager
def started_proxy(folder: Path, cores: list[int]) -> Iterator[Proxy]:
    """Start upstream and proxy."""
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
            yield Proxy(listen, admin, pid)


def longer(seen: Mapping[str, Seen]) -> list[str]:
    """The attacks after which the p99 is longer by more than `LARGEST_GROWTH`, and that not by chance."""
    usual_s = [LARGEST_GROWTH * stretch.p99_s for one in seen.values() for stretch in one.before]
    chances = sorted(
        (float(mannwhitneyu([s.p99_s for s in one.after], usual_s, alternative="greater").pvalue), name)
        for name, one in seen.items()
    )
    found = []
    for place, (p_value, name) in enumerate(chances):  # Holm's: the first that may be chance ends it
        if p_value * (len(chances) - place) > 0.05:
            break
        found.append(name)
    return found


def pooled_p99_s(stretches: Iterable[Stretch]) -> float:
    """Of all their requests together."""
    return float(np.quantile(np.concatenate([s.latency_s for s in stretches]), 0.99, method="inverted_cdf"))


def lost_calls(admin: str) -> int:
    """How many calls the proxy cannot account for, now that nobody asks for anything."""
    with urllib.request.urlopen(f"http://{admin}/status.json", timeout=10) as response:
        status = json.load(response)
    lost: int = abs(status["received"] - sum(status["outcomes"].values()))
    return lost


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, default=5, help="of every attack; four to five minutes each")
    parser.add_argument("--only", metavar="WORDS", default="", help="attacks whose name contains this")
    arguments = parser.parse_args()
    rounds, seconds = (1, 0.5) if arguments.quick else (arguments.rounds, 1.0)
    names = [NOTHING, *(case.name for case in CASES if not case.settings and arguments.only in case.name)]
    seen = {name: Seen() for name in names}
    with TemporaryDirectory() as name, started_proxy(Path(name), sorted(os.sched_getaffinity(0))) as proxy:
        measure(Seen(), NOTHING, proxy, 1.0)  # warm
        for number in range(rounds):
            for attack in track(names, f"round {number + 1} of {rounds}", console=Console(stderr=True)):
                measure(seen[attack], attack, proxy, seconds)
        lost = lost_calls(proxy.admin)
        alive = Path(f"/proc/{proxy.pid}").exists()
    header = (
        "attack", "p99 before, ms", "during, ms", "after, ms", "CPU, after / before", "p50, after / before", "attacks",
        "surprises", "wrong",
    )  # fmt: skip
    rows: list[tuple[object, ...]] = []
    growths = {attack: (one.growth(lambda s: s.cpu_s), one.growth(lambda s: s.p50_s)) for attack, one in seen.items()}
    for attack, one in seen.items():
        times = (one.median(stretches) for stretches in (one.before, one.during, one.after))
        rows.append((attack, *times, *growths[attack], one.attacks, one.surprises, one.wrong))
    before_s, after_s = (
        pooled_p99_s(s for name, one in seen.items() if name != NOTHING for s in getattr(one, when))
        for when in ("before", "after")
    )
    slower = longer(seen)
    print(f"A client with {RATE:.0f} requests/s, while another client attacks; medians of {rounds} rounds")
    print(f"p99 of all its requests: {1e3 * before_s:.3g} ms before, {1e3 * after_s:.3g} ms after\n")
    print(markdown_table(header, rows))
    usual_s = statistics.median(stretch.p99_s for one in seen.values() for stretch in one.before)
    p99s = {name: one.median(one.after) / (1e3 * usual_s) for name, one in seen.items() if name != NOTHING}
    by_p99 = max(p99s, key=p99s.__getitem__)
    attacked = {name: growth for name, growth in growths.items() if name != NOTHING}
    by_cpu, by_p50 = (max(attacked, key=lambda name: attacked[name][at]) for at in (0, 1))
    claims = [
        Claim(
            f"the proxy's CPU for a request, after / before, the worst: {by_cpu}", attacked[by_cpu][0], LARGEST_GROWTH
        ),
        Claim(f"p50 after / before, the worst: {by_p50}", attacked[by_p50][1], LARGEST_GROWTH),
        Claim(f"p99 after an attack, over the usual one before, the worst: {by_p99}", p99s[by_p99], LARGEST_GROWTH),
        Claim("p99 after an attack, over the usual one before, median of all", statistics.median(p99s.values()), 1.1),
        Claim("p99 of all requests after, over that of all before", after_s / before_s, LARGEST_GROWTH),
        Claim(f"attacks after which the p99 is over {LARGEST_GROWTH} times that before, beyond chance", len(slower), 0),
        Claim("requests of others with a wrong answer or none", sum(one.wrong for one in seen.values()), 0),
        Claim("attacks in which the attacker was not treated as it should", sum(s.surprises for s in seen.values()), 0),
        Claim("calls without an outcome", lost, 0),
        Claim("proxies that died", 0 if alive else 1, 0),
    ]
    details = {
        "rounds": rounds,
        "seconds": seconds,
        "p99_before_ms": 1e3 * before_s,
        "p99_after_ms": 1e3 * after_s,
        "p99_usual_ms": 1e3 * usual_s,
        "slower": slower,
        "rows": [dict(zip(header, row, strict=True)) for row in rows],
    }
    return finish("abuse", claims, quick=arguments.quick or bool(arguments.only), machine=machine("hpack"), **details)


if __name__ == "__main__":
    sys.exit(main())
