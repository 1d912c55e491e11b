"""Rolling restarts of a proxy under load: `python bench/restarts.py [--restarts 20] [--rate 200] [--quick]`.

Two proxies take turns on one port: the next one is ready before the last one is told to stop. A gRPC client sends at a
steady rate and makes again what nobody can have begun. Its log, the trace of every proxy's life and the upstream's list
of what it executed are audited; what ended with anything but OK and may not be made again is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench._common import Claim, finish, machine, markdown_table
from bench._raw_client import records
from faults.restarts import Rolled, roll
from tailgate.audit.everything import audit
from tailgate.audit.evidence import Evidence, rows_of
from tailgate.audit.finding import Finding
from tailgate.audit.reading import read_executed
from tailgate.outcome import Outcome
from tailgate.trace.files import read_folder
from tailgate.trace.format import Contents

SEED, GRACE_S = 20261122, 5.0


def evidence_of(rolled: Rolled) -> Evidence:
    """What each side wrote down; a proxy that ends has no last scrape."""
    client = Contents({"role": "client"}, {}, {}, records(rolled.client.log), 0, 0, 0, closed=True)
    executed, unlogged = read_executed(rolled.executed)
    return Evidence((client,), tuple(read_folder(rolled.traces)), executed=executed, unlogged=unlogged)


def judge(rolled: Rolled) -> Sequence[Finding]:
    """The audit of all of it."""
    return audit(evidence_of(rolled), GRACE_S)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restarts", type=int, default=20, help="how many (20)")
    parser.add_argument("--rate", type=float, default=200.0, help="calls a second (200)")
    parser.add_argument("--quick", action="store_true", help="three restarts")
    options = parser.parse_args()
    restarts = 3 if options.quick else options.restarts
    with TemporaryDirectory() as folder:
        rolled = asyncio.run(roll(Path(folder), SEED, restarts, options.rate))
        findings = judge(rolled)
        rows = rows_of(tuple(read_folder(rolled.traces)))
    client = rolled.client
    outcomes = Counter(Outcome(code).label for code in rows["outcome"].tolist())
    print(markdown_table(("outcome at the proxies", "calls"), sorted(outcomes.items())))
    print("\n" + markdown_table(("made again after", "times"), sorted(client.again.items())))
    for finding in findings:
        for breach in finding.breaches:
            print(f"\n{finding.code}: {breach.count} {breach.what}: {', '.join(breach.first)}")
    for what, calls in (("lost", client.lost), ("in vain", client.in_vain)):
        for call in calls[:10]:
            print(f"\n{what}: {call}")
    claims = [
        Claim("calls lost that a client may not make again", len(client.lost), 0),
        Claim("calls refused again and again, or over their time", len(client.in_vain), 0),
        Claim("breaches of the books", sum(finding.broken for finding in findings), 0),
        Claim("answers that were those of other calls", client.crossed, 0),
        Claim("proxies that did not end with 0", sum(status != 0 for status in rolled.exits), 0),
        Claim("restarts", len(rolled.drains_s), restarts, at_least=True),
        Claim("calls", client.calls, options.rate * restarts, at_least=True),
    ]
    details = {
        "restarts": restarts, "rate": options.rate, "calls": client.calls, "attempts": len(client.log),
        "again": dict(client.again), "outcomes": dict(outcomes), "lost": client.lost,
        "in_vain": client.in_vain,
        "drain_s": {"median": statistics.median(rolled.drains_s), "longest": max(rolled.drains_s)},
    }  # fmt: skip
    return finish("restarts", claims, quick=options.quick or restarts < 20, machine=machine("grpcio"), **details)


if __name__ == "__main__":
    sys.exit(main())
