"""`tailgate demo`."""

from __future__ import annotations

import argparse
import math
import os
from datetime import datetime
from pathlib import Path

from tailgate.cli import EXIT_MISSED, EXIT_OK, Command
from tailgate.deadline import MAX_BUDGET_S
from tailgate.errors import UsageError


def _configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--out", type=Path, metavar="DIR", help="folder for traces and report (runs/demo-DATE-TIME)")
    add("--seconds", type=float, default=60.0, metavar="S", help="length of the replay, about")
    add("--rate", type=float, default=200.0, metavar="R", help="requests per second")
    add("--deadline-ms", type=float, default=25.0, metavar="MS", help="time a request has")
    add("--mode", choices=("enforce", "observe"), default="enforce", help="what the proxy does at the deadline")
    add("--busy", type=int, default=1, metavar="N", help="busy processes on the server's processor, middle third")
    add("--no-contention", action="store_true", help="leave the server alone")
    add("--cache", type=Path, metavar="DIR", help="where the trained network is kept (as for `tailgate load`)")


def _run(options: argparse.Namespace) -> int:
    from rich.console import Console

    from tailgate_loadgen.demo.ending import show_ending
    from tailgate_loadgen.demo.play import Script, play
    from tailgate_loadgen.folders import make_folder
    from tailgate_loadgen.options import default_cache

    _check(options)
    out: Path = options.out or Path("runs") / f"demo-{datetime.now():%Y%m%d-%H%M%S}"  # noqa: DTZ005 — for a person
    cache: Path = options.cache or default_cache(os.environ.get("XDG_CACHE_HOME", ""))
    make_folder("--cache", cache)
    make_folder("--out", out)
    if any(out.iterdir()):
        raise UsageError(f"--out {out} is not empty; name a new folder, so that no earlier run is mixed with this one")
    script = Script(
        out=out,
        cache=cache,
        seconds=options.seconds,
        rate=options.rate,
        deadline_ms=options.deadline_ms,
        mode=options.mode,
        busy=0 if options.no_contention else options.busy,
    )
    console = Console()
    play(script, console)
    return EXIT_OK if show_ending(script, console) else EXIT_MISSED


def _check(options: argparse.Namespace) -> None:
    from tailgate_loadgen.options import MAX_REQUESTS

    for name, unit in (("seconds", "seconds"), ("rate", "requests per second"), ("deadline_ms", "milliseconds")):
        value: float = getattr(options, name)
        if not (math.isfinite(value) and value > 0):
            raise UsageError(f"--{name.replace('_', '-')} is {value}; expected {unit}, above zero")
    if options.deadline_ms > MAX_BUDGET_S * 1e3:
        raise UsageError(f"--deadline-ms is {options.deadline_ms}; a request may have at most {MAX_BUDGET_S * 1e3:.0f}")
    if options.seconds * options.rate > MAX_REQUESTS:
        raise UsageError(
            f"--seconds {options.seconds} at --rate {options.rate} makes more than {MAX_REQUESTS:,} requests; lower one"
        )
    if options.busy < 0:
        raise UsageError(f"--busy is {options.busy}; expected a number of processes, 0 for none")


COMMAND = Command(
    "run server, proxy and load generator on real images, with contention in the middle", _configure, _run
)
