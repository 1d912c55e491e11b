"""`tailgate up`."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
from datetime import datetime
from pathlib import Path

from tailgate.cli import EXIT_OK, Command
from tailgate.errors import UsageError


def _configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--listen", default="127.0.0.1:9001", metavar="HOST:PORT", help="where the proxy serves gRPC")
    add("--admin", default="127.0.0.1:9090", metavar="HOST:PORT", help="where it serves live page and metrics")
    add("--rate", type=float, default=100.0, metavar="R", help="requests per second")
    add("--deadline-ms", type=float, default=25.0, metavar="MS", help="time a request has")
    add("--objective", type=float, default=0.95, metavar="SHARE", help="time-critical accuracy that is promised")
    add("--floor", type=float, default=0.85, metavar="SHARE", help="of a single minute; less is an incident")
    add("--trouble", action="store_true", help="every four minutes let something else keep the server busy for one")
    add("--seconds", type=float, metavar="S", help="stop after so long (when interrupted)")
    add("--out", type=Path, metavar="DIR", help="folder for logs and Prometheus's data (runs/up-DATE-TIME)")
    add("--cache", type=Path, metavar="DIR", help="where the trained network is kept (as for `tailgate load`)")


def _run(options: argparse.Namespace) -> int:
    from rich.console import Console

    from tailgate_loadgen.folders import make_folder
    from tailgate_loadgen.options import default_cache
    from tailgate_loadgen.up.monitoring import find_programs
    from tailgate_loadgen.up.play import Play, Script

    _check(options)
    out: Path = options.out or Path("runs") / f"up-{datetime.now():%Y%m%d-%H%M%S}"  # noqa: DTZ005 — for a person
    cache: Path = options.cache or default_cache(os.environ.get("XDG_CACHE_HOME", ""))
    make_folder("--cache", cache)
    make_folder("--out", out)
    script = Script(
        out=out,
        cache=cache,
        listen=options.listen,
        admin=options.admin,
        rate=options.rate,
        deadline_ms=options.deadline_ms,
        objective=options.objective,
        floor=options.floor,
        trouble=options.trouble,
        seconds=options.seconds,
    )
    with contextlib.suppress(KeyboardInterrupt):  # the usual way to end it
        Play(script, find_programs(), Console()).run()
    return EXIT_OK


def _check(options: argparse.Namespace) -> None:
    for name, unit in (("rate", "requests per second"), ("deadline_ms", "milliseconds"), ("seconds", "seconds")):
        value = getattr(options, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise UsageError(f"--{name.replace('_', '-')} is {value}; expected {unit}, above zero")
    if not 0 < options.objective < 1:
        raise UsageError(f"--objective is {options.objective}; expected a share between 0 and 1")
    if not 0 < options.floor <= options.objective:
        raise UsageError(f"--floor is {options.floor}; expected a share above 0 and at most the objective")


COMMAND = Command("run everything on this machine, with Prometheus where it is installed, to look at", _configure, _run)
