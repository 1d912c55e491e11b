"""`tailgate probe`."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tailgate.cli import EXIT_OK, Command
from tailgate.errors import UsageError
from tailgate_loadgen.credentials import add_credential_options, read_credentials

if TYPE_CHECKING:
    from tailgate_loadgen.probe.course import Wish

LEAST_ROUNDS = 6
"""As many trials as an interval needs: `shares.LEAST_TRIALS`, which is not imported for the sake of a quick start."""


def _configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("target", metavar="HOST:PORT", help="gRPC port of a V2 server that nobody else uses now")
    add("--model", required=True, metavar="NAME", help="model to call; one that takes at least 20 ms")
    add("--model-version", default="", metavar="V", help="its version (the server's choice)")
    add("--shape", action="append", default=[], metavar="NAME=D1,D2,…", help="what to send where shapes are open")
    add("--batch", type=int, metavar="N", help="rows of a request whose first dimension is open (1)")
    add("--rounds", type=int, default=9, metavar="N", help="trials of each kind; at least 6")
    add("--groups", type=int, default=50, metavar="N", help="groups of calls of which one leaves")
    add("--burst", type=int, default=256, metavar="N", help="most calls at once")
    add("--no-malformed", action="store_true", help="send no malformed requests")
    add_credential_options(parser)
    add("--out", type=Path, metavar="DIR", help="folder for probe.html and probe.json (runs/probe-DATE-TIME)")
    add("--quiet", action="store_true", help="no progress, no table")


def _run(options: argparse.Namespace) -> int:
    from tailgate_loadgen.folders import make_folder
    from tailgate_loadgen.probe.course import measure
    from tailgate_loadgen.probe.document import Report, document
    from tailgate_loadgen.probe.judge import judge
    from tailgate_loadgen.probe.page import page
    from tailgate_loadgen.probe.screen import Screen

    wish = _wish(options)
    now = datetime.now().astimezone()
    out: Path = options.out or Path("runs") / f"probe-{now:%Y%m%d-%H%M%S}"
    make_folder("--out", out)
    started_s = time.monotonic()
    with Screen(quiet=options.quiet) as screen:
        seen, tensors = asyncio.run(measure(wish, screen.progress))
    took_s = time.monotonic() - started_s
    at = now.isoformat(timespec="seconds")
    report = Report(wish.target, wish.model, at, took_s, tensors, seen, judge(seen))
    (out / "probe.json").write_text(json.dumps(document(report), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "probe.html").write_text(page(report), encoding="utf-8")
    screen.table(report.verdicts, out)
    return EXIT_OK


def _wish(options: argparse.Namespace) -> Wish:
    from tailgate_loadgen.probe.course import Wish
    from tailgate_loadgen.probe.inputs import parse_shapes

    host, _, port = options.target.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
        raise UsageError(f"the server's address is {options.target!r}; expected HOST:PORT, such as 127.0.0.1:8001")
    for name, least in (("batch", 1), ("rounds", LEAST_ROUNDS), ("groups", 1), ("burst", 2)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise UsageError(f"--{name} is {value}; expected at least {least}")
    return Wish(
        target=options.target,
        model=options.model,
        version=options.model_version,
        shapes=parse_shapes(options.shape),
        batch=options.batch,
        rounds=options.rounds,
        groups=options.groups,
        burst=options.burst,
        malformed=not options.no_malformed,
        credentials=read_credentials(options),
    )


COMMAND = Command("measure what a running V2 server does with deadlines, cancels and overload", _configure, _run)
