"""What a scrape costs the requests beside it: `python bench/scrape.py [--quick]`.

A proxy that knows many models exports more than 2,000 series. A client sends requests at a steady rate, in stretches
with and without somebody who scrapes again and again, so that most requests come during a scrape, in turns. The claims
are about how much later requests end because of it. With two cores the proxy has one of its own, while client, upstream
and scraper share the other: the highest quantiles are those of the machine then, too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench._answer import canned_answer, framed
from bench._common import Claim, finish, machine, markdown_table
from bench._driver import Driver
from bench._processes import started, started_command
from bench._requests import Requests

MODELS, RATE, EVERY_S, BODY, TIMEOUT_US = 20, 200.0, 0.02, 1_000, 10_000_000
QUANTILES = (0.5, 0.9, 0.99, 1.0)
HERE = Path(__file__).parent


@dataclass
class Seen:
    """What was seen in all stretches.

    Attributes:
        stretches: p50, p90, p99 and longest latency of each, in milliseconds, without and with scrapes.
        took_s: How long scrapes took.
        series: How many series one has.
        wrong: Requests with a wrong answer or none.
    """

    stretches: dict[bool, list[list[float]]] = field(default_factory=lambda: {False: [], True: []})
    took_s: list[float] = field(default_factory=list)
    series: int = 0
    wrong: int = 0

    def measure(self, driver: Driver, admin: str, seconds: float, *, scraping: bool) -> None:
        """One stretch."""
        command = (sys.executable, str(HERE / "_scraper.py"), admin, str(EVERY_S), str(seconds))
        scraper = subprocess.Popen(command, stdout=subprocess.PIPE) if scraping else None
        driven = driver.open_loop(RATE, seconds)
        self.wrong += len(driven.wrong)
        self.stretches[scraping].append([driven.latency_s(q) * 1e3 for q in QUANTILES])
        if scraper is not None:
            found = json.loads(scraper.communicate(timeout=60)[0])
            self.took_s += found["took_s"]
            self.series = found["series"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two short rounds")
    arguments = parser.parse_args()
    rounds, seconds = (2, 1.0) if arguments.quick else (7, 4.0)
    seen = Seen()
    with TemporaryDirectory() as name, proxy(Path(name), sorted(os.sched_getaffinity(0))) as (listen, admin):
        driver = Driver(listen, Requests(BODY, listen, TIMEOUT_US), framed(canned_answer()), connections=2)
        driver.open_loop(RATE, 1.0)
        for _ in range(rounds):
            for scraping in (False, True):
                seen.measure(driver, admin, seconds, scraping=scraping)
    return report(seen, quick=arguments.quick)


@contextmanager
def proxy(folder: Path, cores: list[int]) -> Iterator[tuple[str, str]]:
    """Start an upstream and a proxy that knows many models; yields the proxy's two addresses."""
    config = folder / "proxy.toml"
    config.write_text("".join(f'[models.model-{n}]\ndeadline = "50ms"\n' for n in range(MODELS)), encoding="utf-8")
    upstream = (sys.executable, str(HERE / "_upstream.py"), str(1 << 22))
    pattern = r"proxy listening on (\S+), admin on (\S+)"
    with started_command(folder, "upstream", upstream, r"upstream listening on (\S+)") as ((address,), upstream_pid):
        arguments = (
            "proxy",
            "--config",
            str(config),
            "--upstream",
            address,
            "--deadline",
            "10s",
            "--log-level",
            "error",
        )
        ports = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
        with started(folder, *arguments, *ports, ready=pattern) as ((listen, admin), pid):
            if len(cores) > 1:
                os.sched_setaffinity(pid, {cores[0]})
                os.sched_setaffinity(upstream_pid, {cores[1]})
                os.sched_setaffinity(0, {cores[1]})
            yield listen, admin


def report(seen: Seen, *, quick: bool) -> int:
    rows = [
        (
            "with" if scraping else "without",
            *(statistics.median(one[at] for one in found) for at in range(len(QUANTILES))),
        )
        for scraping, found in seen.stretches.items()
    ]
    print(f"{seen.series} series; a scrape takes {statistics.median(seen.took_s) * 1e3:.0f} ms\n")
    print(markdown_table(("scrapes", "p50, ms", "p90, ms", "p99, ms", "max, ms"), rows))
    pairs = list(zip(seen.stretches[False], seen.stretches[True], strict=True))
    claims = [
        *(
            Claim(
                f"{name} of requests, ms more while somebody scrapes",
                statistics.median(s[at] - q[at] for q, s in pairs),
                1.0,
            )
            for at, name in enumerate(("p50", "p90", "p99"))
        ),
        Claim("series in a scrape", seen.series, 2000, at_least=True),
        Claim("requests with a wrong answer or none", seen.wrong, 0),
    ]
    return finish("scrape", claims, quick=quick, machine=machine(), rows=[list(row) for row in rows])


if __name__ == "__main__":
    sys.exit(main())
