"""A thousand hours of the proxy on virtual time: `python bench/simulation.py [--hours H] [--seed N] [--quick]`.

The proxy's own parts run, from the gates to the members of a pool and their reconnecting; clients, machines and the
network are simulated (`_sim_world.py`). Bugs are planted into the policies, one at a time (`_sim_planted.py`): each has
to be found. Then each world is an hour that follows from its seed (`_sim_plan.py`): mostly quiet, with busy minutes in
which something breaks. What has to hold (`_sim_promises.py`) is looked at after every event.

What has come of it is written every two minutes (`_sim_results.py`): it may be stopped at any time, by Ctrl-C or a
SIGTERM. A world that breaks a promise is named with the command that runs it alone: `--kind KIND --seed N`.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from collections.abc import Iterator
from multiprocessing import get_context

from bench._common import finish
from bench._sim_plan import plan
from bench._sim_planted import PLANTED, find
from bench._sim_results import ALL, HOURS, QUICK_HOURS, Ran, Results
from bench._sim_world import World

HOUR_S = 3600.0
PROCESSES = 2


def run(one: tuple[str, int]) -> Ran:
    """One world."""
    kind, seed = one
    started_s = time.process_time()
    world = World(plan(kind, seed, HOUR_S))
    promises = world.run()
    return Ran(
        kind,
        seed,
        world.loop.time() / HOUR_S,
        time.process_time() - started_s,
        world.loop.happened,
        promises.arrived,
        promises.repeats,
        tuple(seconds for _, seconds in promises.recoveries_s),
        {outcome.label: count for outcome, count in promises.outcomes.items()},
        promises.first,
    )


def worlds(hours: float, first: int) -> Iterator[tuple[str, int]]:
    """So many of every kind, an hour each."""
    count = math.ceil(hours / len(ALL))
    return ((kind, first + number) for number in range(count) for kind in ALL)


def main() -> int:
    """Plant, simulate, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=None, help=f"virtual hours in all (default: {HOURS:g})")
    parser.add_argument("--seed", type=int, default=None, help="the first seed; with --kind, the only one")
    parser.add_argument("--kind", choices=ALL, default=None, help="run one world alone: an hour of this kind")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_HOURS:g} virtual hours")
    options = parser.parse_args()
    if options.kind is not None:
        ran = run((options.kind, options.seed or 0))
        print(ran)
        return 0 if ran.broken is None else 1
    results = Results(options.hours or (QUICK_HOURS if options.quick else HOURS), look=options.quick)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    # Ctrl-C comes to all processes of a terminal: this one ends the others.
    with get_context("spawn").Pool(PROCESSES, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as processes:
        found = processes.imap(find, range(len(PLANTED)))
        ran_all = processes.imap_unordered(run, worlds(results.hours, options.seed or 0))
        whole = results.gather(found, ran_all)
    if not results.ran:
        print("Stopped before there was anything to say.")
        return 1
    print(results.tables() if whole else f"Stopped.\n\n{results.tables()}")
    results.write()
    return finish("simulation", results.claims(), **results.settings())


if __name__ == "__main__":
    sys.exit(main())
